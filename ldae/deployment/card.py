"""The model card of an exported model: what it is for, what it was trained on, how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ldae import subsets
from ldae.deployment.readout import read_labelled
from ldae.statistics.tables import format_interval, read_table, scored_split

if TYPE_CHECKING:
    from ldae.deployment.artefact import Artefact
    from ldae.deployment.readout import Readout

NUMBERS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("AUC, patients against controls", "probes", {"task": "ad_vs_cn", "metric": "roc_auc"}),
    ("balanced accuracy, patients against controls", "probes",
     {"task": "ad_vs_cn", "metric": "balanced_accuracy"}),
    ("mean absolute error of age, years", "probes", {"task": "age", "metric": "mae"}),
    ("SSIM of reconstructions inside the brain (window 11)", "reconstruction",
     {"region": "mask", "window": 11, "metric": "ssim"}),
    ("PSNR of reconstructions inside the brain, dB", "reconstruction",
     {"region": "mask", "metric": "psnr"}),
    ("SSIM of visits filled in, inside the brain (window 11)", "interpolation",
     {"target": "real", "region": "mask", "window": 11, "metric": "ssim", "gap_months": None,
      "nearest_months": None}),
)  # fmt: skip
"""Metrics of the card: in words, table, and conditions (None is an empty cell)."""

CARD = """\
# {label}: model card

{status}

| | |
| --- | --- |
| method | `{method}` ({label}) |
| study | {title} (`{study}`), training seed {seed} |
| grid | {shape}, {spacing} mm, MNI152NLin2009aSym |
| digest | `{digest}` |
| made with | ldae {version}, torch {torch}, MONAI {monai} |
| licence of the weights | see `LICENSE` |

## Intended use

Research on representation learning in brain MRI: codes of T1-weighted scans, reconstructions,
edits of age or diagnosis, visits filled in between two others. **Not for diagnosis, prognosis or
any decision about a patient.** The predictions of age and disease show what the code contains.

## Training cohort

{cohort}

## Results

On {scored} participants whom no fit has seen, with 95 % intervals over participants.

{numbers}

{intervals}

## Limits

{limits}

## How scans are prepared

Raw T1-weighted heads in any orientation are preprocessed as the study's were: {preprocessing}.
Brains that lie on the grid already are taken as they are, if their intensities are in [0, 1] and
the record beside them names no other settings.

## How to use it

    pip install ldae                            # from a clone of the repository: pip install .
    ldae encode SCAN.nii.gz --model FOLDER -o codes.tsv
    ldae reconstruct SCAN.nii.gz --model FOLDER -o out
    ldae edit SCAN.nii.gz --attribute age --to-age 80 --model FOLDER -o out
    python -m monai.bundle run --config_file FOLDER/configs/inference.json \\
        --meta_file FOLDER/configs/metadata.json --bundle_root FOLDER --scan SCAN.nii.gz

