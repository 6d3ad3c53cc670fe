"""How well measured volumes agree with reference volumes of the same scans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ldae.errors import InputError
from ldae.statistics.bootstrap import subject_bootstrap, weighted_mean
from ldae.statistics.measures import weighted_correlation
from ldae.statistics.tables import tidy

STRUCTURES = {
    "ventricles": ("ventricles_ml", "lateral_ventricles_ml"),
    "hippocampi": ("hippocampi_ml", "hippocampus_ml"),
    "grey": ("grey_ml", "gm_ml"),
    "white": ("white_ml", "wm_ml"),
    "brain": ("brain_ml",),
    "head": ("head_ml", "icv_ml"),
}
"""Structures compared, by the first column of ``regions.tsv``; and what references call them."""

SCAN_NAMES = ("scan", "participant_id")
"""Columns by which a reference may name its scans; subjects with one scan may be named alone."""

METHOD = "region_volumes"


def pair_volumes(
    measured: pd.DataFrame, reference_tsv: Path, hide: Callable[[str], str] = str
) -> pd.DataFrame:
    """Measured and reference volumes of each scan that has both.

    Parameters
    ----------
    measured
        Table ``regions.tsv`` (:func:`ldae.evaluation.codes.measure_region_volumes`).
    reference_tsv
        Tab-separated, one row per scan: ``scan`` or ``participant_id``, and columns of
        ``STRUCTURES``, ml.
    hide
        Turns the reference's names into the study's (pseudonyms of a restricted cohort).

    Returns
    -------
    pandas.DataFrame
        structure, scan, subject, measured, reference; ml in the subject's head.

    Raises
    ------
    InputError
        If the reference names no scan or no structure, or holds no volume of the study's scans.
    """
    reference = pd.read_csv(reference_tsv, sep="\t", dtype=dict.fromkeys(SCAN_NAMES, str))
    name = next((c for c in SCAN_NAMES if c in reference), None)
    columns = {
        structure: next((c for c in names if c in reference), None)
        for structure, names in STRUCTURES.items()
    }
    known = {structure: c for structure, c in columns.items() if c is not None}
    if name is None or not known:
        raise InputError(
            reference_tsv, "needs a column scan or participant_id, and volumes such as gm_ml",
            "Rename its columns.",
        )  # fmt: skip
    reference = reference.set_index(reference[name].map(hide))
    key = "scan" if name == "scan" or measured["scan"].isin(reference.index).any() else "subject"
    if key == "subject" and measured["subject"].duplicated().any():
        raise InputError(
            reference_tsv, "has one row per subject, the study several scans of some",
            "Name the scans in a column scan.",
        )  # fmt: skip
    shared = measured[measured[key].isin(reference.index)]
    if shared.empty:
        raise InputError(reference_tsv, "names no scan of this study", "Look at its names.")
    parts = [
        pd.DataFrame(
            {
                "structure": structure,
                "scan": shared["scan"].to_numpy(),
                "subject": shared["subject"].to_numpy(),
                "measured": shared[STRUCTURES[structure][0]].to_numpy(float),
                "reference": reference.loc[shared[key], column].to_numpy(float),
            }
        )
        for structure, column in known.items()
    ]
    pairs = pd.concat(parts, ignore_index=True).dropna(subset=["measured", "reference"])
    if pairs.empty:
        raise InputError(reference_tsv, "holds no volume of these scans", "Fill in its columns.")
    return pairs.reset_index(drop=True)


def compare_volumes(
    pairs: pd.DataFrame, *, cohort: str, seed: int, n_bootstrap: int
) -> pd.DataFrame:
    """Agreement of measured and reference volumes, by structure.

    Parameters
    ----------
    pairs
        From :func:`pair_volumes`.
    cohort, seed
        For the table; `seed` also seeds the bootstrap over subjects.
    n_bootstrap
        Replicates.

    Returns
    -------
    pandas.DataFrame
        Table ``volumes``: ``correlation`` over all scans; ``change_correlation`` of the changes
        since each subject's first scan, where subjects have several; ``error_ml`` (mean absolute)
        and ``bias_ml`` (mean of measured minus reference).
    """
    rows: list[dict[str, object]] = []
    for structure in pairs["structure"].unique().tolist():
        cell = pairs[pairs["structure"] == structure]
        subjects = cell["subject"].to_numpy(str)
        values = cell[["reference", "measured"]].to_numpy(float)
        error = values[:, 1] - values[:, 0]
        later = cell["subject"].duplicated().to_numpy()
        first = cell.drop_duplicates("subject").set_index("subject")[["reference", "measured"]]
        change = values - first.loc[cell["subject"]].to_numpy(float)
        measures = {
            "correlation": (values, subjects, weighted_correlation),
            "change_correlation": (change[later], subjects[later], weighted_correlation),
            "error_ml": (np.abs(error), subjects, weighted_mean),
            "bias_ml": (error, subjects, weighted_mean),
        }
        for metric, (entries, subjects, statistic) in measures.items():
            if len(entries) == 0:
                continue
            value, low, high = subject_bootstrap(entries, subjects, statistic, n_bootstrap, seed)
            rows.append(
                {"method": METHOD, "structure": structure, "metric": metric}
                | {"value": value, "ci_low": low, "ci_high": high}
                | {"n_subjects": len(set(subjects)), "n_scans": len(entries)}
            )
    return tidy(rows, "volumes", cohort=cohort, seeds={}, split="all")
