"""Quality control: which scans enter the study, why the others do not, and pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image as Picture

from ldae.data.addresses import Derivative, derivative_address, find_derivative, mask_path
from ldae.data.partition import OK, REPEATS, TAKEN
from ldae.errors import InputError
from ldae.preprocessing.grid import dice
from ldae.preprocessing.likeness import note_likeness
from ldae.preprocessing.limits import exceeded_limits
from ldae.preprocessing.measures import MEASURES
from ldae.preprocessing.repeats import SIDECAR_KEY, note_choice

QC_COLUMNS = ("scan", "status", "reason", *MEASURES, "notes")

SHOWN_WORST, SHOWN_RANDOM, FIGURE_COLUMNS = 8, 8, 4


def quality_control(
    scans: pd.DataFrame,
    batches: pd.DataFrame,
    preprocessed: Path,
    limits: dict[str, Any],
    bids_dir: Path | None = None,
) -> pd.DataFrame:
    """One row per scan: passed or excluded, the reason, and every measure.

    Parameters
    ----------
    scans
        Rows of scans.tsv; all of them appear in the result, in the same order.
    batches
        Tables of `preprocess_batch`, put together.
    preprocessed
        Data set of the preprocessed scans.
    limits
        Section ``quality`` of the configuration.
    bids_dir
        Folder of the raw heads, needed for ``reference_masks``.

    Returns
    -------
    DataFrame
        Columns ``QC_COLUMNS``; ``taken`` and ``repeats`` where repeats compete; and
        ``dice_reference`` if reference masks are given.

    Raises
    ------
    InputError
        If a scan is in no batch, or its files are gone.
    """
    missing = sorted(set(scans["scan"]) - set(batches["scan"]))
    if missing:
        raise InputError(
            "manifest/batches",
            f"{len(missing)} scans are in no batch, first {missing[0]}",
            "Delete the folder and run the workflow again",
        )
    failures = batches[batches["status"] != OK].set_index("scan")["reason"]
    rows = []
    for scan in scans["scan"]:
        measures: dict[str, float | None] = {}
        notes: list[str] = []
        if scan in failures.index:
            reasons = [failures[scan]]
        else:
            sidecar = find_derivative(preprocessed, scan, Derivative.SIDECAR)
            made = json.loads(sidecar.read_text(encoding="utf-8"))
            measures = made["measures"]
            notes = [*made["notes"], note_choice(made.get(SIDECAR_KEY, ()), limits)]
            reasons = exceeded_limits(measures, limits)
        decision = {"status": "excluded" if reasons else "pass", "reason": "; ".join(reasons)}
        numbers = {key: measures.get(key) for key in MEASURES}
        rows.append({"scan": scan} | decision | numbers | {"notes": "; ".join(filter(None, notes))})
    passed = {row["scan"]: row for row in rows if row["status"] == "pass"}
    for scan, note in note_likeness(list(passed), preprocessed).items():
        passed[scan]["notes"] = "; ".join(filter(None, [passed[scan]["notes"], note]))
    qc = pd.DataFrame(rows, columns=list(QC_COLUMNS))
    if TAKEN in batches.columns:
        chosen = batches.set_index("scan").loc[qc["scan"], [TAKEN, REPEATS]]
        qc[[TAKEN, REPEATS]] = chosen.to_numpy()
        alike = (qc["status"] != "pass") & (qc[TAKEN] == "") & (qc[REPEATS] != "")
        qc.loc[alike, "notes"] = "no other repeat could be preprocessed: " + qc[REPEATS][alike]
    if limits["reference_masks"] is not None:
        if bids_dir is None:
            raise ValueError("reference masks need the BIDS folder")
        qc["dice_reference"] = dice_against_reference(
            scans, preprocessed, limits["reference_masks"], bids_dir
        )
    return qc


def dice_against_reference(
    scans: pd.DataFrame, preprocessed: Path, pattern: str, bids_dir: Path
) -> list[float]:
    """Dice of each native mask and a reference segmentation (above zero); NaN where one is missing.

    Parameters
    ----------
    scans
        Rows of scans.tsv.
    preprocessed
        Data set of the preprocessed scans.
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
        ours = preprocessed / derivative_address(row["scan"], Derivative.NATIVE_MASK)
        path = mask_path(pattern, row["path"], bids_dir)
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

    Suspicion is the largest distance of a scan's mask overlap, correlation, volume, contrast or
    signal-to-noise ratio from the cohort's median, in robust SDs. A blurred scan has several times
    the ratio of the others.
    """
    distance = np.zeros(len(qc))
    for measure in (
        "mask_dice_to_template",
        "correlation_to_template",
        "brain_volume_ml",
        "tissue_contrast",
        "signal_to_noise",
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


def plot_quality_control(qc: pd.DataFrame, preprocessed: Path, path: Path, seed: int = 0) -> Figure:
    """Overview: the most suspicious scans and random others, with the outlines of both masks.

    Parameters
    ----------
    qc
        Table of `quality_control`.
    preprocessed
        Data set of the preprocessed scans.
    path
        Picture to write (.png).
    seed
        Seed of the choice of random scans.
    """
    ranked = rank_suspects(qc)
    shown = ranked[[preview_of(preprocessed, scan) is not None for scan in ranked["scan"]]]
    rest = shown.iloc[SHOWN_WORST:]
    chosen = np.random.default_rng(seed).permutation(len(rest))[:SHOWN_RANDOM]
    groups = {
        "most suspicious": shown.iloc[:SHOWN_WORST],
        "chosen at random": rest.iloc[np.sort(chosen)],
    }
    n_rows = [math.ceil(len(group) / FIGURE_COLUMNS) for group in groups.values()]
    total = max(sum(n_rows), 1)
    figure = plt.figure(
        figsize=(4.0 * FIGURE_COLUMNS, 3.3 * total + 0.8), facecolor="white", layout="constrained"
    )
    n_excluded = int((qc["status"] != "pass").sum())
    figure.suptitle(
        f"{len(qc)} scans, {len(qc) - n_excluded} passed, {n_excluded} excluded"
        f" ({len(ranked) - len(shown)} without a picture)\n"
        "upper row: raw head with its brain mask; lower row: study grid",
        fontsize=13,
    )
    axes = figure.subplots(total, FIGURE_COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    first = 0
    for (label, group), height in zip(groups.items(), n_rows, strict=True):
        places = axes[first : first + height].flat
        for axis, (_, row) in zip(places, group.iterrows(), strict=False):
            _draw_scan(axis, row, preprocessed, label)
        first += height
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return figure


def _draw_scan(axis: Axes, row: pd.Series, preprocessed: Path, label: str) -> None:
    """One scan's preview with its main measures, and why it was excluded or is shown."""
    preview = preprocessed / derivative_address(row["scan"], Derivative.PREVIEW)
    with Picture.open(preview) as opened:
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


def preview_of(preprocessed: Path, scan: str) -> Path | None:
    """Preview of a scan; None for a scan that could not be preprocessed."""
    path = preprocessed / derivative_address(scan, Derivative.PREVIEW)
    return path if path.is_file() else None
