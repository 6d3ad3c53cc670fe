"""Trilinear interpolation, affine maps and sums that give the same bits on every processor.

BLAS takes sums in an order that depends on the processor, so matrix products are written out here:
they have few terms, and cost no more. Exponentials, powers and angles may differ in their last bits
between processors; :func:`settle` cuts these off where a number is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Real = TypeVar("Real", bound=np.floating)


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
        last = coarse.shape[axis] - 1
        place = np.minimum(np.arange(shape[axis]) * step[axis], last)
        lower = np.minimum(place.astype(np.intp), max(last - 1, 0))
        fine = combine_linear(fine, axis, lower, [1 - (place - lower), place - lower])
    return np.ascontiguousarray(fine)


def combine_linear(
    values: Array, axis: int, start: NDArray[np.intp], weights: Sequence[NDArray[np.float64]]
) -> Array:
    """Weighted sums of consecutive entries along one axis.

    Parameters
    ----------
    values
        Any shape.
    axis
        Axis along which entries are summed.
    start
        First entry of each sum, shape (N,).
    weights
        Weight of the first, second, … entry of each sum, each of shape (N,).

    Returns
    -------
    ndarray
        Like `values`, with N entries along the axis.
    """
    last = values.shape[axis] - 1
    broad = [-1 if i == axis else 1 for i in range(values.ndim)]
    terms: Iterator[Array] = (
        values.take(np.minimum(start + k, last), axis) * weight.astype(np.float32).reshape(broad)
        for k, weight in enumerate(weights)
    )
    total = next(terms)
    for term in terms:
        total += term
    return total


def mix(values: Array, weights: NDArray[np.floating]) -> Array:
    """Weighted sum over the last axis of `values` (N, C), float32 (N,)."""
    total: Array = values[:, 0] * np.float32(weights[0])
    for column, weight in zip(values.T[1:], weights[1:], strict=True):
        total += column * np.float32(weight)
    return total


def move_points(matrix: NDArray[np.floating], points: Array) -> Array:
    """Points (N, 3), float32, moved by an affine (4, 4)."""
    moved = [mix(points, row[:3]) + np.float32(row[3]) for row in matrix[:3]]
    return np.stack(moved, 1)


def chain(*matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Product of matrices, the last of which is applied first."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = (product[:, :, None] * matrix[None]).sum(1)
    return product


def settle(values: NDArray[Real], step: float = 2.0**-14) -> NDArray[Real]:
    """Values rounded to multiples of `step`, which hides in what bits processors differ."""
    return np.asarray(np.round(values / step) * step, values.dtype)


def grid_points(shape: tuple[int, int, int]) -> Array:
    """Voxel indices of a grid in C order, shape (X*Y*Z, 3), float32."""
    return np.indices(shape, np.float32).reshape(3, -1).T.copy()
