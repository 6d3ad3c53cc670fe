"""Fast trilinear interpolation of several maps at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def sample_linear(maps: Array, coordinates: Array) -> Array:
    """Values of maps at arbitrary points, by trilinear interpolation.

    Parameters
    ----------
    maps
        Maps on one grid, shape (X, Y, Z, C), float32.
    coordinates
        Points in voxel coordinates of that grid, shape (N, 3). Points outside are clipped to the
        grid's edge.

    Returns
    -------
    ndarray
        Values, shape (N, C), float32.
    """
    size_x, size_y, size_z, n_maps = maps.shape
    limit = np.array([size_x, size_y, size_z], np.float32) - 1.001
    places = np.clip(coordinates, 0, limit)
    lower = places.astype(np.int32)
    x, y, z = np.moveaxis((places - lower).astype(np.float32), 1, 0)[..., None]  # (N, 1) each
    flat = maps.reshape(-1, n_maps)
    step_y, step_x = size_z, size_y * size_z
    start = lower[:, 0] * step_x + lower[:, 1] * step_y + lower[:, 2]

    def along_z(offset: int) -> Array:
        # mode="clip" skips the bounds check; the indices are within bounds already.
        first: Array = flat.take(start + offset, axis=0, mode="clip")
        second: Array = flat.take(start + (offset + 1), axis=0, mode="clip")
        second -= first
        second *= z
        second += first
        return second

    def along_y(offset: int) -> Array:
        first, second = along_z(offset), along_z(offset + step_y)
        second -= first
        second *= y
        second += first
        return second

    first, second = along_y(0), along_y(step_x)
    second -= first
    second *= x
    second += first
    return second


def refine_linear(coarse: Array, shape: tuple[int, int, int], step: NDArray[np.float64]) -> Array:
    """Maps interpolated linearly from a coarse to a fine grid with the same first point.

    Parameters
    ----------
    coarse
        Maps (X, Y, Z, C), float32.
    shape
        Shape of the fine grid.
    step
        Spacing of the fine grid in coarse voxels, along each axis, shape (3,).

    Returns
    -------
    ndarray
        Maps on the fine grid, (*shape, C), float32.
    """
    fine = coarse
    for axis in range(3):
        place = np.minimum(np.arange(shape[axis]) * step[axis], coarse.shape[axis] - 1)
        weights = np.clip(1 - abs(place[:, None] - np.arange(coarse.shape[axis])), 0, None)
        fine = np.moveaxis(np.tensordot(weights.astype(np.float32), fine, (1, axis)), 0, axis)
    return np.ascontiguousarray(fine)


def grid_points(shape: tuple[int, int, int]) -> Array:
    """Voxel indices of a grid in C order, shape (X*Y*Z, 3), float32."""
    return np.indices(shape, np.float32).reshape(3, -1).T.copy()
