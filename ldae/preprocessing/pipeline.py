"""From raw heads to the study grid, one scan or a batch of them."""

from __future__ import annotations

import logging
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from ldae.data.addresses import (
    TEMPLATE,
    Derivative,
    derivative_address,
    hide_labels,
    mask_path,
    raw_labels,
)
from ldae.data.intake.copies import checksum
from ldae.data.manifest import RIVALS
from ldae.data.partition import BATCH_COLUMNS, FAILED, OK, REPEATS, TAKEN
from ldae.data.pieces import NOTHING_KEPT, Pieces
from ldae.errors import InputError, MachineError
from ldae.leakage import note_content
from ldae.packages import check_ants
from ldae.preprocessing.bias import correct_bias, correct_bias_like_ants
from ldae.preprocessing.blame import (
    LOOK,
    describe,
    has_files,
    is_short_of_memory,
    killed_by_scan,
    machine_error,
    name_end,
)
from ldae.preprocessing.brain import check_method, extract_brain
from ldae.preprocessing.dataset import digest_files, remove_files, scan_folders, write_json
from ldae.preprocessing.grid import (
    Image,
)
from ldae.preprocessing.measures import measure, template_on_grid
from ldae.preprocessing.preview import draw_preview
from ldae.preprocessing.registration import (
    DEFORMABLE,
    prepare_template,
    register_brain,
    register_deformable,
)
from ldae.preprocessing.repeats import Outcome, keep_best, own_folder, shown_name
from ldae.preprocessing.resampling import grid_affine, scale_intensity, study_image, to_grid
from ldae.preprocessing.scan import Scan, content_digest, read_scan, to_native
from ldae.preprocessing.workers import Killed, work_in_processes

log = logging.getLogger(__name__)

