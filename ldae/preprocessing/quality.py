"""Quality control: which scans enter the study, why the others do not, and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image as Picture

from ldae.errors import InputError
from ldae.preprocessing.brain import mask_path
from ldae.preprocessing.grid import dice
from ldae.preprocessing.measures import MEASURES

QC_COLUMNS = ("scan", "status", "reason", *MEASURES)

# Which limit applies to which measure, and how an excess is put in words.
_LOWER = {
    "min_mask_dice": "mask_dice_to_template",
    "min_correlation": "correlation_to_template",
    "min_tissue_contrast": "tissue_contrast",
    "min_signal_to_noise": "signal_to_noise",
}
_UPPER = {
    "max_cropped_fraction": "cropped_fraction",
    "max_cut_area_cm2": "cut_area_cm2",
    "max_rotation_degrees": "rotation_degrees",
}
_RANGE = {"brain_volume_ml": "brain_volume_ml", "scale": "scale"}

SHOWN_WORST, SHOWN_RANDOM, FIGURE_COLUMNS = 8, 8, 4


def quality_control(
    scans: pd.DataFrame,
    batch_dirs: list[Path],
    limits: dict[str, Any],
    bids_dir: Path | None = None,
) -> pd.DataFrame:
    """One row per scan: passed or excluded, the reason, and every measure.

    Parameters
    ----------
    scans
        Rows of scans.tsv; all of them appear in the result, in the same order.
    batch_dirs
        Folders that `preprocess_batch` filled.
    limits
        Section ``quality`` of the configuration.
    bids_dir
        Folder of the raw heads, needed for ``reference_masks``.

    Returns
    -------
    DataFrame
        Columns ``QC_COLUMNS``, and ``dice_reference`` if reference masks are given.

    Raises
    ------
    InputError
        If no record of a scan is found in any batch.
    """
    rows = []
    for scan in scans["scan"]:
        record = json.loads(_find(batch_dirs, f"{scan}_qc.json").read_text())
        measures = record.get("measures", {})
        reasons = (
            [record["reason"]] if record["status"] != "ok" else exceeded_limits(measures, limits)
        )
        rows.append(
            {
                "scan": scan,
                "status": "excluded" if reasons else "pass",
                "reason": "; ".join(reasons),
            }
            | {key: measures.get(key) for key in MEASURES}
        )
    qc = pd.DataFrame(rows, columns=list(QC_COLUMNS))
    if limits["reference_masks"] is not None:
        if bids_dir is None:
            raise ValueError("reference masks need the BIDS folder")
        qc["dice_reference"] = dice_against_reference(
            scans, batch_dirs, limits["reference_masks"], bids_dir
        )
    return qc


def exceeded_limits(measures: Mapping[str, float | None], limits: dict[str, Any]) -> list[str]:
    """Each limit that a scan's measures exceed, in words; a missing measure exceeds its limit."""
    found = []

    def value(measure: str) -> float:
        number = measures.get(measure)
        return math.nan if number is None else number

    # A value that could not be computed must not pass, so each test is written to fail on NaN.
    for key, measure in _LOWER.items():
        # Without any noise the ratio has no value; that is no fault.
        missing_is_good = measure == "signal_to_noise" and measures.get(measure) is None
        if not value(measure) >= limits[key] and not missing_is_good:
            found.append(f"{measure} {value(measure):.3g} below {limits[key]:g}")
    for key, measure in _UPPER.items():
        if not value(measure) <= limits[key]:
            found.append(f"{measure} {value(measure):.3g} above {limits[key]:g}")
    for key, measure in _RANGE.items():
        low, high = limits[key]
        if not low <= value(measure) <= high:
            found.append(f"{measure} {value(measure):.4g} outside {low:g} to {high:g}")
    return found


def dice_against_reference(
    scans: pd.DataFrame, batch_dirs: list[Path], pattern: str, bids_dir: Path
) -> list[float]:
    """Dice of each native mask and a reference segmentation (above zero); NaN where one is missing.

    Parameters
    ----------
    scans
        Rows of scans.tsv.
    batch_dirs
        Folders that `preprocess_batch` filled.
    pattern
        Path of the references, with {scan}, {subject}, {session}, under ``bids_dir``.
    bids_dir
        Folder of the raw heads.

    Raises
    ------
    InputError
        If a reference has another shape than its scan, or none is found at all.
    """
    overlaps, n_found = [], 0
    for _, row in scans.iterrows():
        record = _find(batch_dirs, f"{row['scan']}_qc.json")
        ours = record.with_name(f"{row['scan']}_desc-native_mask.nii.gz")
        path = mask_path(pattern, row, bids_dir)
        n_found += path.is_file()
        if not ours.is_file() or not path.is_file():
            overlaps.append(math.nan)
            continue
        reference = np.asarray(nib.load(path).dataobj)  # type: ignore[attr-defined]
        mask = np.asarray(nib.load(ours).dataobj)  # type: ignore[attr-defined]
        if reference.shape != mask.shape:
            raise InputError(
                path,
                f"it has shape {reference.shape}, its scan {mask.shape}",
                "Give references on the scans' own grid.",
            )
        overlaps.append(dice(reference > 0, mask > 0))
    if n_found == 0 and len(scans):
        raise InputError(
            f"quality.reference_masks: {pattern}",
            "no scan has a file of that name",
            "Correct the pattern, or set it to null.",
        )
    return overlaps


