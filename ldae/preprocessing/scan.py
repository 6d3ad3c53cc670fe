"""Reading one raw scan, with every fault named before any work is done."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from ldae.errors import InputError
from ldae.preprocessing.background import settle_values
from ldae.preprocessing.blame import (
    describe,
    is_short_of_memory,
    machine_error,
    reading_error,
)
from ldae.preprocessing.grid import Image
from ldae.preprocessing.masks import Mask

# Voxel sizes of a whole-head T1w outside this range (mm) mean that the unit is wrong or the file is
# no structural scan: finest post-mortem scans are 0.1 mm, coarsest useful heads 8 mm.
VOXEL_MM = (0.1, 9.0)
# A head is 100 to 250 mm in every direction; a picture outside this range (mm) does not hold one.
EXTENT_MM = (80.0, 800.0)
MIN_VOXELS = 8  # along each axis
# Fields of a header that any program may fill, with a participant's name for example.
FREE_TEXT = ("descrip", "aux_file", "db_name", "data_type", "intent_name")
MAX_VOXELS = 600_000_000  # in all: a whole head at 0.3 mm; more is a damaged header, or no memory
# Cosine between two axes that counts as sheared: what remains after rounding in float32 headers.
MAX_AXIS_COSINE = 0.02
# Voxel sizes of the sform and of the header (pixdim) that differ by more than this share disagree.
MAX_SIZE_ERROR = 0.01
# The qform may take the sform's place if their axes differ by no more than this angle (degrees).
MAX_FORM_DEGREES = 5.0
CHUNK = 1 << 22  # bytes read at a time
HEADER_BYTES = 4096  # more than a header of NIfTI has
GZIP = b"\x1f\x8b"  # first bytes of a gzip file
SPATIAL_UNITS = 0b111  # bits of a NIfTI header's unit that concern space
WRONG_UNITS = {1: "metres", 3: "microns"}
# What nibabel and zlib raise for content that they cannot read.
UNREADABLE = (
    OSError, EOFError, ValueError, TypeError, ArithmeticError, LookupError, zlib.error,
    struct.error, ImageFileError, HeaderDataError,
)  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """One raw scan.

    Attributes
    ----------
    image
        Values, float32, axes permuted and flipped to the closest RAS, no interpolation.
    native
        The file's own image, for its header and orientation.
    brain
        Brain mask on the grid of `image` of a scan that was skull-stripped before; else None.
    notes
        What was changed or found while reading, one sentence each.
    """

    image: Image
    native: nib.Nifti1Image
    brain: Mask | None = None
    notes: tuple[str, ...] = ()


def read_scan(path: Path) -> Scan:
    """Scan of a NIfTI file, checked, with values as all further steps expect them.

    Parameters
    ----------
    path
        NIfTI-1 or NIfTI-2 file, 3-D, or 4-D with a single volume.

    Raises
    ------
    InputError
        If the file is missing, empty, truncated, not readable or no NIfTI; holds colours, complex
        numbers, several volumes, or too few or too many voxels; has no, a degenerate, sheared or
        contradictory affine, another unit than mm, or impossible voxel sizes; or holds constant
        values, or NaN or infinite values inside the head.
    MachineError
        If the file system failed.
    """
    scan = read_image(path)
    settled = settle_values(path, scan.image.data, scan.image.spacing)
    notes = scan.notes + settled.notes
    image = Image(settled.data, scan.image.affine)
    values = _from_ras(settled.data, scan.native)
    native = nib.Nifti1Image(values, scan.native.affine, scan.native.header)
    return Scan(image, native, settled.brain, notes)


def read_image(path: Path) -> Scan:
    """Image of a NIfTI file, checked as by `read_scan`; its values are those of the file.

    Raises
    ------
    InputError, MachineError
        As `read_scan`, but for NaN and infinite values.
    """
    image = _load(path)
    _check_type(path, image)
    _check_shape(path, image.shape)
    affine, note = _trusted_affine(path, image)
    _check_affine(path, affine, image.shape)
    try:
        _check_sum(path)
        data = np.asarray(image.dataobj, dtype=np.float32)
    except UNREADABLE as error:
        raise _content_error(path, error, "its data cannot be read") from error
    data = data.reshape(data.shape[:3])
    if float(data.min()) == float(data.max()):  # false where there is a NaN
        raise InputError(path, f"every voxel is {data.flat[0]:g}", "Copy or convert it again.")
    native = nib.Nifti1Image(data, affine, image.header)
    canonical = nib.as_closest_canonical(native)
    values = np.ascontiguousarray(canonical.get_fdata(dtype=np.float32))
    return Scan(Image(values, canonical.affine), native, None, (note,) if note else ())


def content_digest(values: np.ndarray) -> str:
    """SHA-256 of an image's values in ascending order, in hexadecimal.

    It stays the same when the file is compressed or saved again, its header is changed, or its axes
    are flipped or exchanged. Other values, as after resampling or rounding, give another digest.

    Parameters
    ----------
    values
        Any shape; compared as float32.
    """
    ordered = np.sort(values.astype(np.float32), axis=None)
    return hashlib.sha256((ordered + np.float32(0)).tobytes()).hexdigest()  # -0 counts as 0


def to_native(values: np.ndarray, scan: Scan) -> nib.Nifti1Image:
    """Mask or intensities in RAS order as an image in the file's own grid and with its header.

    A mask becomes uint8, intensities become float32. The header's free text and extensions are left
    out: they may name the participant.
    """
    is_mask = values.dtype == np.bool_
    header = scan.native.header.copy()
    for field in FREE_TEXT:
        header[field] = b""
    header.extensions.clear()
    header.set_data_dtype(np.uint8 if is_mask else np.float32)
    header.set_slope_inter(1, 0)
    header["cal_min"], header["cal_max"] = 0, int(is_mask)  # 0 and 0: no range is suggested
    own = _from_ras(values.astype(header.get_data_dtype()), scan.native)
    return nib.Nifti1Image(own, scan.native.affine, header)


def _from_ras(values: np.ndarray, native: nib.Nifti1Image) -> np.ndarray:
    """Values in RAS order on an image's own grid."""
    back = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.io_orientation(native.affine)
    )
    return np.ascontiguousarray(nib.orientations.apply_orientation(values, back))


