"""From the study grid back to the own grid of a raw head."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ldae.preprocessing.grid import (
    Image,
    apply_affine,
    crop,
    grid_points,
    resample_affine,
    sample,
)
from ldae.preprocessing.pipeline import Preprocessed
from ldae.preprocessing.resampling import intensity_limits
from ldae.preprocessing.scan import to_native

INVERSION_STEPS = 100
"""Fixed-point steps that invert a warp at most; most warps take ten."""

INVERSION_STOP_MM = 0.01


@dataclass(frozen=True)
class Placement:
    """Where a preprocessed scan comes from.

    Attributes
    ----------
    done
        The scan, preprocessed.
    affine
        Study grid to MNI152 RAS mm, (4, 4).
    percentiles
        Inside the brain, which became 0 and 1.
    original
        The image as it was given: reading it may have raised negative intensities.
    """

    done: Preprocessed
    affine: NDArray[np.floating]
    percentiles: list[float]
    original: nib.Nifti1Image

    def brain_image(self, x: NDArray[np.floating]) -> nib.Nifti1Image:
        """A decoded brain on the scan's own grid, in the scan's intensities, 0 outside the brain.

        Parameters
        ----------
        x
            Intensities in [0, 1] on the study grid, (H, W, D).
        """
        low, high = self._limits()
        inside, values = self._carry(x)
        scale = self._bias(inside)
        full = np.zeros(self.done.brain.mask.shape, np.float32)
        # cubic interpolation overshoots at edges
        full[inside] = (low + np.clip(values, 0, 1) * (high - low)) * scale
        return to_native(full, self.done.brain.scan)

    def changed_image(self, change: NDArray[np.floating]) -> nib.Nifti1Image:
        """The scan as it was acquired, changed inside the brain; outside, every voxel is kept.

        Parameters
        ----------
        change
            Difference of two decoded brains on the study grid, in [-1, 1], (H, W, D).
        """
        low, high = self._limits()
        inside, values = self._carry(change)
        added = np.zeros(self.done.brain.mask.shape, np.float32)
        added[inside] = values * (high - low) * self._bias(inside)
        image = to_native(added, self.done.brain.scan)
        moved = np.asarray(image.dataobj)
        given = np.asarray(self.original.dataobj, np.float32).reshape(moved.shape)
        least = np.nanmin(given)
        data = np.where(moved != 0, np.maximum(given + moved, least), given)
        return nib.Nifti1Image(data, image.affine, image.header)

    def _limits(self) -> tuple[float, float]:
        low, high = intensity_limits(self.done.head, self.done.mask, self.percentiles)
        return float(low), float(high)

    def _bias(self, inside: NDArray[np.bool_]) -> NDArray[np.floating]:
        """Bias field at the voxels of the brain, (V,): what the scan was divided by."""
        raw = self.done.brain.scan.image.data[inside]
        corrected = self.done.brain.corrected.data[inside]
        usable = (raw > 0) & (corrected > 0)
        field: NDArray[np.floating] = np.divide(raw, corrected, out=np.ones_like(raw), where=usable)
        return field

    def _carry(
        self, values: NDArray[np.floating]
    ) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
        """The brain's voxels on the scan's grid in RAS order, and the values there, (V,)."""
        brain = self.done.brain
        inside = brain.mask.astype(bool)
        voxels = np.argwhere(inside)
        low, high = voxels.min(0), voxels.max(0) + 1
        box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
        part = crop(Image(inside, brain.scan.image.affine), box)
        source = Image(values, self.affine)
        to_template = np.linalg.inv(brain.to_scan)
        if brain.warp is None:
            carried = resample_affine(source, to_template, part.data.shape, part.affine, order=3)
        else:
            points = apply_affine(to_template, grid_points(part.data.shape, part.affine))
            carried = sample(source, unwarp(points, brain.warp), order=3)
        return inside, carried[part.data]


def unwarp(points: NDArray[np.floating], warp: Image) -> NDArray[np.floating]:
    """Template points p with p + warp(p) = `points`, found by fixed-point iteration.

    Parameters
    ----------
    points
        RAS mm, (..., 3).
    warp
        Displacements, mm, (H, W, D, 3).
    """
    found = trial = points
    miss, size = np.zeros_like(points), np.full((*points.shape[:-1], 1), np.inf)
    share = np.ones_like(size)
    for _ in range(INVERSION_STEPS):
        shift = [sample(Image(warp.data[..., k], warp.affine), trial, order=1) for k in range(3)]
        left = points - np.stack(shift, axis=-1) - trial
        norm = np.linalg.norm(left, axis=-1, keepdims=True)
        # Where a warp stretches by more than the distance itself, as SyN's may, a whole step leads
        # away: then half of it is taken from where it began.
        nearer = norm < size
        found, miss, size = (
            np.where(nearer, new, old) for new, old in ((trial, found), (left, miss), (norm, size))
        )
        if size.max() < INVERSION_STOP_MM:
            break
        share = np.where(nearer, np.minimum(1.2 * share, 1.0), share / 2)
        trial = found + share * miss
    return found
