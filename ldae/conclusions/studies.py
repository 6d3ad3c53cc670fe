"""Finished studies of the same participants, side by side.

What a setting is worth that no ablation can change, such as the registration: both studies are
measured on the scans that both have, and the gain is paired.

A gain says which study does better at one and the same thing. Labels mean the same in every study,
and so does the skill of a filled-in visit over trivial answers. An error on voxels does not:
scans that were registered otherwise are other images, some of them easier. Of such scores both
values stand in the table, and no gain.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from ldae.conclusions.comparison import GAINS, compare_probes, result_cell
from ldae.conclusions.finished import INTERPOLATION, FinishedStudy, changes
from ldae.errors import InputError
from ldae.evaluation.probes.fitting import CROSS_VALIDATED
from ldae.evaluation.probes.tables import tabulate_probes
from ldae.methods import Role
from ldae.statistics.bootstrap import subject_bootstrap, summarise_scores
from ldae.statistics.measures import MAIN_MEASURE
from ldae.statistics.scores import OVERALL_METRICS, SHARES, skill_gain, skill_of, trivial_errors
from ldae.statistics.tables import CONDITION_COLUMNS, tidy

logger = logging.getLogger(__name__)

PROBES = "probes"
OTHER = "_other"
"""Ending of the metrics of the study that is compared with."""

ALL_GAINS = GAINS | {
    metric: (f"{metric}_gain", -1 if metric == "change_ratio" else 1) for metric in OVERALL_METRICS
}
"""Metrics of scans of which more or less is better, with name and sign of their gain."""

WHICH_SCAN = ("scan", "subject", "age", "sex")
"""What two studies say of a scan that both have; names alone are the same in many cohorts."""

IMAGES = ("preprocessing.", "cohort.simulated.", "grid.")
"""Settings that decide what a scan looks like, but for these."""
BUT_FOR = ("preprocessing.batch_size",)

Frames = tuple[pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True)
class _Pair:
    """Two studies, the scans that both have, and why errors on these have no gain, if so."""

    study: FinishedStudy
    other: FinishedStudy
    scans: frozenset[str]
    no_gain: str


def compare_studies(study: FinishedStudy, others: Sequence[FinishedStudy]) -> pd.DataFrame:
    """Values of a study and of others of the same participants, and the paired gains.

    Parameters
    ----------
    study
        The study under test. Its settings give the replicates of the bootstrap and their seed.
    others
        What it is compared with, one after another.

    Returns
    -------
    pandas.DataFrame
        Table ``studies``: for each measure the value of `study`, of the other (``*_other``), and
        the gain (``*_gain``; positive: `study` is better), on the scans that both scored under the
        same conditions, in the training seeds that both have.

    Raises
    ------
    InputError
        If a study scores other participants or another split, or has other training seeds.
    """
    parts = []
    for other in others:
        pair = _pair(study, other)
        found = pd.concat([_probes(pair), *_scores(pair)], ignore_index=True)
        keys = [c for c in ("split", "method", *CONDITION_COLUMNS["studies"]) if c in found]
        order = found.groupby(keys, sort=False, dropna=False).ngroup().argsort(kind="stable")
        change = _describe(study, other)
        part = found.iloc[order].assign(against=other.folder.as_posix(), change=change)
        seeded = [method for method in study.methods if _seeded(study, method)]
        seeds = dict.fromkeys(seeded, _seeds(study, other))
        parts.append(tidy(part, "studies", cohort=study.name, seeds=seeds))
    return pd.concat(parts, ignore_index=True)


def _pair(study: FinishedStudy, other: FinishedStudy) -> _Pair:
    """Both studies with what they share."""
    if study.scored != other.scored:
        problem = f"it scores the split {other.scored}, and {study.folder} the split {study.scored}"
        raise InputError(other.folder, problem, "Run both with the same --config final=…")
    if not _seeds(study, other):
        problem = f"none of its training seeds is one of {study.folder}"
        raise InputError(other.folder, problem, "Give both the same training_seeds")
    keys = list(WHICH_SCAN)
    both = study.index.merge(other.index[[*keys, "split"]], on=keys, suffixes=("", OTHER))
    scored = both[(both["split"] == study.scored) & (both[f"split{OTHER}"] == study.scored)]
    if scored.empty:
        problem = f"it scores no participant whom {study.folder} scores"
        remedy = "Compare studies of one cohort, with the same seed and section split"
        raise InputError(other.folder, problem, remedy)
    n, n_all = scored["subject"].nunique(), len(study.scored_subjects)
    logger.info("%s: scores %d of %d participants too", other.folder, n, n_all)
    images = [p for p in changes(other, study) if p.startswith(IMAGES) and p not in BUT_FOR]
    no_gain = f"no gain: the scans are other images ({', '.join(images)})" if images else ""
    return _Pair(study, other, frozenset(both["scan"]), no_gain)


def _seeds(study: FinishedStudy, other: FinishedStudy) -> list[int]:
    """Training seeds that both have."""
    return sorted({*study.config["training_seeds"]} & {*other.config["training_seeds"]})


def _seeded(study: FinishedStudy, method: str) -> bool:
    """Whether the numbers of a method differ between training seeds."""
    predictions = study.predictions.get(method)
    return study.methods[method].seeded if predictions is None else "seed" in predictions


def _describe(study: FinishedStudy, other: FinishedStudy) -> str:
    """Settings that make the study of the other one, as ``grid.spacing_mm 4.0 → 5.0; …``."""
    changed = changes(other, study).items()
    texts = [f"{path} {json.dumps(a)} → {json.dumps(b)}" for path, (a, b) in changed]
    return "; ".join(texts) or "none"


def _probes(pair: _Pair) -> pd.DataFrame:
    """Main measures of the probes on the codes of every method that both have."""
    n, seed = pair.study.bootstrap
    ours: dict[str, pd.DataFrame] = {}
    theirs: dict[str, pd.DataFrame] = {}
    for method in (m for m in pair.study.predictions if m in pair.other.predictions):
        frames = pair.study.predictions[method], pair.other.predictions[method]
        ours[method], theirs[method] = _same_predictions(pair, frames)
    parts = []
    for predictions, ending in ((ours, ""), (theirs, OTHER)):
        table = tabulate_probes(predictions, cohort="", n_bootstrap=n, seed=seed)
        main = table[table["metric"] == table["task"].map(MAIN_MEASURE)]
        parts.append(main.assign(metric=main["metric"] + ending).drop(columns=["cohort", "seed"]))
    gains = [
        row | {"method": method}
        for method in ours
        for row in compare_probes({"a": ours[method], "b": theirs[method]}, "a", "b", n, seed)
    ]
    return pd.concat([*parts, pd.DataFrame(gains)]).assign(claim=PROBES)


def _same_predictions(pair: _Pair, frames: Frames) -> Frames:
    """Predictions of both studies for the same scans, truths and training seeds."""
    ours, theirs = frames
    wanted = ours["split"].isin([pair.study.scored, CROSS_VALIDATED])
    ours = ours[wanted & ours["scan"].isin(pair.scans)]
    keys = [c for c in ("scan", "split", "task", "target", "seed") if c in ours]
    both = ours[keys].merge(theirs[keys], on=keys)
    return ours.merge(both, on=keys), theirs.merge(both, on=keys)


def _scores(pair: _Pair) -> Iterator[pd.DataFrame]:
    """Scores of single scans, of every evaluation and method that both have."""
    n, seed = pair.study.bootstrap
    for claim in (e for e in pair.study.scores if e in pair.other.scores):
        ours, theirs = (_usable(s.scores[claim], pair) for s in (pair.study, pair.other))
        cells = ["split", "method", *(c for c in CONDITION_COLUMNS["studies"] if c in ours)]
        unit = [c for c in ("seed", "subject", "scan", "triple", "amount") if c in ours]
        keys = [*cells, *unit, "metric"]
        both = ours.merge(
            theirs[[*keys, "value"]], on=keys, suffixes=("", OTHER), validate="one_to_one"
        ).assign(note="")
        gain = both["metric"].map(ALL_GAINS)
        sign = np.nan if pair.no_gain else gain.str[1]
        difference = sign * (both["value"] - both[f"value{OTHER}"])
        rows = [
            both,
            both.assign(metric=both["metric"] + OTHER, value=both[f"value{OTHER}"]),
            both.assign(metric=gain.str[0], value=difference, note=pair.no_gain),
        ]
        shares = [*SHARES, *(f"{metric}{OTHER}" for metric in SHARES)]
        yield summarise_scores(pd.concat(rows), cells, n, seed, shares).assign(claim=claim)
        if claim == INTERPOLATION:
            yield pd.DataFrame(_skills(pair, both, (ours, theirs), cells)).assign(claim=claim)


def _usable(scores: pd.DataFrame, pair: _Pair) -> pd.DataFrame:
    """Scores that compare: each study's own autoencoder, and an edit by nothing, do not."""
    usable = scores["metric"].isin(ALL_GAINS) & scores["value"].notna()
    usable &= scores["scan"].isin(pair.scans)
    if "target" in scores:
        usable &= scores["target"] == "real"
    if "amount" in scores:
        usable &= scores["amount"] != 0
    return scores[usable]


