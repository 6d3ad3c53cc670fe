"""From raw heads to the study grid, one scan or a batch of them."""

from __future__ import annotations

import json
import logging
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from ldae.errors import InputError
from ldae.preprocessing.bias import correct_bias
from ldae.preprocessing.brain import check_method, extract_brain, mask_path
from ldae.preprocessing.grid import (
    Image,
    antialias,
    apply_affine,
    crop,
    grid_points,
    sample,
    study_affine,
)
from ldae.preprocessing.measures import measure
from ldae.preprocessing.preview import draw_preview
from ldae.preprocessing.registration import register_brain, register_deformable
from ldae.preprocessing.scan import read_scan, to_native
from ldae.preprocessing.template import TEMPLATE_NAME, brain_box_mm, load_template

log = logging.getLogger(__name__)

REGISTRATIONS = ("affine", "demons")
OUTPUTS = (
    "T1w.nii.gz",
    "mask.nii.gz",
    "desc-native_mask.nii.gz",
    "xfm.json",
    "warp.nii.gz",
    "qc.jpg",
)
LOG_EVERY_SECONDS = 30.0
LOOK = "Look at the scan; exclude it if it is no whole T1w head."
# numpy's, ITK's and torch's own errors: the scan is readable but cannot be processed.
CANNOT_BE_PROCESSED = (
    ValueError, ArithmeticError, RuntimeError, OSError, LookupError, AssertionError, MemoryError,
)  # fmt: skip
# Room around the native brain that cubic interpolation reads (voxels).
CUBIC_MARGIN = 4


def preprocess_batch(
    scans: pd.DataFrame,
    bids_dir: Path,
    out_dir: Path,
    settings: dict[str, Any],
    grid: dict[str, Any],
    n_workers: int,
) -> None:
    """Preprocess scans into ``out_dir``; a broken scan leaves only its ``{scan}_qc.json``.

    Parameters
    ----------
    scans
        Rows of scans.tsv: scan, subject, session and path (relative to ``bids_dir``) are read.
    bids_dir
        Folder of the raw heads.
    out_dir
        Where each scan's files go; made if missing.
    settings
        Section ``preprocessing`` of the configuration.
    grid
        Section ``grid``: spacing_mm and shape.
    n_workers
        Processes; each uses one thread. 1 works in this process.

    Raises
    ------
    InputError
        If a setting is wrong, or the brain extraction cannot run here; before any work.
    """
    _check_settings(settings)
    shape = (int(grid["shape"][0]), int(grid["shape"][1]), int(grid["shape"][2]))
    affine = grid_affine(float(grid["spacing_mm"]), shape)
    out_dir.mkdir(parents=True, exist_ok=True)
    rows = [row for _, row in scans.iterrows()]
    # Read once here; forked workers share the pages.
    load_template()

    n_failed, begun, told = 0, time.monotonic(), time.monotonic()
    for done, (scan, reason) in enumerate(
        _run(rows, (bids_dir, out_dir, settings, shape, affine), n_workers), start=1
    ):
        if reason:
            n_failed += 1
            log.warning("%s failed: %s", scan, reason)
        if time.monotonic() - told > LOG_EVERY_SECONDS or done == len(rows):
            told = time.monotonic()
            log.info(
                "%d of %d scans done, %d failed, %.1f s per scan",
                done,
                len(rows),
                n_failed,
                (told - begun) / done,
            )


def grid_affine(spacing_mm: float, shape: tuple[int, int, int]) -> NDArray[np.floating]:
    """Affine of the study grid, centred on the box of the template's brain; RAS mm, (4, 4)."""
    return study_affine(spacing_mm, shape, brain_box_mm().mean(axis=0))


def preprocess_scan(
    row: pd.Series,
    bids_dir: Path,
    out_dir: Path,
    settings: dict[str, Any],
    shape: tuple[int, int, int],
    affine: NDArray[np.floating],
) -> str:
    """Preprocess one scan and write its files; returns the reason when it failed, else ''."""
    name = str(row["scan"])
    for ending in (*OUTPUTS, "qc.json"):
        (out_dir / f"{name}_{ending}").unlink(missing_ok=True)
    path = bids_dir / str(row["path"])
    seconds: dict[str, float] = {}
    report: dict[str, Any] = {"scan": name, "status": "ok", "reason": ""}
    try:
        report |= _process(row, path, bids_dir, out_dir, settings, shape, affine, seconds)
    except InputError as error:
        report |= {"status": "failed", "reason": str(error)}
    except CANNOT_BE_PROCESSED as error:
        problem = str(error).strip().split("\n")[-1].rstrip(".") or type(error).__name__
        reason = InputError(path, problem, LOOK)
        report |= {"status": "failed", "reason": str(reason)}
    report["seconds"] = {step: round(value, 3) for step, value in seconds.items()}
    return _write_report(report, row, bids_dir, out_dir)