def _load(path: Path) -> nib.Nifti1Image:
    """The file's image, without its values."""
    _check_file(path)
    try:
        image = nib.load(path)
    except UNREADABLE as error:
        raise _content_error(path, error, "it cannot be opened as NIfTI") from error
    if not isinstance(image, nib.Nifti1Image):
        raise InputError(
            path, f"it is a {type(image).__name__}, not NIfTI", "Convert it to .nii.gz."
        )
    return image


def _check_file(path: Path) -> None:
    """Check that there is a file that can be read and is compressed as its name says."""
    try:
        if path.is_symlink() and not path.exists():
            remedy = "Fetch its content (e.g. git annex get), or remove the link."
            raise InputError(path, "the file is a link to nothing", remedy)
        if not path.is_file():
            raise InputError(path, "there is no such file", "Restore it, or remove its row.")
        with path.open("rb") as file:
            # All of the header: nibabel takes an error of the system there for another format.
            start = file.read(HEADER_BYTES)
    except OSError as error:
        raise reading_error(path, error) from error
    if not start:
        raise InputError(path, "the file is empty (0 bytes)", "Copy or convert it again.")
    named = path.suffix.lower() == ".gz"
    if start.startswith(GZIP) != named:
        problem = (
            "its name ends in .gz, but it is not compressed"
            if named
            else "it is compressed by gzip, but its name does not end in .gz"
        )
        raise InputError(path, problem, "Rename it, or compress it as its name says.")


def _check_sum(path: Path) -> None:
    """Check a compressed file by its own checksum, at which nibabel does not look.

    Raises
    ------
    OSError, EOFError, zlib.error
        If it is damaged.
    """
    if path.suffix.lower() == ".gz":
        with gzip.open(path) as file:
            while file.read(CHUNK):
                pass


def _content_error(path: Path, error: Exception, problem: str) -> Exception:
    """Error of a file whose content cannot be read, or of the machine that reads it."""
    if is_short_of_memory(error):
        return machine_error(path, error)
    if isinstance(error, OSError) and error.errno is not None:
        return reading_error(path, error)
    return InputError(path, f"{problem} ({describe(error)})", "Copy or convert it again.")


def _check_type(path: Path, image: nib.Nifti1Image) -> None:
    kind = image.header.get_data_dtype()
    if kind.names:
        raise InputError(
            path,
            f"its voxels are colours ({', '.join(kind.names)}), not intensities",
            "Use the scan from which the coloured picture was made.",
        )
    if kind.kind == "c":
        raise InputError(path, "its voxels are complex numbers", "Use the magnitude image.")