def _skills(
    pair: _Pair, both: pd.DataFrame, scores: Frames, cells: list[str]
) -> Iterator[dict[str, object]]:
    """Skill of each method in either study, and its gain, which other images do not preclude."""
    trivial = list(pair.study.methods.select(Role.TRIVIAL))
    errors = both[(both["metric"] == "mse") & ~both["method"].isin(trivial)]
    for names, cell in errors.groupby(cells, sort=False, dropna=False):
        sides = []
        for column, frame in zip(("value", f"value{OTHER}"), scores, strict=True):
            answers = frame["method"].isin(trivial) & (frame["metric"] == "mse")
            answers &= frame["region"] == cell["region"].iloc[0]
            sides.append(np.column_stack([cell[column], trivial_errors(frame[answers], cell)]))
        ours, theirs = sides
        gain = partial(skill_gain, n=ours.shape[1])
        subjects, runs = cell["subject"].to_numpy(str), cell["seed"].to_numpy()
        for metric, values, statistic in (
            ("skill", ours, skill_of),
            (f"skill{OTHER}", theirs, skill_of),
            ("skill_gain", np.column_stack([ours, theirs]), gain),
        ):
            result = subject_bootstrap(values, subjects, statistic, *pair.study.bootstrap, runs)
            found = {"metric": metric} | result_cell(result, cell)
            yield dict(zip(cells, names, strict=True)) | found