def _write_report(report: dict[str, Any], row: pd.Series, bids_dir: Path, out_dir: Path) -> str:
    """Write a scan's report, and of a failed scan nothing else; returns the reason."""
    name = report["scan"]
    if report["status"] == "failed":
        for ending in OUTPUTS:
            (out_dir / f"{name}_{ending}").unlink(missing_ok=True)
        # The reason must read the same on every machine, and is shown to others: files below the
        # cohort's folder, the person by the name that the table of scans gives.
        reason = report["reason"].replace(f"{bids_dir}/", "").replace("\n", " ")
        label = Path(str(row["path"])).parts[0]
        report["reason"] = reason.replace(label, str(row["subject"]))
    (out_dir / f"{name}_qc.json").write_text(json.dumps(report, indent=1) + "\n")
    return str(report["reason"])


def _process(
    row: pd.Series,
    path: Path,
    bids_dir: Path,
    out_dir: Path,
    settings: dict[str, Any],
    shape: tuple[int, int, int],
    affine: NDArray[np.floating],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Take one scan through all steps; return what its record says of them."""
    name, method = str(row["scan"]), settings["brain_extraction"]
    spacing = float(np.linalg.norm(affine[:3, 0]))
    with _timed(seconds, "read"):
        scan = read_scan(path)
    corrected, bias = scan.image, float("nan")
    if settings["bias_correction"]:
        with _timed(seconds, "bias"):
            corrected, bias = correct_bias(scan.image)
    with _timed(seconds, "brain"):
        at_hand = (
            mask_path(settings["mask_pattern"], row, bids_dir) if method == "precomputed" else None
        )
        mask, start = extract_brain(scan, corrected, method, at_hand)
    with _timed(seconds, "register"):
        to_scan, _ = register_brain(corrected, mask, start)
        warp = None
        if settings["registration"] == "demons":
            warp = register_deformable(corrected, mask, to_scan, spacing)
    with _timed(seconds, "resample"):
        head, study_mask = to_grid(corrected, mask, to_scan, warp, shape, affine)
        volume = scale_intensity(head, study_mask, settings["intensity_percentiles"])
    with _timed(seconds, "measure"):
        measures = measure(
            Image(corrected.data, scan.image.affine), mask, volume, study_mask, affine, to_scan
        )
        measures["bias_deviation"] = bias
    with _timed(seconds, "write"):
        outputs: dict[str, np.ndarray] = {"T1w": volume, "mask": study_mask.astype(np.uint8)}
        for suffix, values in outputs.items():
            nib.save(_study_image(values, affine), out_dir / f"{name}_{suffix}.nii.gz")
        nib.save(to_native(mask, scan), out_dir / f"{name}_desc-native_mask.nii.gz")
        transform: dict[str, Any] = {
            "from": "native",
            "to": TEMPLATE_NAME,
            "type": "world-to-world, RAS mm",
            "affine": np.linalg.inv(to_scan).tolist(),
            "warp": None,
        }
        if warp is not None:
            transform["warp"] = f"{name}_warp.nii.gz"
            transform["warp_use"] = "native = inverse(affine) @ (template + warp(template))"
            nib.save(nib.Nifti1Image(warp.data, warp.affine), out_dir / transform["warp"])
        (out_dir / f"{name}_xfm.json").write_text(json.dumps(transform, indent=1) + "\n")
        draw_preview(corrected, mask, volume, study_mask, out_dir / f"{name}_qc.jpg")
    return {
        "brain_extraction": method,
        "registration": settings["registration"],
        "native": {
            "shape": list(scan.native.shape),
            "spacing_mm": [round(float(z), 4) for z in scan.native.header.get_zooms()[:3]],
            "orientation": "".join(str(c) for c in nib.aff2axcodes(scan.native.affine)),
            "affine": np.asarray(scan.native.affine).tolist(),
        },
        "measures": {k: round(v, 4) if np.isfinite(v) else None for k, v in measures.items()},
    }


def to_grid(
    image: Image,
    mask: NDArray[np.bool_],
    to_scan: NDArray[np.floating],
    warp: Image | None,
    shape: tuple[int, int, int],
    affine: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Scan and mask on the study grid, by one interpolation through the composed transform.

    The scan is blurred to the grid's voxel size first where the grid is coarser, so that nothing
    aliases, and read by cubic splines; the mask is read linearly and cut at one half.

    Returns
    -------
    Intensities (H, W, D), not yet masked; and the mask, bool.
    """
    spacing = float(np.linalg.norm(affine[:3, 0]))
    voxels = np.argwhere(mask)
    reach = CUBIC_MARGIN + np.ceil(spacing / image.spacing).astype(int) * 2
    low = np.maximum(voxels.min(axis=0) - reach, 0)
    high = np.minimum(voxels.max(axis=0) + reach + 1, mask.shape)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    points = grid_points(shape, affine)
    if warp is not None:
        points = points + np.stack(
            [sample(Image(warp.data[..., k], warp.affine), points, order=1) for k in range(3)],
            axis=-1,
        )
    points = apply_affine(to_scan, points)
    head = sample(antialias(crop(image, box), spacing), points, order=3)
    inside = antialias(crop(Image(mask.astype(np.float32), image.affine), box), spacing)
    return head, sample(inside, points, order=1) > 0.5


def scale_intensity(
    head: NDArray[np.floating], mask: NDArray[np.bool_], percentiles: list[float]
) -> NDArray[np.float32]:
    """Intensities in [0, 1]: two percentiles inside the mask go to 0 and 1, zero outside the mask.

    Raises
    ------
    ValueError
        If the mask is empty or the two percentiles are equal.
    """
    if not mask.any():
        raise ValueError("the brain lies outside the study grid")
    low, high = np.percentile(head[mask], percentiles)
    if not high > low:
        raise ValueError("the brain has no contrast")
    scaled = np.clip((head - low) / (high - low), 0.0, 1.0)
    return np.where(mask, scaled, 0.0).astype(np.float32)


def _study_image(values: np.ndarray, affine: NDArray[np.floating]) -> nib.Nifti1Image:
    image = nib.Nifti1Image(values, affine)
    image.set_sform(affine, code="mni")
    image.set_qform(affine, code="mni")
    image.header.set_xyzt_units("mm")
    return image


def _check_settings(settings: dict[str, Any]) -> None:
    check_method(settings["brain_extraction"])
    if settings["registration"] not in REGISTRATIONS:
        raise InputError(
            "preprocessing.registration",
            f"'{settings['registration']}' is unknown",
            f"Choose one of {', '.join(REGISTRATIONS)}.",
        )
    low, high = settings["intensity_percentiles"]
    if not 0 <= low < high <= 100:
        raise InputError(
            "preprocessing.intensity_percentiles",
            f"[{low}, {high}] is no increasing pair within 0 to 100",
            "Give for example [0.5, 99.5].",
        )


def _run(
    rows: list[pd.Series], shared: tuple[Any, ...], n_workers: int
) -> Iterator[tuple[str, str]]:
    """Scan name and reason of failure ('' if none) of every row, as they finish."""
    if n_workers <= 1:
        _one_thread()
        for row in rows:
            yield str(row["scan"]), preprocess_scan(row, *shared)
        return
    left = {str(row["scan"]): row for row in rows}
    try:
        for scan, reason in _run_in_workers(rows, shared, n_workers):
            del left[scan]
            yield scan, reason
    except BrokenProcessPool:  # a worker was killed, and took the others' jobs with it
        for scan, row in left.items():
            yield scan, _run_alone(row, shared)


def _run_in_workers(
    rows: list[pd.Series], shared: tuple[Any, ...], n_workers: int
) -> Iterator[tuple[str, str]]:
    """As :func:`_run`, in processes of their own.

    Raises
    ------
    BrokenProcessPool
        If the system killed one, for want of memory or a fault in a library.
    """
    # Fork: a spawned worker would run the calling script again, which a Snakemake script
    # does not survive.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_one_thread) as pool:
        jobs = {pool.submit(preprocess_scan, row, *shared): str(row["scan"]) for row in rows}
        for job in as_completed(jobs):
            yield jobs[job], job.result()


def _run_alone(row: pd.Series, shared: tuple[Any, ...]) -> str:
    """Reason of failure of one scan; it may kill its process."""
    try:
        ((_, reason),) = _run_in_workers([row], shared, 1)
    except BrokenProcessPool:
        bids_dir, out_dir = shared[:2]
        path = bids_dir / str(row["path"])
        killed = InputError(path, "the process that worked on it was killed", LOOK)
        report: dict[str, Any] = {"scan": str(row["scan"]), "status": "failed"}
        report |= {"reason": str(killed), "seconds": {}}
        return _write_report(report, row, bids_dir, out_dir)
    return reason


def _one_thread() -> None:
    """One ITK thread per process: same bits every time, and no more cores than were given."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    begun = time.perf_counter()
    try:
        yield
    finally:
        seconds[step] = time.perf_counter() - begun
