"""Images with their affine, and the moves between grids: smoothing, resampling, the study grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float = NDArray[np.floating]

# Full width at half maximum of a Gaussian in units of its standard deviation: 2 sqrt(2 ln 2).
FWHM_PER_SIGMA = 2.3548
# Gaussian kernels are cut at this many standard deviations; the rest holds 0.3 % of the weight.
GAUSSIAN_REACH = 3.0


@dataclass(frozen=True)
class Image:
    """A volume and where it lies.

    Attributes
    ----------
    data
        Values, shape (H, W, D).
    affine
        Voxel indices to RAS mm, (4, 4).
    """

    data: np.ndarray
    affine: Float

    @property
    def spacing(self) -> Float:
        """Voxel size along each axis in mm, (3,)."""
        edges: Float = np.linalg.norm(self.affine[:3, :3], axis=0)
        return edges

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0


def smooth(image: Image, fwhm_mm: float | Float) -> Image:
    """Image convolved with a Gaussian of this full width at half maximum (mm, one or per axis)."""
    sigma = np.broadcast_to(fwhm_mm, (3,)) / FWHM_PER_SIGMA / image.spacing
    data = ndimage.gaussian_filter(
        image.data.astype(np.float32, copy=False), sigma, mode="nearest", truncate=GAUSSIAN_REACH
    )
    return Image(data, image.affine)


def antialias(image: Image, spacing_mm: float) -> Image:
    """Image blurred from its own voxel size to that of a coarser grid; coarser axes stay."""
    excess = np.sqrt(np.maximum(spacing_mm**2 - image.spacing**2, 0.0))
    return smooth(image, excess) if excess.any() else image


def downsample(image: Image, spacing_mm: float) -> Image:
    """Image on a coarser isotropic grid, same axes and centre; coarser axes stay."""
    factor = np.maximum(spacing_mm / image.spacing, 1.0)
    if np.all(factor < 1.0 + 1e-3):
        return Image(image.data.astype(np.float32, copy=False), image.affine)
    shape = np.maximum(1, np.floor(np.array(image.data.shape) / factor + 1e-6)).astype(int)
    offset = (np.array(image.data.shape) - 1) / 2 - (shape - 1) / 2 * factor
    data = ndimage.affine_transform(
        antialias(image, spacing_mm).data, factor, offset, tuple(shape), order=1, mode="nearest"
    )
    affine = image.affine.copy()
    affine[:3, :3] = image.affine[:3, :3] * factor
    affine[:3, 3] = image.affine[:3, 3] + image.affine[:3, :3] @ offset
    return Image(data, affine)


def crop(image: Image, box: tuple[slice, slice, slice]) -> Image:
    """Part of an image inside a box of voxels."""
    affine = image.affine.copy()
    affine[:3, 3] = apply_affine(image.affine, np.array([part.start for part in box], dtype=float))
    return Image(image.data[box], affine)


def study_affine(spacing_mm: float, shape: tuple[int, int, int], centre_mm: Float) -> Float:
    """Affine of the RAS grid of this spacing (mm) and shape around ``centre_mm``."""
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = np.asarray(centre_mm) - spacing_mm * (np.array(shape) - 1) / 2
    return affine


def apply_affine(affine: Float, points: Float) -> Float:
    """Points moved by a (4, 4) affine; points have shape (..., 3)."""
    return points @ affine[:3, :3].T + affine[:3, 3]


def resample_affine(
    image: Image,
    to_image: Float,
    shape: tuple[int, ...],
    affine: Float,
    *,
    order: int,
) -> Float:
    """Image values on another grid, zero outside the image.

    Parameters
    ----------
    image
        The image to read.
    to_image
        (4, 4) affine from the target's world to the image's world, RAS mm.
    shape, affine
        The target grid.
    order
        Spline order: 1 linear, 3 cubic.
    """
    voxel = np.linalg.inv(image.affine) @ to_image @ affine
    values: Float = ndimage.affine_transform(
        image.data.astype(np.float32, copy=False),
        voxel[:3, :3],
        voxel[:3, 3],
        output_shape=shape,
        order=order,
        mode="constant",
    )
    return values


def sample(image: Image, points_mm: Float, *, order: int) -> Float:
    """Image values at world points of shape (..., 3), RAS mm; zero outside the image."""
    voxels = apply_affine(np.linalg.inv(image.affine), points_mm)
    values: Float = ndimage.map_coordinates(
        image.data.astype(np.float32, copy=False),
        np.moveaxis(voxels, -1, 0),
        order=order,
        mode="constant",
    )
    return values


def grid_points(shape: tuple[int, ...], affine: Float) -> Float:
    """World position of every voxel, shape (H, W, D, 3), mm."""
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return apply_affine(affine, indices.astype(float))


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Dice overlap 2|A∩B| / (|A| + |B|) of two masks; NaN when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else float("nan")
