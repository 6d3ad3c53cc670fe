"""Shapes of masks: one body without holes, and how much of it lies on the picture's border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Float = NDArray[np.floating]


def one_body(mask: Mask) -> Mask:
    """Largest connected part of a mask, its holes filled.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    labels, count = ndimage.label(mask)
    if count == 0:
        raise ValueError("the brain mask is empty")
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    filled: Mask = ndimage.binary_fill_holes(largest)
    return filled


def cut_area(mask: Mask, spacing: Float) -> float:
    """Area of a mask just outside the six faces of its picture, cm².

    It is extrapolated from the two slices at each face, so that a mask which ends at a face, as a
    brain in a picture without a margin, is not cut.

    Parameters
    ----------
    mask
        Shape (H, W, D), at least two voxels along each axis.
    spacing
        Voxel sizes, mm, (3,).
    """
    total = 0.0
    for axis in range(3):
        face = float(np.prod(np.delete(spacing, axis))) / 100.0
        for first, second in ((0, 1), (-1, -2)):
            areas = (int(mask.take(i, axis).sum()) for i in (first, second))
            total += face * max(0, 2 * next(areas) - next(areas))
    return total


def picture_box(data: np.ndarray) -> tuple[slice, slice, slice]:
    """Box of a picture without outer slices of a single value, with which scanners and tools pad.

    Parameters
    ----------
    data
        Shape (H, W, D), not constant.
    """
    box = []
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        varied = np.flatnonzero(data.max(axis=others) > data.min(axis=others))
        box.append(slice(int(varied[0]), int(varied[-1]) + 1) if varied.size else slice(None))
    return box[0], box[1], box[2]
