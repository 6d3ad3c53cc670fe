"""Parts of captions that several figures share, written from the numbers that a figure shows."""

from __future__ import annotations

import pandas as pd

from ldae.figures.numbers import STANDARD_WINDOW
from ldae.statistics.tables import training_seeds
from ldae.subsets import TEST, VALIDATION, WORDS
from ldae.wording import ranged


def facts(data: pd.DataFrame) -> str:
    """Cohort, participants, scans and training seeds, as far as the data name them."""
    known = []
    if "cohort" in data and data["cohort"].notna().any():
        known.append(f"Cohort {data['cohort'].dropna().iloc[0]}{_split_of(data)}")
    for column, noun in (("n_subjects", "participant"), ("n_scans", "scan")):
        if column in data and data[column].notna().any():
            known.append(ranged(int(data[column].min()), int(data[column].max()), noun))
    seeds = _seeds(data)
    if seeds:
        known.append(f"training seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}")
    return (", ".join(known) + ".") if known else ""


def _split_of(data: pd.DataFrame) -> str:
    """The scored split, for numbers whose table has one."""
    found = set(data["split"]) if "split" in data else set()
    shown = next((split for split in (TEST, VALIDATION) if split in found), None)
    return f", {WORDS[shown]} split" if shown else ""


def _seeds(data: pd.DataFrame) -> list[int]:
    """Training seeds that the numbers are over; a cell of a table holds one or several."""
    return training_seeds(data["seed"]) if "seed" in data else []


def intervals(data: pd.DataFrame) -> str:
    """What the intervals are over; nothing where no number has one."""
    if "ci_low" not in data or data["ci_low"].isna().all():
        return ""
    over = "training seeds and participants" if len(_seeds(data)) > 1 else "participants"
    return f"Bars and bands are 95 % intervals over {over}."


def shown_seed(data: pd.DataFrame) -> str:
    """Which training a picture shows."""
    return f"Networks of training seed {int(data['training_seed'].dropna().iloc[0])}."


def shown(data: pd.DataFrame, what: str) -> str:
    """The same for single points or curves beside numbers over several trainings."""
    if len(_seeds(data)) < 2:
        return ""
    return f"{what}: training seed {int(data['training_seed'].dropna().iloc[0])}. "


def window(data: pd.DataFrame) -> str:
    """Window of SSIM, if any is shown."""
    windows = data["window"].dropna().unique().tolist() if "window" in data else []
    if len(windows) == 0:
        return ""
    kind = "Gaussian, sigma 1.5" if int(windows[0]) == STANDARD_WINDOW else "uniform"
    return f"SSIM window {int(windows[0])} voxels ({kind})."
