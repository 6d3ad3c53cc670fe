"""Every fault of an input scan gives its own reason, before any work."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ldae.errors import InputError
from ldae.preprocessing.scan import FREE_TEXT, content_digest, read_scan, to_native

SHAPE = (30, 32, 28)


def head() -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 100, SHAPE).astype(np.float32)


def image(data: np.ndarray | None = None, affine: np.ndarray | None = None) -> nib.Nifti1Image:
    made = nib.Nifti1Image(
        head() if data is None else data, np.diag([6.0, 6, 6, 1]) if affine is None else affine
    )
    made.header.set_xyzt_units("mm")
    return made


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    nib.save(image(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(path: Path) -> None:
    path.write_bytes(gzip.compress(b"this is no image" * 100))


def four_volumes(path: Path) -> None:
    nib.save(image(np.stack([head()] * 4, axis=-1)), path)


def flat(path: Path) -> None:
    nib.save(image(head()[:, :, :2]), path)


def with_nan(path: Path) -> None:
    data = head()
    data[3, 4, 5] = np.nan
    data[6, 6, 6] = np.inf
    nib.save(image(data), path)


def zeros(path: Path) -> None:
    nib.save(image(np.zeros(SHAPE, np.float32)), path)


def no_codes(path: Path) -> None:
    made = nib.Nifti1Image(head(), None)
    made.header.set_zooms((6.0, 6.0, 6.0))
    nib.save(made, path)


def collapsed_axes(path: Path) -> None:
    affine = np.diag([6.0, 6, 6, 1])
    affine[:3, 1] = affine[:3, 0]
    made = image()
    made.header.set_sform(affine, code=1)
    made.header["qform_code"] = 0
    made = nib.Nifti1Image(made.get_fdata(), None, made.header)
    nib.save(made, path)


def sheared(path: Path) -> None:
    affine = np.diag([6.0, 6, 6, 1])
    affine[0, 1] = 1.0
    nib.save(image(affine=affine), path)


def metres(path: Path) -> None:
    nib.save(image(affine=np.diag([0.006, 0.006, 0.006, 1])), path)


def tiny(path: Path) -> None:
    nib.save(image(affine=np.diag([1.0, 1, 1, 1])), path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (empty, "0 bytes"),
        (truncated, "cannot be read"),
        (text, "cannot be opened"),
        (four_volumes, "(30, 32, 28, 4)"),
        (flat, "fewer than 8 voxels"),
        (with_nan, "2 voxels inside the head are NaN"),
        (zeros, "every voxel is 0"),
        (no_codes, "sform_code and qform_code"),
        (collapsed_axes, "degenerate"),
        (sheared, "sheared"),
        (metres, "implausible"),
        (tiny, "not the size of a head"),
        (lambda path: None, "no such file"),
    ],
)
def test_fault_is_named(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    path = tmp_path / "sub-01_T1w.nii.gz"
    make(path)
    with pytest.raises(InputError) as caught:
        read_scan(path)
    message = str(caught.value)
    assert reason in message
    assert message.startswith(str(path))
    assert "\n" not in message
    assert message.endswith(".")


def test_singleton_fourth_axis_is_dropped(tmp_path: Path) -> None:
    nib.save(image(head()[..., None]), tmp_path / "a.nii.gz")
    scan = read_scan(tmp_path / "a.nii.gz")
    assert scan.image.data.shape == SHAPE
    assert scan.native.shape == SHAPE


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "AIL"])
def test_orientation_goes_to_ras_and_back(tmp_path: Path, codes: str) -> None:
    ras = image()
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes)
    )
    nib.save(ras.as_reoriented(turn), tmp_path / "a.nii.gz")
    scan = read_scan(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(scan.image.data, head())
    np.testing.assert_allclose(scan.image.affine, ras.affine)
    mask = head() > 50
    back = to_native(mask, scan)
    assert back.shape == scan.native.shape
    assert back.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(back.dataobj) > 0, scan.native.get_fdata() > 50)


def test_free_text_of_a_header_is_not_copied(tmp_path: Path) -> None:
    raw = image()
    for field in FREE_TEXT:
        raw.header[field] = b"DOE^JANE"
    note = nib.nifti1.Nifti1Extension("comment", b"DOE^JANE 1950-02-03")
    raw.header.extensions.append(note)
    nib.save(raw, tmp_path / "raw.nii")
    scan = read_scan(tmp_path / "raw.nii")
    nib.save(to_native(head() > 50, scan), tmp_path / "mask.nii")
    content = (tmp_path / "mask.nii").read_bytes()
    assert b"DOE" not in content and b"1950" not in content
    assert b"DOE" in (tmp_path / "raw.nii").read_bytes()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda data: (data, None), True),
        (lambda data: (data, np.diag([5.0, 6, 7, 1])), True),
        (lambda data: (data[::-1], None), True),
        (lambda data: (data.transpose(1, 2, 0), np.diag([-6.0, 6, 6, 1])), True),
        (lambda data: (data.astype(np.float64), None), True),
        (lambda data: (data * 1.001, None), False),
    ],
)
def test_content_is_known_again_in_another_file(tmp_path, change, same):
    nib.save(image(), tmp_path / "one.nii.gz")
    nib.save(image(*change(head())), tmp_path / "other.nii")
    one, other = (
        content_digest(read_scan(tmp_path / name).image.data)
        for name in ("one.nii.gz", "other.nii")
    )
    assert (one == other) is same