NO_REGISTRATION = "none"  # scans stay where they lie
REGISTRATIONS = (NO_REGISTRATION, "affine", *DEFORMABLE)
SKULL_STRIPPED = "skull-stripped before"  # brain extraction of a scan that needs none
IN_TEMPLATE_SPACE = "in template space before"  # registration of a scan that needs none
# As Clinica's t1-linear names its scans; the three samplings of this template share one space.
TEMPLATE_SPACE = re.compile(r"_space-MNI152NLin2009[abc]Sym_")
STEPS = ("read", "bias", "brain", "register", "resample", "measure", "write")
PLACE = "place"  # of a row: which repeat of its scan it is, from 1
LOG_EVERY_SECONDS = 30.0
# numpy's, ITK's and torch's own errors: the scan is readable but cannot be processed.
CANNOT_BE_PROCESSED = (
    ValueError, ArithmeticError, RuntimeError, IndexError, AssertionError,
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What the preprocessing of all scans of a batch has in common.

    Attributes
    ----------
    bids_dir
        Folder of the raw heads.
    out_dir
        Data set of the preprocessed scans.
    settings
        Section ``preprocessing`` of the configuration.
    shape
        Shape of the study grid, (H, W, D) in RAS order.
    affine
        Study grid to MNI152 RAS mm, (4, 4).
    """

    bids_dir: Path
    out_dir: Path
    settings: dict[str, Any]
    shape: tuple[int, int, int]
    affine: NDArray[np.floating]

    @property
    def spacing_mm(self) -> float:
        """Edge of a voxel of the study grid."""
        return float(np.linalg.norm(self.affine[:3, 0]))


@dataclass(frozen=True)
class Brain:
    """One scan and what was found of its brain.

    Attributes
    ----------
    scan
        The raw scan.
    corrected
        The same, bias-corrected.
    bias
        SD of the logarithm of the bias field inside the head; NaN without a correction.
    extraction
        How the mask was made.
    mask
        Brain mask on the grid of `corrected`.
    registration
        How the scan was registered.
    to_scan
        Affine from template to scan, RAS mm, (4, 4).
    warp
        Displacements, mm, (H, W, D, 3); None after an affine registration.
    """

    scan: Scan
    corrected: Image
    bias: float
    extraction: str
    mask: NDArray[np.bool_]
    registration: str
    to_scan: NDArray[np.floating]
    warp: Image | None


@dataclass(frozen=True)
class Preprocessed:
    """One scan on the study grid, with everything that leads back to its own grid.

    Attributes
    ----------
    brain
        The scan, its mask, and the transform between scan and template.
    head
        Intensities on the study grid before scaling, (H, W, D).
    volume
        The same in [0, 1], 0 outside the brain, float32.
    mask
        Brain mask on the study grid, bool.
    measures
        Of the quality of all this, by name.
    """

    brain: Brain
    head: NDArray[np.floating]
    volume: NDArray[np.float32]
    mask: NDArray[np.bool_]
    measures: dict[str, float]


def preprocess_image(path: Path, settings: dict[str, Any], grid: dict[str, Any]) -> Preprocessed:
    """Preprocess one raw head as a study does with its own, without writing a file.

    SimpleITK works with one thread in this process from then on: it gives the same bits every time.

    Parameters
    ----------
    path
        NIfTI file.
    settings, grid
        As for :func:`preprocess_batch`; precomputed masks are looked for beside the scan.

    Raises
    ------
    InputError
        If a setting is wrong, or the scan cannot be processed.
    MachineError
        If the machine failed and not the scan.
    """
    task = _make_task(path.absolute().parent, Path(), settings, grid)
    _one_thread()
    row = pd.Series({"scan": path.name, "subject": "", "session": "", "path": path.name})
    with _errors_named(path.name, path):
        return _process(row, path, task, {})


def preprocess_batch(
    scans: pd.DataFrame,
    bids_dir: Path,
    out_dir: Path,
    settings: dict[str, Any],
    grid: dict[str, Any],
    n_workers: int,
    pieces: Pieces = NOTHING_KEPT,
    limits: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Preprocess scans into a BIDS derivative data set; a broken scan fails alone.

    Parameters
    ----------
    scans
        One row per scan: scan, subject, session and path (relative to ``bids_dir``) are read. Of a
        scan with ``rivals`` (a list of paths) the best of all is kept
        (:mod:`ldae.preprocessing.repeats`).
    bids_dir
        Folder of the raw heads.
    out_dir
        The data set; files lie where `ldae.data.addresses` says. Made if missing.
    settings
        Section ``preprocessing`` of the configuration.
    grid
        Section ``grid``: spacing_mm and shape.
    n_workers
        Processes; each uses one thread. 0 works in this process, which a scan may then kill.
    pieces
        Outcomes of scans whose files an earlier attempt has left.
    limits
        Those of the section ``quality``, for scans with rivals.

    Returns
    -------
    DataFrame
        A row per scan, in their order: scan; status, ``ok`` or ``failed``; the reason of a failure,
        else empty; SHA-256 of the scan's files in the order of `Derivative`, empty after a
        failure, which leaves no files; ``taken`` and ``repeats``, the file that was kept of a scan
        with rivals and what the others had, if there is such a scan; and ``seconds_<step>`` of
        each step that was done.

    Raises
    ------
    InputError
        If a setting is wrong, or the brain extraction cannot run here; before any work.
    MachineError
        If the machine failed, see `ldae.preprocessing.blame`: no scan is to blame for that.
    """
    task = _make_task(bids_dir, out_dir, settings, grid)
    rows = [row for _, row in scans.iterrows()]
    done = {str(row["scan"]): pieces.get(row["scan"]) for row in rows}
    waiting = [row for row in rows if done[str(row["scan"])] is None]
    if waiting:  # made once here: forked workers share the pages
        prepare_template()
        template_on_grid(task.shape, task.affine)
    outcomes: dict[str, Outcome] = {}
    n_failed, begun, logged = 0, time.monotonic(), time.monotonic()
    made = _run(waiting, task, n_workers, limits or {})
    for outcome in chain((one[0] for one in done.values() if one), made):
        pieces.put(outcome["scan"], outcome)
        outcomes[outcome["scan"]] = outcome
        if "voxels" in outcome:
            note_content(outcome["scan"], outcome["voxels"])
        if outcome["status"] == FAILED:
            n_failed += 1
            log.warning("%s failed: %s", outcome["scan"], outcome["reason"])
        if time.monotonic() - logged > LOG_EVERY_SECONDS or len(outcomes) == len(rows):
            logged = time.monotonic()
            log.info(
                "%d of %d scans done, %d failed, %.1f s per scan",
                len(outcomes),
                len(rows),
                n_failed,
                (logged - begun) / len(outcomes),
            )
    if n_failed and not has_files(bids_dir):
        problem = "the folder of the raw scans is missing or empty"
        raise MachineError(bids_dir, problem, "Mount it, and start again.")
    choice = (TAKEN, REPEATS) if any(map(_rivals, rows)) else ()
    columns = [*BATCH_COLUMNS, *choice, *(f"seconds_{step}" for step in STEPS)]
    table = pd.DataFrame([outcomes[str(row["scan"])] for row in rows], columns=columns)
    return table.fillna(dict.fromkeys(choice, ""))


def _rivals(row: pd.Series) -> list[str]:
    """Paths of repeats of which one is kept if it is better; empty for most scans."""
    return list(row.get(RIVALS, ()))


def _make_task(
    bids_dir: Path, out_dir: Path, settings: dict[str, Any], grid: dict[str, Any]
) -> Task:
    """What all scans have in common, its settings checked."""
    _check_settings(settings)
    shape = (int(grid["shape"][0]), int(grid["shape"][1]), int(grid["shape"][2]))
    affine = grid_affine(float(grid["spacing_mm"]), shape)
    return Task(bids_dir, out_dir, settings, shape, affine)


def _own_task(row: pd.Series, task: Task) -> Task:
    """The task with the data set that a row's files are written into."""
    if PLACE not in row:
        return task
    return replace(task, out_dir=own_folder(str(row["scan"]), row[PLACE], task.out_dir))


def _of_repeat(row: pd.Series, task: Task) -> Outcome:
    """What the outcome of a repeat has beside that of a scan."""
    if PLACE not in row:
        return {}
    try:
        sha256 = checksum(task.bids_dir / row["path"])
    except InputError:  # it could not be preprocessed either
        sha256 = ""
    return {PLACE: row[PLACE], "name": row["name"], "file_sha256": sha256}


def preprocess_scan(row: pd.Series, task: Task) -> Outcome:
    """Preprocess one scan and write its files; none of a scan that fails.

    A repeat of a scan (its row has a ``place``) has a data set of its own.

    Raises
    ------
    MachineError
        If the machine failed and not the scan.
    """
    scan, path = str(row["scan"]), task.bids_dir / str(row["path"])
    more, task = _of_repeat(row, task), _own_task(row, task)
    seconds: dict[str, float] = {}
    try:
        with _errors_named(scan, path):
            remove_files(scan, task.out_dir)
            done = _process(row, path, task, seconds)
            with _timed(seconds, "write"):
                for folder in scan_folders(scan, task.out_dir):
                    folder.mkdir(parents=True, exist_ok=True)
                _write_images(scan, done, task)
                _write_transform(scan, done.brain, task)
                _write_sidecar(scan, done.brain, done.measures, task)
            digest = digest_files(scan, task.out_dir)
    except InputError as error:
        return _failure(row, error, task, seconds) | more
    except MachineError:
        with suppress(OSError):
            remove_files(scan, task.out_dir)
        raise
    voxels = content_digest(done.brain.scan.image.data)
    found = {"scan": scan, "status": OK, "reason": "", "sha256": digest, "voxels": voxels}
    return found | more | _columns(seconds)


@contextmanager
def _errors_named(scan: str, path: Path) -> Iterator[None]:
    """Turn every error of one scan's processing into an InputError or a MachineError.

    A MachineError gets `scan`, the name that may be shown, an InputError the path.
    """
    try:
        yield
    except InputError:
        raise
    except MachineError as error:
        raise MachineError(scan, error.problem, error.remedy) from error
    except (OSError, MemoryError) as error:
        # The scan's own file is read by `read_scan`, which tells whose fault an error is.
        raise machine_error(scan, error) from error
    except CANNOT_BE_PROCESSED as error:
        if is_short_of_memory(error):
            raise machine_error(scan, error) from error
        lines = str(error).strip().splitlines()
        problem = lines[-1].rstrip(".") if lines else describe(error)
        raise InputError(path, problem, LOOK) from error


def _failure(
    row: pd.Series, error: InputError, task: Task, seconds: dict[str, float] | None = None
) -> Outcome:
    """Outcome of a scan that failed; files that it has already are removed."""
    scan = str(row["scan"])
    remove_files(scan, task.out_dir)
    # The reason must read the same on every machine, and is shown to others: files below the
    # cohort's folder, participant and session by the names that the table of scans gives.
    reason = str(error).replace(f"{task.bids_dir}/", "").replace("\n", " ")
    if not raw_labels(row["path"])[0]:
        # below a table of scans, any part of the path may name the participant
        reason = reason.replace(str(row["path"]), scan)
    reason = hide_labels(reason, row["path"], row)
    outcome = {"scan": scan, "status": FAILED, "reason": reason, "sha256": ""}
    return outcome | _columns(seconds or {})


def _columns(seconds: dict[str, float]) -> dict[str, float]:
    return {f"seconds_{step}": round(value, 3) for step, value in seconds.items()}


def _process(row: pd.Series, path: Path, task: Task, seconds: dict[str, float]) -> Preprocessed:
    """Take one scan through all steps but writing."""
    brain = _find_brain(row, path, task, seconds)
    with _timed(seconds, "resample"):
        head, study_mask = to_grid(
            brain.corrected, brain.mask, brain.to_scan, brain.warp, task.shape, task.affine
        )
        volume = scale_intensity(head, study_mask, task.settings["intensity_percentiles"])
    with _timed(seconds, "measure"):
        native = Image(brain.corrected.data, brain.scan.image.affine)
        measures = measure(native, brain.mask, volume, study_mask, task.affine, brain.to_scan)
        measures["bias_deviation"] = brain.bias
    return Preprocessed(brain, head, volume, study_mask, measures)


def _find_brain(row: pd.Series, path: Path, task: Task, seconds: dict[str, float]) -> Brain:
    """Read one scan, correct its bias field, extract its brain and register it."""
    settings, method = task.settings, task.settings["brain_extraction"]
    with _timed(seconds, "read"):
        scan = read_scan(path)
    corrected, bias = scan.image, float("nan")
    if settings["bias_correction"]:
        with _timed(seconds, "bias"):
            correct = (
                correct_bias_like_ants if settings["bias_correction"] == "ants" else correct_bias
            )
            corrected, bias = correct(scan.image)
    with _timed(seconds, "brain"):
        given, start = None, None
        if method == "precomputed":
            given = mask_path(settings["mask_pattern"], row["path"], task.bids_dir)
        if scan.brain is not None and given is None:
            method, mask = SKULL_STRIPPED, scan.brain
        else:
            mask, start = extract_brain(scan, corrected, method, given)
    registration, warp = settings["registration"], None
    to_scan: NDArray[np.floating] = np.eye(4)
    with _timed(seconds, "register"):
        if TEMPLATE_SPACE.search(Path(row["path"]).name):
            registration = IN_TEMPLATE_SPACE
        elif registration != NO_REGISTRATION:
            to_scan, _ = register_brain(corrected, mask, start)
        if settings["registration"] in DEFORMABLE:
            kind = settings["registration"]
            warp = register_deformable(corrected, mask, to_scan, task.spacing_mm, kind)
    return Brain(scan, corrected, bias, method, mask, registration, to_scan, warp)


def _new_file(scan: str, kind: Derivative, task: Task) -> Path:
    """File of a preprocessed scan, whose folder is there."""
    return task.out_dir / derivative_address(scan, kind)


def _write_images(scan: str, done: Preprocessed, task: Task) -> None:
    """Write volume and masks, and the preview of them."""
    brain, inside = done.brain, done.mask.astype(np.uint8)
    nib.save(study_image(done.volume, task.affine), _new_file(scan, Derivative.VOLUME, task))
    nib.save(study_image(inside, task.affine), _new_file(scan, Derivative.MASK, task))
    native = to_native(brain.mask, brain.scan)
    nib.save(native, _new_file(scan, Derivative.NATIVE_MASK, task))
    preview = _new_file(scan, Derivative.PREVIEW, task)
    draw_preview(brain.corrected, brain.mask, done.volume, done.mask, preview)


def _write_transform(scan: str, brain: Brain, task: Task) -> None:
    """Write the affine, and the warp of a deformable registration."""
    transform: dict[str, Any] = {
        "from": "native",
        "to": TEMPLATE,
        "type": "world-to-world, RAS mm",
        "affine": np.linalg.inv(brain.to_scan).tolist(),
        "warp": None,
    }
    if brain.warp is not None:
        warp = _new_file(scan, Derivative.WARP, task)
        transform["warp"] = warp.name
        transform["warp_use"] = "native = inverse(affine) @ (template + warp(template))"
        nib.save(nib.Nifti1Image(brain.warp.data, brain.warp.affine), warp)
    write_json(transform, _new_file(scan, Derivative.TRANSFORM, task))


def _write_sidecar(scan: str, brain: Brain, measures: dict[str, float], task: Task) -> None:
    """Write how the volume was made, with the measures of its quality."""
    native = brain.scan.native
    sidecar = {
        "SkullStripped": True,
        "brain_extraction": brain.extraction,
        "registration": brain.registration,
        "native": {
            "shape": list(native.shape),
            "spacing_mm": [round(float(z), 4) for z in native.header.get_zooms()[:3]],
            "orientation": "".join(str(c) for c in nib.aff2axcodes(native.affine)),
            "affine": np.asarray(native.affine).tolist(),
        },
        "notes": list(brain.scan.notes),
        "measures": {k: round(v, 4) if np.isfinite(v) else None for k, v in measures.items()},
    }
    write_json(sidecar, _new_file(scan, Derivative.SIDECAR, task))


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
    check_ants(settings)


def _run(
    rows: list[pd.Series], task: Task, n_workers: int, limits: Mapping[str, Any]
) -> Iterator[Outcome]:
    """Outcomes of all rows, as they finish; of rivals, that of the one that is kept."""
    n_rivals = {str(row["scan"]): len(_rivals(row)) for row in rows}
    waiting: defaultdict[str, list[Outcome]] = defaultdict(list)
    files = [one for row in rows for one in _files(row)]
    for outcome in _run_files(files, task, n_workers):
        scan = str(outcome["scan"])
        if not n_rivals[scan]:
            yield outcome
            continue
        waiting[scan].append(outcome)
        if len(waiting[scan]) > n_rivals[scan]:
            try:
                yield keep_best(waiting.pop(scan), task.out_dir, limits)
            except OSError as error:
                raise machine_error(scan, error) from error


def _files(row: pd.Series) -> Iterator[pd.Series]:
    """The row of a scan, or a row for each of its rivals, with its place in their order."""
    paths = [row["path"], *_rivals(row)]
    if len(paths) == 1:
        yield row
        return
    for place, path in enumerate(paths, start=1):
        given = row.to_dict() | {"path": path, PLACE: place}
        yield pd.Series(given | {"name": shown_name(row, path, place)})


def _run_files(rows: list[pd.Series], task: Task, n_workers: int) -> Iterator[Outcome]:
    """Outcomes of all files, as they finish."""
    if n_workers == 0:
        _one_thread()
        for row in rows:
            yield preprocess_scan(row, task)
        return
    work = partial(preprocess_scan, task=task)
    for outcome in work_in_processes(work, rows, n_workers, _one_thread):
        yield _killed(outcome, task) if isinstance(outcome, Killed) else outcome


def _killed(killed: Killed[pd.Series], task: Task) -> Outcome:
    """Outcome of a scan whose process was killed twice, the second time while it was alone.

    Raises
    ------
    MachineError
        If something else killed the process.
    """
    row, end = killed.item, name_end(killed.code)
    if not killed_by_scan(killed.code):
        problem = f"the process that worked on this scan alone was killed ({end})"
        remedy = "Give the job more memory or time, and start again."
        raise MachineError(str(row["scan"]), problem, remedy)
    problem = f"the process that worked on it was killed twice ({end})"
    error = InputError(task.bids_dir / str(row["path"]), problem, LOOK)
    return _failure(row, error, _own_task(row, task)) | _of_repeat(row, task)


def _one_thread() -> None:
    """One ITK thread per process: same bits every time, and no more cores than were given."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"  # ANTs has an ITK of its own
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    begun = time.perf_counter()
    try:
        yield
    finally:
        seconds[step] = time.perf_counter() - begun
