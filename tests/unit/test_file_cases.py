"""Every kind of file that a cohort may hold: taken, or failed alone with its reason."""

from __future__ import annotations

import errno
import gzip
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from cases_page import page_cases, quoted
from examples import EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from test_preprocessing_pipeline import GRID, LIMITS, SETTINGS, make_head

from ldae.data.addresses import Derivative, derivative_address
from ldae.errors import InputError, MachineError
from ldae.preprocessing import pipeline, preprocess_batch
from ldae.preprocessing import scan as scan_module
from ldae.preprocessing.blame import killed_by_scan
from ldae.preprocessing.grid import Image, dice
from ldae.preprocessing.measures import bright_outside
from ldae.preprocessing.quality import quality_control
from ldae.preprocessing.registration import register_brain
from ldae.preprocessing.scan import read_scan
from ldae.provenance.places import Places
from ldae.provenance.record import describe_files

HEAD, BRAIN, TRUTH = make_head(0)
INTEGERS = np.round(HEAD.data).astype(np.int16)
AFFINE = np.asarray(HEAD.affine)
EXCLUDED, TAKEN_AS_THEY_ARE = "Files that are excluded", "Files that are taken"
NOBODY = 65534
Case = Callable[[Path], object]
"""Writes a file at this path, or near it, and returns where if it is another one."""


def image(data: np.ndarray, affine: np.ndarray | None = AFFINE) -> nib.Nifti1Image:
    """A head as converters write it: both form codes are set, the unit is mm."""
    made = nib.Nifti1Image(data, affine)
    if affine is not None:
        made.set_sform(affine, code="scanner")
        made.set_qform(affine, code="scanner")
    made.header.set_xyzt_units("mm")
    return made


def saved(change: Callable[[], nib.Nifti1Image]) -> Case:
    return lambda path: nib.save(change(), path)


def values(data: np.ndarray, affine: np.ndarray = AFFINE) -> Case:
    return saved(lambda: image(data, affine))


def colours() -> nib.Nifti1Image:
    channels = [(name, "u1") for name in "RGB"]
    data = np.zeros(HEAD.data.shape, np.dtype(channels))
    data["R"] = np.clip(INTEGERS, 0, 255)
    return image(data)


def transparent_colours() -> nib.Nifti1Image:
    return image(np.zeros(HEAD.data.shape, np.dtype([(name, "u1") for name in "RGBA"])))


def with_holes(where: Any, value: float = np.nan) -> np.ndarray:
    data = INTEGERS.astype(np.float32)
    data[where] = value
    return data