`sha256sum --check SHA256SUMS` in the folder checks the files; `ldae` does so whenever it loads
them.
"""

SIMULATED = """\
**Trained on simulated participants only. Its numbers say nothing about patients, and its
predictions on real scans are not meaningful.**"""

REAL = "**A research model, not validated for clinical use.**"


def model_card(
    artefact: Artefact, manifest: Mapping[str, Any], readouts: Mapping[str, Readout]
) -> str:
    """The model card, in Markdown."""
    config = artefact.config
    return CARD.format(
        label=artefact.method.look.label,
        status=SIMULATED if manifest["simulated"] else REAL,
        method=artefact.method.name,
        title=config["title"],
        study=config["study"],
        seed=artefact.seed,
        shape=" × ".join(map(str, manifest["grid"]["shape"])),
        spacing=f"{manifest['grid']['spacing_mm']:g}",
        digest=manifest["digest"][:16],
        version=manifest["ldae"],
        torch=manifest["versions"]["torch"],
        monai=manifest["versions"]["monai"],
        cohort=_describe_cohort(read_labelled(artefact.folder)),
        # before 0.2 every study scored its test participants
        scored=subsets.WORDS[subsets.scored_split(final=config.get("final", True))],
        numbers=_list_numbers(artefact),
        intervals=_describe_intervals(readouts),
        limits=_list_limits(artefact, simulated=bool(manifest["simulated"])),
        preprocessing=_describe_preprocessing(config["preprocessing"]),
    )


def _describe_cohort(index: pd.DataFrame) -> str:
    """Participants by split, as a table of summaries."""
    lines = ["| split | participants | scans | age, mean (SD) | women | diagnoses |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for split, scans in index.groupby("split", sort=False):
        first = scans.drop_duplicates("subject")
        diagnoses = ", ".join(
            f"{name} {n}" for name, n in first["diagnosis"].value_counts().items() if name
        )
        age = first["age"]
        ages = f"{age.mean():.1f} ({age.std():.1f})" if age.notna().any() else "unknown"
        women = f"{(first['sex'] == 'F').sum()}" if (first["sex"] != "").any() else "unknown"
        lines.append(
            f"| {split} | {len(first)} | {len(scans)} | {ages} | {women} | {diagnoses or 'none'} |"
        )
    return "\n".join(lines)


def _list_numbers(artefact: Artefact) -> str:
    """Headline metrics with their intervals, as a table."""
    lines = ["| metric | value [95 % interval] | participants |", "| --- | --- | --- |"]
    for words, table, conditions in NUMBERS:
        path = artefact.folder / "tables" / f"{table}.tsv"
        if not path.is_file():
            continue
        rows = _select(read_table(path), artefact, conditions)
        for row in rows.to_dict("records"):
            steps = row.get("steps", np.nan)
            said = f"{words}, {steps:.0f} steps" if np.isfinite(steps) else words
            value = format_interval(row["value"], row["ci_low"], row["ci_high"])
            lines.append(f"| {said} | {value} | {row['n_subjects']} |")
    return "\n".join(lines) if len(lines) > 2 else "The study has no tables of this model."


def _select(
    table: pd.DataFrame, artefact: Artefact, conditions: Mapping[str, object]
) -> pd.DataFrame:
    """Rows of the model on participants who are scored, at the steps nearest to its edits'."""
    rows = table[(table["split"] == scored_split(table)) & (table["seed"] == str(artefact.seed))]
    for column, wanted in conditions.items():
        rows = rows[rows[column].isna() if wanted is None else rows[column] == wanted]
    names = [artefact.method.name, artefact.coded.name]
    rows = rows[rows["method"] == next((n for n in names if (rows["method"] == n).any()), "")]
    if "steps" in rows and rows["steps"].notna().any():
        wanted_steps = artefact.config["evaluation"]["manipulation"]["n_steps"]
        off = (rows["steps"] - wanted_steps).abs()
        rows = rows[off == off.min()]
    return rows


def _describe_intervals(readouts: Mapping[str, Readout]) -> str:
    """What the intervals of predictions mean."""
    lines = []
    for task, readout in readouts.items():
        n = readout.held_out["n_subjects"]
        if "half_width" in readout.held_out:
            reach = f"± {readout.held_out['half_width']:.1f} years"
            lines.append(
                f"* `{task}`: the interval of a prediction is {reach}, which contains the "
            )
            lines[-1] += f"age of 90 % of participants like the {n} held out (split conformal)."
        else:
            lines.append(f"* `{task}`: the interval of a score contains 90 % of the scores of 200 ")
            lines[-1] += "models fitted on resampled training participants; it is no risk."
    return "\n".join(lines)


def _list_limits(artefact: Artefact, *, simulated: bool) -> str:
    """What the model cannot do."""
    config = artefact.config
    spacing = float(config["grid"]["spacing_mm"])
    amounts = [float(a) for a in config["evaluation"]["manipulation"]["amounts"]]
    lines = [
        f"* It sees scans at {spacing:g} mm: nothing smaller can be encoded or changed.",
        f"* Edits were measured between {min(amounts):g} and {max(amounts):g} only.",
        "* Ages outside those of the training participants, other contrasts than T1, lesions, "
        "implants and children were not tested.",
        "* Diagnoses are those of the cohort's tables; the model was not tested on other scanners "
        "or sites than the cohort's.",
    ]
    if simulated:
        lines.insert(0, "* It has never seen a real brain.")
    return "\n".join(lines)


def _describe_preprocessing(settings: Mapping[str, Any]) -> str:
    kind = "ANTs N4" if settings["bias_correction"] == "ants" else "N4"
    bias = f"{kind} bias correction, " if settings["bias_correction"] else ""
    low, high = settings["intensity_percentiles"]
    return (
        f"{bias}brain extraction by `{settings['brain_extraction']}`, "
        f"`{settings['registration']}` registration, and intensities scaled so that percentiles "
        f"{low:g} and {high:g} inside the brain become 0 and 1"
    )
