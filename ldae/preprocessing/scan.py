"""Reading one raw scan, with every fault named before any work is done."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from ldae.errors import InputError
from ldae.preprocessing.grid import Image

# Voxel sizes of a whole-head T1w outside this range (mm) mean that the unit is wrong or the file is
# no structural scan: finest post-mortem scans are 0.1 mm, coarsest useful heads 10 mm.
VOXEL_MM = (0.1, 10.0)
# A head is 100 to 250 mm in every direction; a picture outside this range (mm) does not hold one.
EXTENT_MM = (80.0, 800.0)
MIN_VOXELS = 8  # along each axis
# Fields of a header that any program may fill, with a participant's name for example.
FREE_TEXT = ("descrip", "aux_file", "db_name", "data_type", "intent_name")
# Cosine between two axes that counts as sheared: what remains after rounding in float32 headers.
MAX_AXIS_COSINE = 0.02


@dataclass(frozen=True)
class Scan:
    """One raw scan.

    Attributes
    ----------
    image
        Values, float32, axes permuted and flipped to the closest RAS, no interpolation.
    native
        The file's own image, for its header and orientation.
    """

    image: Image
    native: nib.Nifti1Image


def read_scan(path: Path) -> Scan:
    """Scan of a NIfTI file, checked.

    Parameters
    ----------
    path
        NIfTI-1 or NIfTI-2 file, 3-D, or 4-D with a single volume.

    Raises
    ------
    InputError
        If the file is missing, empty, truncated or no NIfTI; holds several volumes or too few
        voxels; has no, a degenerate or a sheared affine, or impossible voxel sizes; or holds NaN,
        infinite or constant values.
    """
    image = _load(path)
    _check_shape(path, image.shape)
    _check_affine(path, image)
    try:
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError) as error:
        raise InputError(
            path, f"its data cannot be read ({_first_line(error)})", "Copy or convert it again."
        ) from error
    data = data.reshape(data.shape[:3])
    _check_values(path, data)
    native = nib.Nifti1Image(data, image.affine, image.header)
    canonical = nib.as_closest_canonical(native)
    return Scan(
        Image(np.ascontiguousarray(canonical.get_fdata(dtype=np.float32)), canonical.affine), native
    )


def to_native(mask: np.ndarray, scan: Scan) -> nib.Nifti1Image:
    """Mask in RAS order as a uint8 image in the file's own grid and with its header.

    Without the header's free text and extensions: they may name the participant.
    """
    back = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.io_orientation(scan.native.affine)
    )
    values = nib.orientations.apply_orientation(mask.astype(np.uint8), back)
    header = scan.native.header.copy()
    for field in FREE_TEXT:
        header[field] = b""
    header.extensions.clear()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_min"], header["cal_max"] = 0, 1
    image = nib.Nifti1Image(np.ascontiguousarray(values), scan.native.affine, header)
    return image


def _load(path: Path) -> nib.Nifti1Image:
    if not path.is_file():
        raise InputError(path, "there is no such file", "Restore it, or remove its row.")
    if path.stat().st_size == 0:
        raise InputError(path, "the file is empty (0 bytes)", "Copy or convert it again.")
    try:
        image = nib.load(path)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError) as error:
        raise InputError(
            path,
            f"it cannot be opened as NIfTI ({_first_line(error)})",
            "Copy or convert it again.",
        ) from error
    if not isinstance(image, nib.Nifti1Image):
        raise InputError(
            path, f"it is a {type(image).__name__}, not NIfTI", "Convert it to .nii.gz."
        )
    return image


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


def _check_affine(path: Path, image: nib.Nifti1Image) -> None:
    header = image.header
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise InputError(
            path,
            "its orientation is unknown (sform_code and qform_code are 0)",
            "Convert it again from DICOM, or set the code when the matrix is known to be right.",
        )
    matrix = np.asarray(image.affine, dtype=float)[:3, :3]
    sizes = np.linalg.norm(matrix, axis=0)
    if not np.isfinite(image.affine).all() or (sizes == 0).any():
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
    listed = "x".join(f"{size:.4g}" for size in sizes)
    if sizes.min() < VOXEL_MM[0] or sizes.max() > VOXEL_MM[1]:
        raise InputError(
            path,
            f"its voxels of {listed} mm are implausible (outside {VOXEL_MM[0]}-{VOXEL_MM[1]} mm)",
            "Correct the unit in its header.",
        )
    extent = sizes * np.array(image.shape[:3])
    if extent.min() < EXTENT_MM[0] or extent.max() > EXTENT_MM[1]:
        raise InputError(
            path,
            f"it covers {'x'.join(f'{e:.0f}' for e in extent)} mm, not the size of a head",
            "Correct the unit in its header, or use a whole-head scan.",
        )


def _check_values(path: Path, data: np.ndarray) -> None:
    broken = int(data.size - np.isfinite(data).sum())
    if broken:
        raise InputError(
            path, f"{broken} voxels are NaN or infinite", "Replace them, or convert it again."
        )
    low, high = float(data.min()), float(data.max())
    if low == high:
        raise InputError(path, f"every voxel is {low:g}", "Copy or convert it again.")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