def truncated(path: Path) -> None:
    nib.save(image(INTEGERS), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damaged(path: Path) -> None:
    nib.save(image(INTEGERS), path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)


def content(data: bytes) -> Case:
    return lambda path: path.write_bytes(data)


def compressed(path: Path) -> Path:
    path = path.with_suffix("")
    path.write_bytes(gzip.compress(image(INTEGERS).to_bytes()))
    return path


def link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "annex" / "object")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def resized_sform(factor: float, qform: bool, turned: bool = False) -> nib.Nifti1Image:
    made = image(INTEGERS)
    larger = AFFINE @ np.diag([factor, factor, factor, 1.0])
    if turned:
        larger = larger @ np.array([[-1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    made.header["srow_x"], made.header["srow_y"], made.header["srow_z"] = larger[:3]
    made.header["sform_code"], made.header["qform_code"] = 1, int(qform)
    return nib.Nifti1Image(made.dataobj, None, made.header)


def raw_header(**fields: Any) -> Case:
    """A head whose header has these fields, written as they are."""

    def write(path: Path) -> None:
        made = image(INTEGERS)
        data = made.to_bytes()[348:]
        header = nib.Nifti1Header(image(INTEGERS).to_bytes()[:348], check=False)
        for name, value in fields.items():
            header[name] = value
        path.write_bytes(gzip.compress(header.binaryblock + data))

    return write


def thick_slices() -> nib.Nifti1Image:
    affine = AFFINE @ np.diag([1.0, 1.0, 2.5, 1.0])
    return image(INTEGERS[:, :, ::2][:, :, :28], affine)


FAULTS: dict[str, tuple[Case, str]] = {
    "colours": (saved(colours), "its voxels are colours (R, G, B)"),
    "transparent colours": (saved(transparent_colours), "its voxels are colours (R, G, B, A)"),
    "complex": (values(INTEGERS.astype(np.complex64)), "its voxels are complex numbers"),
    "several volumes": (values(np.stack([INTEGERS] * 3, axis=-1)), "(50, 60, 56, 3)"),
    "a vector per voxel": (values(INTEGERS[..., None, None].repeat(3, axis=-1)), "56, 1, 3)"),
    "one slice": (values(INTEGERS[:, :, 28:29]), "fewer than 8 voxels"),
    "NaN in the brain": (values(with_holes((25, 30, 30))), "1 voxels inside the head are NaN"),
    "infinity in the brain": (values(with_holes((25, 30, 30), np.inf)), "1 voxels inside"),
    "slices of NaN": (values(with_holes(np.s_[:, :, 30:32])), "6000 voxels inside the head"),
    "all NaN": (values(np.full(HEAD.data.shape, np.nan, np.float32)), "every voxel is NaN"),
    "constant": (values(np.full(HEAD.data.shape, 7, np.int16)), "every voxel is 7"),
    "all zero": (values(np.zeros(HEAD.data.shape, np.int16)), "every voxel is 0"),
    "truncated gzip": (truncated, "its data cannot be read"),
    "damaged gzip": (damaged, "its data cannot be read"),
    "zero bytes": (content(b""), "the file is empty (0 bytes)"),
    "zero bytes, compressed": (content(gzip.compress(b"")), "it cannot be opened as NIfTI"),
    "text": (content(gzip.compress(b"no image" * 100)), "it cannot be opened as NIfTI"),
    "nii that is called nii.gz": (
        content(image(INTEGERS).to_bytes()),
        "its name ends in .gz, but it is not compressed",
    ),
    "nii.gz that is called nii": (compressed, "its name does not end in .gz"),
    "sform without a qform": (
        saved(lambda: resized_sform(1.1, qform=False)),
        "its sform has voxels of 4.4x4.4x4.4 mm, its header of 4x4x4 mm",
    ),
    "sform against a turned qform": (
        saved(lambda: resized_sform(1.1, qform=True, turned=True)),
        "its qform has other axes",
    ),
    "no form": (raw_header(sform_code=0, qform_code=0), "its orientation is unknown"),
    "unit of metres": (raw_header(xyzt_units=1), "its header gives positions in metres"),
    "unit of microns": (raw_header(xyzt_units=3), "its header gives positions in microns"),
    "voxels of 0.004 mm": (values(INTEGERS, AFFINE * 1e-3), "are implausible"),
    "voxels of 4000 mm": (values(INTEGERS, AFFINE * 1e3), "are implausible"),
    "slices of 10 mm": (saved(thick_slices), "its voxels of 4x4x10 mm are implausible"),
    "too many voxels": (raw_header(dim=[3, 9000, 9000, 9000, 1, 1, 1, 1]), "600,000,000 voxels"),
    "a negative size": (raw_header(dim=[3, -50, 60, 56, 1, 1, 1, 1]), "it has shape"),
    "an unknown type": (raw_header(datatype=9999), "it cannot be opened as NIfTI"),
    "data behind the end": (raw_header(vox_offset=1e15), "its data cannot be read"),
    "a folder": (lambda path: path.mkdir(), "there is no such file"),
    "no file": (lambda path: None, "there is no such file"),
    "a link to nothing": (link_to_nothing, "the file is a link to nothing"),
    "a link to itself": (link_to_itself, "the file is a link to nothing"),
}


def test_the_page_lists_these_cases() -> None:
    assert set(page_cases(EXCLUDED)) == set(FAULTS)
    assert set(page_cases(TAKEN_AS_THEY_ARE)) == set(TAKEN)
    assert set(page_cases("Skull-stripped files")) == set(CUT_OUT)
    assert set(ERRORS_OF_MACHINES) <= set(page_cases("Failures of the machine"))


def written(case: Case, folder: Path, name: str = "sub-01_T1w.nii.gz") -> Path:
    """The file of a case."""
    path = folder / name
    found = case(path)
    return found if isinstance(found, Path) else path


@contextmanager
def unprivileged() -> Iterator[None]:
    """Without the right of the superuser to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def limited(what: int, soft: int) -> Iterator[None]:
    """With a limit that the system sets to processes."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


@pytest.fixture
def reachable(tmp_path: Path) -> Iterator[Path]:
    """A folder that everybody can enter; those of pytest belong to one user."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def cohort(folder: Path, *cases: Case) -> pd.DataFrame:
    """Scans of a folder, one for each case."""
    rows = []
    for number, case in enumerate(cases):
        name = f"sub-{number:02d}"
        (folder / name).mkdir(parents=True)
        path = written(case, folder / name, f"{name}_T1w.nii.gz").relative_to(folder)
        rows.append({"scan": name, "subject": name, "session": "", "path": str(path)})
    return pd.DataFrame(rows)


def preprocessed(
    folder: Path, *cases: Case, n_workers: int = 0, **settings: Any
) -> tuple[pd.DataFrame, Path]:
    """Table of a batch, and its data set."""
    scans, out = cohort(folder / "bids", *cases), folder / "out"
    table = preprocess_batch(scans, folder / "bids", out, SETTINGS | settings, GRID, n_workers)
    return table, out


def loaded(out: Path, kind: Derivative, number: int = 0) -> np.ndarray:
    path = out / derivative_address(f"sub-{number:02d}", kind)
    return np.asarray(nib.load(path).dataobj)


def judged(table: pd.DataFrame, out: Path) -> pd.DataFrame:
    return quality_control(table[["scan"]], table, out, LIMITS)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named(tmp_path: Path, name: str) -> None:
    case, reason = FAULTS[name]
    path = written(case, tmp_path)
    with pytest.raises(InputError) as caught:
        read_scan(path)
    message = str(caught.value)
    assert reason in message
    assert quoted(EXCLUDED, name) and all(part in message for part in quoted(EXCLUDED, name))
    assert message.startswith(f"{path}: ") and message.endswith(".") and "\n" not in message


def test_faults_fail_alone(tmp_path: Path) -> None:
    """All of them in one batch, with a head before and one behind them."""
    good = values(INTEGERS)
    cases = [good, *(case for case, _ in FAULTS.values()), good]
    table, out = preprocessed(tmp_path, *cases, n_workers=2)
    assert table["status"].tolist() == ["ok", *["failed"] * len(FAULTS), "ok"]
    for reason, (_, expected) in zip(table["reason"][1:], FAULTS.values(), strict=False):
        assert expected in reason and reason.startswith("sub-")
    qc = judged(table, out)
    assert qc["status"].tolist() == ["pass", *["excluded"] * len(FAULTS), "pass"]


def test_what_must_not_be_read_fails_alone(reachable: Path) -> None:
    path = written(values(INTEGERS), reachable)
    path.chmod(0)
    with unprivileged(), pytest.raises(InputError, match="permission denied"):
        read_scan(path)
    (reachable / "closed").mkdir(mode=0)
    with unprivileged(), pytest.raises(InputError, match="permission denied"):
        read_scan(reachable / "closed" / "sub-01_T1w.nii.gz")


def test_a_record_leaves_out_what_must_not_be_read(reachable: Path) -> None:
    for name in ("a", "b"):
        (reachable / name).write_bytes(b"x")
    (reachable / "b").chmod(0)
    places = Places(reachable)
    with unprivileged():
        found = describe_files([reachable / "a", reachable / "b"], places)
    assert [Path(file["path"]).name for file in found] == ["a"]


SOUND = image(INTEGERS).to_bytes()


@given(st.dictionaries(st.integers(4, 343), st.integers(0, 255), min_size=1, max_size=12))
@settings(parent=EXAMPLES, max_examples=150)
def test_a_header_of_any_bytes_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, changed: dict[int, int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "sub-01_T1w.nii"
    header = bytearray(SOUND[:352])
    for place, byte in changed.items():
        header[place] = byte
    path.write_bytes(bytes(header) + SOUND[352:])
    try:
        assert np.isfinite(read_scan(path).image.data).all()
    except InputError as error:
        assert "\n" not in str(error)


Z_SCORED = ((INTEGERS - INTEGERS.mean()) / INTEGERS.std()).astype(np.float32)
NO_AIR = np.where(INTEGERS > 60, INTEGERS, 0)
DARKEST = np.percentile(NO_AIR[NO_AIR > 0], 0.1)


def z_scored_inside(data: np.ndarray) -> np.ndarray:
    inside = data > 0
    scaled = (data - data[inside].mean()) / data[inside].std()
    return np.where(inside, scaled, 0.0).astype(np.float32)


def surrounded(data: np.ndarray, value: float) -> np.ndarray:
    """Padded by voxels without data."""
    padded = np.full(data.shape, value, np.float32)
    box = np.s_[3:-3, 3:-3, :]
    padded[box] = data[box]
    return padded


TAKEN: dict[str, tuple[Case, np.ndarray, str]] = {
    "as it comes": (values(INTEGERS), INTEGERS, ""),
    "one volume in 4-D": (values(INTEGERS[..., None]), INTEGERS, ""),
    "NIfTI-2": (saved(lambda: nib.Nifti2Image(INTEGERS, AFFINE)), INTEGERS, ""),
    "float64": (values(INTEGERS.astype(float)), INTEGERS, ""),
    "no unit": (raw_header(xyzt_units=0), INTEGERS, ""),
    "sform off by 0.5 %": (saved(lambda: resized_sform(1.005, qform=True)), INTEGERS, ""),
    "sform off by 10 %": (
        saved(lambda: resized_sform(1.1, qform=True)), INTEGERS, "the qform was used",
    ),
    "NaN in the air": (
        values(with_holes(np.s_[1:4, 1:4, 50])), with_holes(np.s_[1:4, 1:4, 50], INTEGERS.min()),
        "9 voxels outside the head were NaN or infinite and became air",
    ),
    "NaN around the picture": (
        values(surrounded(INTEGERS, np.nan)), surrounded(INTEGERS, INTEGERS.min()),
        "voxels outside the head were NaN",
    ),
    "an offset": (values(INTEGERS - 300), INTEGERS, "began at -300 and were raised"),
    "z-scored": (values(Z_SCORED), INTEGERS, "were raised to begin at 0"),
    "z-scored without air": (
        values(z_scored_inside(NO_AIR)), np.maximum(NO_AIR - DARKEST, 0),
        "were raised to begin at 0",
    ),
    "a mark for no data": (
        values(surrounded(INTEGERS, -2000)), surrounded(INTEGERS, 0), "",
    ),
    "dips of a spline": (values(with_holes(np.s_[20:22, 20, 20], -9.0)), INTEGERS, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_file_is_taken(tmp_path: Path, name: str) -> None:
    """Values are those of the head as it came from the scanner, up to their scale."""
    case, expected, note = TAKEN[name]
    scan = read_scan(written(case, tmp_path))
    notes, on_page = " ".join(scan.notes), quoted(TAKEN_AS_THEY_ARE, name)
    assert note in notes and bool(note) == bool(scan.notes) == bool(on_page)
    assert all(part in notes for part in on_page)
    assert scan.brain is None, "a head is no skull-stripped brain"
    np.testing.assert_allclose(scan.image.spacing, 4.0, rtol=0.006)
    found = scan.image.data
    assert found.min() >= 0 and np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9995
    np.testing.assert_array_equal(scan.native.get_fdata().ravel(), found.ravel())
    air = np.asarray(expected) < 10
    assert found[air].mean() < 0.02 * found.max()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """The head as it comes, preprocessed."""
    return preprocessed(tmp_path_factory.mktemp("whole"), values(INTEGERS))


@pytest.mark.parametrize("name", ["an offset", "z-scored", "NaN in the air", "sform off by 10 %"])
def test_the_brain_is_that_of_the_head_as_it_came(
    tmp_path: Path, whole: tuple[pd.DataFrame, Path], name: str
) -> None:
    table, out = preprocessed(tmp_path, TAKEN[name][0])
    before, after = (loaded(place, Derivative.NATIVE_MASK) > 0 for place in (whole[1], out))
    assert dice(before, after) > 0.998
    volumes = (loaded(place, Derivative.VOLUME) for place in (whole[1], out))
    np.testing.assert_allclose(*volumes, atol=0.02)
    qc = judged(table, out)
    assert qc.loc[0, "status"] == "pass" and TAKEN[name][2] in qc.loc[0, "notes"]


STRIPPED = np.where(BRAIN, INTEGERS, 0)
HOLE = np.zeros(BRAIN.shape, int)
HOLE[24:26, 30, 30] = 1
CUT_OUT: dict[str, np.ndarray] = {
    "zero around": STRIPPED,
    "NaN around": np.where(BRAIN, HEAD.data, np.nan),
    "NaN around and in a hole": np.where(BRAIN & (HOLE == 0), HEAD.data, np.nan),
    "an offset": STRIPPED - 300,
    "z-scored": z_scored_inside(STRIPPED),
    "without a margin": STRIPPED[ndimage.find_objects(BRAIN.astype(int))[0]],
}


@pytest.mark.parametrize("name", CUT_OUT)
def test_a_skull_stripped_scan_keeps_its_own_outline(tmp_path: Path, name: str) -> None:
    table, out = preprocessed(tmp_path, values(CUT_OUT[name]))
    assert table.loc[0, "reason"] == ""
    mask = loaded(out, Derivative.NATIVE_MASK) > 0
    assert abs(mask.sum() / BRAIN.sum() - 1) < 0.005
    qc = judged(table, out)
    assert "skull-stripped already" in qc.loc[0, "notes"]
    assert qc.loc[0, "status"] == "pass", qc.loc[0, "reason"]
    sidecar = out / derivative_address("sub-00", Derivative.SIDECAR)
    assert json.loads(sidecar.read_text())["brain_extraction"] == "skull-stripped before"


@pytest.mark.parametrize("padded", [False, True])
def test_a_picture_that_cuts_the_brain_is_excluded(tmp_path: Path, padded: bool) -> None:
    top = int(np.argwhere(BRAIN)[:, 2].max())
    data = INTEGERS.copy()
    data[:, :, top - 8 :] = 0
    case = values(data) if padded else values(data[:, :, : top - 8])
    table, out = preprocessed(tmp_path, case)
    qc = judged(table, out)
    assert qc.loc[0, "status"] == "excluded"
    assert "cut_area_cm2" in qc.loc[0, "reason"]


def test_a_mirror_image_is_refused() -> None:
    """The template is symmetric: left and right could be swapped without any cost."""
    mirrored = TRUTH @ np.diag([-1.0, 1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="mirror image"):
        register_brain(HEAD, BRAIN, mirrored)


def test_bad_masks_have_bright_tissue_around_them() -> None:
    limit = LIMITS["max_bright_outside"]
    assert bright_outside(HEAD, BRAIN) < 0.5 * limit
    assert bright_outside(HEAD, ndimage.binary_erosion(BRAIN, iterations=2)) > 1.2 * limit
    assert bright_outside(HEAD, ndimage.binary_dilation(BRAIN, iterations=1)) > limit
    assert bright_outside(HEAD, np.roll(BRAIN, 3, axis=2)) > limit
    coarse = Image(HEAD.data[::2, ::2, ::2], AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0]))
    small = ndimage.binary_erosion(BRAIN[::2, ::2, ::2])
    assert bright_outside(coarse, small) > limit, "though the next voxel is 8 mm away"
    alone = Image(np.where(BRAIN, HEAD.data, 0), HEAD.affine)
    assert bright_outside(alone, BRAIN) == 0


ERRORS_OF_MACHINES = ["EIO", "ESTALE", "ENOSPC", "EDQUOT", "ENOMEM", "EMFILE", "ETIMEDOUT"]


@pytest.mark.parametrize("name", ERRORS_OF_MACHINES)
def test_a_file_system_that_fails_is_no_fault_of_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(path: Path) -> None:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)), str(path))

    monkeypatch.setattr(scan_module.nib, "load", fail)
    with pytest.raises(MachineError, match=os.strerror(getattr(errno, name))) as caught:
        preprocessed(tmp_path, values(INTEGERS), n_workers=1)
    assert str(caught.value).startswith("sub-00: "), "by the name that may be shown"


def test_a_file_that_cannot_grow_fails_the_job(tmp_path: Path) -> None:
    scans = cohort(tmp_path / "bids", values(INTEGERS))
    with limited(resource.RLIMIT_FSIZE, 3000), pytest.raises(MachineError, match="too large"):
        preprocess_batch(scans, tmp_path / "bids", tmp_path / "out", SETTINGS, GRID, n_workers=1)
    assert not list((tmp_path / "out").rglob("*.nii.gz")), "nothing half written is left"


def test_a_full_disk_fails_the_job(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path / "out")]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a real full disk is a small tmpfs, which only root may mount")
    try:
        with pytest.raises(MachineError, match="No space left on device"):
            preprocessed(tmp_path, values(INTEGERS), n_workers=1)
    finally:
        subprocess.run(["umount", str(tmp_path / "out")], check=True)


def test_a_folder_that_must_not_be_written_fails_the_job(reachable: Path) -> None:
    scans = cohort(reachable / "bids", values(INTEGERS))
    out = reachable / "out"
    with unprivileged(), pytest.raises(MachineError, match="Permission denied"):
        preprocess_batch(scans, reachable / "bids", out, SETTINGS, GRID, n_workers=1)


@pytest.mark.parametrize("left", [None, "empty"])
def test_a_lost_mount_fails_the_job(tmp_path: Path, left: str | None) -> None:
    """Else every scan would be excluded, because there is no such file."""
    scans = cohort(tmp_path / "bids", values(INTEGERS))
    shutil.rmtree(tmp_path / "bids")
    if left:
        (tmp_path / "bids").mkdir()
    with pytest.raises(MachineError, match="missing or empty"):
        preprocess_batch(scans, tmp_path / "bids", tmp_path / "out", SETTINGS, GRID, n_workers=1)


def test_too_little_memory_fails_the_job(tmp_path: Path) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    large = raw_header(
        dim=[3, 800, 800, 800, 1, 1, 1, 1],
        pixdim=[1, 0.3, 0.3, 0.3, 1, 1, 1, 1],
        srow_x=[0.3, 0, 0, 0],
        srow_y=[0, 0.3, 0, 0],
        srow_z=[0, 0, 0.3, 0],
    )
    with (
        limited(resource.RLIMIT_AS, used + 2**28),
        pytest.raises(MachineError, match="out of memory"),
    ):
        preprocessed(tmp_path, large, n_workers=1)


@pytest.mark.parametrize(
    ("message", "machine"),
    [
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", True),
        ("Failed to allocate memory for image.", True),
        ("std::bad_alloc", True),
        ("Error -4 while decompressing data", True),
        ("Inputs do not occupy the same physical space!", False),
        ("no head found in the picture", False),
    ],
)
def test_libraries_that_run_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, machine: bool
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(pipeline, "correct_bias", fail)
    if machine:
        with pytest.raises(MachineError, match="machine failed"):
            preprocessed(tmp_path, values(INTEGERS))
    else:
        table, _ = preprocessed(tmp_path, values(INTEGERS))
        assert message.rstrip(".") in table.loc[0, "reason"]


def crash(monkeypatch: pytest.MonkeyPatch, end: Callable[[], object], times: int) -> None:
    """Let the process of scan sub-01 end so, the first `times` times."""
    process, log = pipeline._process, Path(tempfile.mkdtemp()) / "log"

    def ending(row: pd.Series, path: Path, *rest: Any) -> object:
        if row["scan"] == "sub-01":
            with log.open("a") as file:
                file.write("x")
            if log.stat().st_size <= times:
                end()
        return process(row, path, *rest)

    monkeypatch.setattr(pipeline, "_process", ending)


def end_by(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)  # pytest's own handler would print where it happened
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGABRT, "SIGABRT"), (signal.SIGFPE, "SIGFPE")],
)
def test_a_scan_that_kills_its_process_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    crash(
        monkeypatch,
        lambda: (signal.signal(number, signal.SIG_DFL), os.kill(os.getpid(), number)),
        9,
    )
    table, _ = preprocessed(tmp_path, *[values(INTEGERS)] * 4, n_workers=2)
    assert table["status"].tolist() == ["ok", "failed", "ok", "ok"]
    reason = f"sub-01/sub-01_T1w.nii.gz: the process that worked on it was killed twice ({name})"
    assert table.loc[1, "reason"].startswith(reason)


def test_a_process_that_something_else_kills_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel kills one of several that need too much memory together."""
    crash(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGKILL), times=1)
    table, _ = preprocessed(tmp_path, *[values(INTEGERS)] * 3, n_workers=2)
    assert table["status"].tolist() == ["ok"] * 3


def test_a_process_that_is_killed_alone_fails_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGKILL), times=9)
    with pytest.raises(MachineError, match=r"^sub-01: .* \(SIGKILL\)\. Give the job more memory"):
        preprocessed(tmp_path, *[values(INTEGERS)] * 2, n_workers=2)


@pytest.mark.parametrize(
    ("code", "scan_s_fault"),
    [
        (-signal.SIGSEGV, True),
        (-signal.SIGABRT, True),
        (-signal.SIGKILL, False),
        (-signal.SIGTERM, False),
        (-signal.SIGBUS, False),
        (-signal.SIGXCPU, False),
        (1, True),
    ],
)
def test_who_is_to_blame_for_a_killed_process(code: int, scan_s_fault: bool) -> None:
    assert killed_by_scan(code) is scan_s_fault