def rank_suspects(qc: pd.DataFrame) -> pd.DataFrame:
    """Table with a column ``suspicion``, most suspicious first: excluded, then outliers.

    Suspicion is the largest distance of a scan's mask overlap, correlation, volume or contrast from
    the cohort's median, in robust standard deviations.
    """
    distance = np.zeros(len(qc))
    for measure in (
        "mask_dice_to_template",
        "correlation_to_template",
        "brain_volume_ml",
        "tissue_contrast",
    ):
        values = pd.to_numeric(qc[measure])
        middle = values.median()
        spread = 1.4826 * (values - middle).abs().median()
        if spread > 0:
            distance = np.maximum(
                distance, ((values - middle).abs() / spread).fillna(np.inf).to_numpy()
            )
    order = qc.assign(suspicion=distance, excluded=qc["status"] != "pass")
    order = order.sort_values(["excluded", "suspicion"], ascending=False, kind="stable")
    return order.drop(columns="excluded")


def plot_quality_control(
    qc: pd.DataFrame, batch_dirs: list[Path], path: Path, seed: int = 0
) -> Figure:
    """Overview: the most suspicious scans and random others, with the outlines of both masks.

    Parameters
    ----------
    qc
        Table of `quality_control`.
    batch_dirs
        Folders that `preprocess_batch` filled.
    path
        Picture to write (.png).
    seed
        Of the choice of random scans.
    """
    ranked = rank_suspects(qc)
    pictures = {scan: _find_picture(batch_dirs, scan) for scan in ranked["scan"]}
    shown = ranked[[pictures[scan] is not None for scan in ranked["scan"]]]
    worst = shown.iloc[:SHOWN_WORST]
    rest = shown.iloc[SHOWN_WORST:]
    chosen = np.random.default_rng(seed).permutation(len(rest))[:SHOWN_RANDOM]
    random = rest.iloc[np.sort(chosen)]

    groups = [("most suspicious", worst), ("chosen at random", random)]
    n_rows = [math.ceil(len(group) / FIGURE_COLUMNS) for _, group in groups]
    total = max(sum(n_rows), 1)
    figure = plt.figure(
        figsize=(4.0 * FIGURE_COLUMNS, 3.3 * total + 0.8), facecolor="white", layout="constrained"
    )
    n_excluded = int((qc["status"] != "pass").sum())
    n_unreadable = sum(picture is None for picture in pictures.values())
    figure.suptitle(
        f"{len(qc)} scans, {len(qc) - n_excluded} passed, {n_excluded} excluded"
        f" ({n_unreadable} without a picture)\n"
        "upper row: raw head with its brain mask; lower row: study grid",
        fontsize=13,
    )
    axes = figure.subplots(total, FIGURE_COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    first = 0
    for (label, group), height in zip(groups, n_rows, strict=True):
        for k, (_, row) in enumerate(group.iterrows()):
            axis = axes[first + k // FIGURE_COLUMNS, k % FIGURE_COLUMNS]
            picture = pictures[row["scan"]]
            if picture is not None:
                with Picture.open(picture) as opened:
                    axis.imshow(np.asarray(opened), interpolation="bicubic")
            passed = row["status"] == "pass"
            note = label if passed else row["reason"]
            axis.set_title(
                f"{row['scan']}\n{row['brain_volume_ml']:.0f} ml, "
                f"r {row['correlation_to_template']:.2f}, "
                f"mask Dice {row['mask_dice_to_template']:.2f}\n{note[:58]}",
                fontsize=8.5,
                color="black" if passed else "#b00020",
                loc="left",
            )
        first += height
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return figure


def _find(batch_dirs: list[Path], name: str) -> Path:
    for folder in batch_dirs:
        if (folder / name).is_file():
            return folder / name
    raise InputError(name, "no batch holds this record", "Preprocess its batch again.")


def _find_picture(batch_dirs: list[Path], scan: str) -> Path | None:
    for folder in batch_dirs:
        if (folder / f"{scan}_qc.jpg").is_file():
            return folder / f"{scan}_qc.jpg"
    return None