def _check_shape(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise InputError(
            path,
            f"it has shape {shape}, not that of one 3-D volume",
            "Extract the T1-weighted volume.",
        )
    if min(shape[:3]) < MIN_VOXELS:
        raise InputError(
            path,
            f"it has shape {shape[:3]}, fewer than {MIN_VOXELS} voxels along one axis",
            "Use a whole-head 3-D acquisition.",
        )
    if np.prod(shape[:3], dtype=float) > MAX_VOXELS:
        raise InputError(
            path,
            f"it has shape {shape[:3]}, more than {MAX_VOXELS:,} voxels",
            "Downsample it, or convert it again if its header is damaged.",
        )


def _trusted_affine(path: Path, image: nib.Nifti1Image) -> tuple[np.ndarray, str]:
    """Affine of the form to be trusted, (4, 4), and a note if it is not the usual one.

    The sform comes first, as everywhere. If its voxel sizes contradict those of the header, the
    qform takes its place, which has the header's, provided that their axes agree.
    """
    header = image.header
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise InputError(
            path,
            "its orientation is unknown (sform_code and qform_code are 0)",
            "Convert it again from DICOM, or set the code when the matrix is known to be right.",
        )
    unit = WRONG_UNITS.get(int(header["xyzt_units"]) & SPATIAL_UNITS)
    if unit:
        problem = f"its header gives positions in {unit}, not millimetres"
        raise InputError(path, problem, "Convert it to millimetres, or correct the unit.")
    affine = np.asarray(image.affine, dtype=float)
    zooms = np.asarray(header["pixdim"][1:4], dtype=float)
    matrix = affine[:3, :3]
    sizes = np.linalg.norm(matrix, axis=0)
    usable = np.isfinite(affine).all() and (sizes > 0).all() and (zooms > 0).all()
    if int(header["sform_code"]) == 0 or not usable:
        return affine, ""
    if np.abs(sizes / zooms - 1.0).max() <= MAX_SIZE_ERROR:
        return affine, ""
    problem = f"its sform has voxels of {_in_mm(sizes)} mm, its header of {_in_mm(zooms)} mm"
    remedy = "Find out which is right, and correct the other; nib-diff shows both."
    if int(header["qform_code"]) == 0:
        raise InputError(path, problem, remedy)
    try:
        other = np.asarray(header.get_qform(), dtype=float)
    except UNREADABLE as error:
        raise InputError(path, f"{problem}, and its qform is no rotation", remedy) from error
    cosines = (matrix / sizes * (other[:3, :3] / np.linalg.norm(other[:3, :3], axis=0))).sum(axis=0)
    if not cosines.min() >= np.cos(np.deg2rad(MAX_FORM_DEGREES)):
        raise InputError(path, f"{problem}, and its qform has other axes", remedy)
    return other, f"{problem}; the qform was used"


def _check_affine(path: Path, affine: np.ndarray, shape: tuple[int, ...]) -> None:
    """Check that an affine is that of a head in a picture of this shape."""
    matrix = affine[:3, :3]
    sizes = np.linalg.norm(matrix, axis=0)
    if not np.isfinite(affine).all() or (sizes == 0).any():
        problem = "its affine is degenerate (NaN or a zero axis)"
        raise InputError(path, problem, "Correct its header.")
    cosines = (matrix / sizes).T @ (matrix / sizes) - np.eye(3)
    if np.abs(np.linalg.det(matrix / sizes)) < 1e-3:
        raise InputError(path, "its affine is degenerate (axes coincide)", "Correct its header.")
    if np.abs(cosines).max() > MAX_AXIS_COSINE:
        raise InputError(
            path,
            "its affine is sheared (axes are not at right angles)",
            "Use the scan as acquired.",
        )
    if sizes.min() < VOXEL_MM[0] or sizes.max() > VOXEL_MM[1]:
        raise InputError(
            path,
            f"its voxels of {_in_mm(sizes)} mm are implausible "
            f"(outside {VOXEL_MM[0]}-{VOXEL_MM[1]} mm)",
            "Correct the unit in its header, or use a scan with thinner slices.",
        )
    extent = sizes * np.array(shape[:3])
    if extent.min() < EXTENT_MM[0] or extent.max() > EXTENT_MM[1]:
        raise InputError(
            path,
            f"it covers {'x'.join(f'{e:.0f}' for e in extent)} mm, not the size of a head",
            "Correct the unit in its header, or use a whole-head scan.",
        )


def _in_mm(sizes: np.ndarray) -> str:
    return "x".join(f"{size:.4g}" for size in sizes)
