"""What lies around the head in a picture: missing values, an offset, or nothing but its brain.

All steps after reading take air for zero and tissue for brighter than air. Here a scan is brought
to that: missing values in the air are filled, intensities that begin below zero are raised, and a
brain that was cut out of its head before is recognised, so that no second extraction is tried.
A scan of positive values around which nothing is constant comes back as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ldae.errors import InputError
from ldae.preprocessing.masks import Mask, cut_area, one_body

Values = NDArray[np.float32]

# Darkest and brightest values of a picture, without outliers (percentiles).
RANGE_PERCENTILES = (0.1, 99.9)
# Intensities are raised if at least this share of the voxels lies further below zero than this
# share of the range. Splines leave a few shallow dips beside edges; with an offset or a z-score
# all air is negative, or half the brain.
NEGATIVE_VOXELS = 0.05
NEGATIVE_DEPTH = 0.02
# A constant background further below all tissue than this share of its range marks "no data".
MARK_GAP = 0.1
# Voxels are background if they differ from it by no more than this share of the range, and a
# picture has a constant background if more than half of its border is background.
BACKGROUND_TOLERANCE = 0.002
BACKGROUND_BORDER = 0.5
# A brain that was cut out leaves nearly all of the border to the background, and it ends within the
# picture but for a small area (cm²), whereas a head continues below the picture. Volumes (ml) are
# those of brains from infancy to old age; whole heads of adults have 3,400 ml and more.
STRIPPED_BORDER = 0.95
STRIPPED_AREA_CM2 = 30.0
STRIPPED_ML = (400.0, 2300.0)
# Largest share of holes inside the head among missing values that surround it. Masks of the brains
# of four IXI heads had up to 13 such voxels in 1.1 million.
MASK_HOLES = 1e-4
# Tissue is brighter than this share of the bright end (a percentile) of the intensities.
TISSUE, BRIGHT_PERCENTILE = 0.2, 98.0
# A voxel is inside the head if tissue encloses it in this many of the three slices through it.
ENCLOSED_SLICES = 2


@dataclass(frozen=True)
class Settled:
    """Values of a scan as the next steps expect them.

    Attributes
    ----------
    data
        Intensities, shape (H, W, D); air is about zero.
    brain
        Mask of a scan that was skull-stripped before; else None.
    notes
        What was changed or found, one sentence each.
    """

    data: Values
    brain: Mask | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Background:
    """Constant surroundings: their value, where they are, and their share of the border."""

    value: float
    voxels: Mask
    border: float


def settle_values(path: Path, data: Values, spacing: NDArray[np.floating]) -> Settled:
    """Bring a scan's values to what all further steps expect.

    Parameters
    ----------
    path
        The scan's file, for messages.
    data
        Values, shape (H, W, D), not constant.
    spacing
        Voxel sizes, mm, (3,).

    Raises
    ------
    InputError
        If values inside the head, or all values, are NaN or infinite.
    """
    filled, notes = _fill_missing(path, data)
    background = _find_background(filled)
    brain = _stripped_brain(background, spacing)
    if brain is not None:
        notes.append("the scan was skull-stripped already; its own outline is the brain mask")
    raised, level = _raise_values(filled, background)
    if level:
        notes.append(f"intensities began at {level:.4g} and were raised to begin at 0")
    return Settled(raised, brain, tuple(notes))


def _fill_missing(path: Path, data: Values) -> tuple[Values, list[str]]:
    """Values with air where they were missing, and a note of it."""
    missing = ~np.isfinite(data)
    count = int(missing.sum())
    if not count:
        return data, []
    if count == data.size:
        raise InputError(path, "every voxel is NaN or infinite", "Copy or convert it again.")
    filled = np.where(missing, data[~missing].min(), data).astype(np.float32)
    inside = _count_inside(filled, missing)
    # Missing values around a masked head are missing in the few holes of its mask as well.
    masked = _border(missing).mean() >= BACKGROUND_BORDER and inside <= MASK_HOLES * count
    if inside and not masked:
        raise InputError(
            path,
            f"{inside} voxels inside the head are NaN or infinite",
            "Convert it again, or repair the voxels.",
        )
    return filled, [f"{count} voxels outside the head were NaN or infinite and became air"]


def _count_inside(filled: Values, missing: Mask) -> int:
    """Number of missing voxels inside the head.

    Those that reach the border of the picture are its surroundings, unless whole slices are
    missing between slices with tissue.
    """
    bright = filled - filled.min()
    tissue = bright > TISSUE * np.percentile(bright[~missing], BRIGHT_PERCENTILE)
    n_gap = 0
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        seen = np.flatnonzero(tissue.any(axis=others))
        if seen.size:
            empty: NDArray[np.bool_] = np.asarray(missing.all(axis=others))
            between = empty[seen[0] : seen[-1]]
            n_gap += int(between.sum()) * missing.size // missing.shape[axis]
    if n_gap:
        return n_gap
    enclosed = np.zeros(missing.shape, np.uint8)
    for axis in range(3):
        # Only neighbours within the slice count, so that each slice is filled by itself.
        plane = ndimage.generate_binary_structure(3, 1)
        plane[tuple(slice(None) if k == axis else 1 for k in range(3))] = False
        plane[1, 1, 1] = True
        enclosed += ndimage.binary_fill_holes(tissue, plane)
    isolated = missing & ~_touching_border(missing)
    return int((isolated & (enclosed >= ENCLOSED_SLICES)).sum())


def _find_background(data: Values) -> _Background | None:
    """The constant surroundings of a picture, if there are any."""
    border = _border(data)
    value = float(np.median(border))
    low, high = np.percentile(data, RANGE_PERCENTILES)
    # Mostly the value is exact. Then all voxels of it count, also enclosed ones: what a mask left
    # out. After an interpolation it is exact nowhere, and only what touches the border counts.
    exact = float((border == value).mean())
    tolerance = 0.0 if exact >= BACKGROUND_BORDER else BACKGROUND_TOLERANCE * float(high - low)
    share = float((np.abs(border - value) <= tolerance).mean())
    if share < BACKGROUND_BORDER or (share < STRIPPED_BORDER and data.min() >= 0):
        return None
    voxels = data == value if not tolerance else _touching_border(np.abs(data - value) <= tolerance)
    return _Background(value, voxels, share)


def _border(values: np.ndarray) -> np.ndarray:
    """Values on the six faces of a picture."""
    return np.concatenate([values.take(i, axis).ravel() for axis in range(3) for i in (0, -1)])


def _touching_border(mask: Mask) -> Mask:
    """Connected parts of a mask that touch the border of the picture."""
    labels, _ = ndimage.label(mask)
    touching = np.unique(_border(labels))
    found: Mask = np.isin(labels, touching[touching > 0])
    return found


def _stripped_brain(background: _Background | None, spacing: NDArray[np.floating]) -> Mask | None:
    """Mask of a brain that stands alone in its picture; None for a head."""
    if background is None or background.border < STRIPPED_BORDER or background.voxels.all():
        return None
    body = one_body(~background.voxels)
    volume = float(body.sum() * np.prod(spacing)) / 1000.0
    if not STRIPPED_ML[0] <= volume <= STRIPPED_ML[1]:
        return None
    return body if cut_area(body, spacing) <= STRIPPED_AREA_CM2 else None


def _raise_values(data: Values, background: _Background | None) -> tuple[Values, float]:
    """Values from zero upwards, and where they began; 0 if a few dips are cut off at most."""
    if data.min() >= 0:
        return data, 0.0
    around = np.zeros(data.shape, bool) if background is None else background.voxels
    values = data[~around]
    low, high = (float(p) for p in np.percentile(values, RANGE_PERCENTILES))
    level = low
    gap = MARK_GAP * (high - low)
    if background is not None and low - gap <= background.value < min(low, 0.0):
        # The background is the air.
        level, values = background.value, data
    negative = float((values < -NEGATIVE_DEPTH * (high - level)).mean())
    if level >= -NEGATIVE_DEPTH * (high - level) or negative < NEGATIVE_VOXELS:
        return np.maximum(data, 0.0), 0.0
    raised = np.where(around, 0.0, np.maximum(data - level, 0.0))
    return raised.astype(np.float32), level
