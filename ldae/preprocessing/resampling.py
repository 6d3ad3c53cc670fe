"""From a scan to the study grid: one interpolation, then intensities between 0 and 1."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ldae.preprocessing.grid import (
    Image,
    antialias,
    apply_affine,
    crop,
    grid_points,
    sample,
    study_affine,
)
from ldae.preprocessing.template import brain_box_mm

# Room around the native brain that cubic interpolation reads (voxels).
CUBIC_MARGIN = 4


def grid_affine(spacing_mm: float, shape: tuple[int, int, int]) -> NDArray[np.floating]:
    """Affine of the study grid, centred on the box of the template's brain; RAS mm, (4, 4)."""
    return study_affine(spacing_mm, shape, brain_box_mm().mean(axis=0))


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
    low, high = intensity_limits(head, mask, percentiles)
    scaled = np.clip((head - low) / (high - low), 0.0, 1.0)
    return np.where(mask, scaled, 0.0).astype(np.float32)


def intensity_limits(
    head: NDArray[np.floating], mask: NDArray[np.bool_], percentiles: list[float]
) -> tuple[np.floating, np.floating]:
    """Intensities that become 0 and 1.

    Raises
    ------
    ValueError
        If the mask is empty or the two are equal.
    """
    if not mask.any():
        raise ValueError("the brain lies outside the study grid")
    low, high = np.percentile(head[mask], percentiles)
    if not high > low:
        raise ValueError("the brain has no contrast")
    return low, high


def study_image(values: np.ndarray, affine: NDArray[np.floating]) -> nib.Nifti1Image:
    """Image on the study grid, (H, W, D), in the template's space."""
    image = nib.Nifti1Image(values, affine)
    image.set_sform(affine, code="mni")
    image.set_qform(affine, code="mni")
    image.header.set_xyzt_units("mm")
    return image
