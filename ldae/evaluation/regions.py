"""Volumes of structures, read off scans in template space without segmentation networks.

Each scan's mean intensities of fluid, grey and white matter are found by a mixture with the
template's tissue maps as priors (Ashburner & Friston 2005, without their warp); between two means
a voxel counts in part, so a coarse grid does not turn thin structures into steps. Structures are
then sums of tissue inside regions of the template. No labels of any cohort enter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ldae.preprocessing.grid import Image, antialias, downsample, resample_affine
from ldae.preprocessing.template import load_template

Float = NDArray[np.floating]

REGIONS = (
    "ventricles", "hippocampus_left", "hippocampus_right", "hippocampi", "grey", "white", "fluid",
    "brain",
)  # fmt: skip
"""Structures measured; the ventricles are the lateral ones."""

ATLAS_SPACING_MM = 2.0
"""Spacing at which the regions are drawn."""

PRIOR_BLUR_MM = 4.0
"""What is left between subjects after an affine registration, as a blur of the tissue maps."""

PRIOR_FLOOR = 0.02
"""Least prior probability of a tissue, so that no place forbids one."""

MIXTURE_VOXELS = 4000
"""Voxels that the mixture is fitted on, evenly taken from the brain; its means need no more."""
MIXTURE_STEPS = 20
MIXTURE_START = (3.0, 45.0, 85.0)
"""Percentiles of intensity in the brain from which fluid, grey and white matter begin."""
MIXTURE_START_DEVIATION = 0.1
LEAST_DEVIATION = 0.01
LEAST_CONTRAST = 0.02
"""Least distance between two tissues' means, intensities span 1."""

VENTRICLE_SEED_MM = ((12.0, 5.0), (8.0, 6.0), (15.0, 6.0))
"""Centre and half width along abs(x), y, z of a box that the lateral ventricles' bodies cross."""
VENTRICLE_FLOOR_MM = -6.0
VENTRICLE_REACH_MM = 12.0
"""How far ventricles may grow beyond the template's before they leave the region."""
VENTRICLE_DEPTH_MM = 10.0
"""Least distance to the brain's surface at which fluid may be ventricular."""

HIPPOCAMPUS_HEAD_MM = (25.0, -10.0, -20.0)
HIPPOCAMPUS_TAIL_MM = (28.0, -37.0, -4.0)
HIPPOCAMPUS_RADII_MM = (8.5, 5.5)
"""Axis of the right hippocampus in MNI152 space (mirrored for the left), and the region's radius
around its head and its tail."""
HIPPOCAMPUS_LEAST_SHARE = 0.25
"""Least share of grey matter of the region at which a voxel is called hippocampal."""


@dataclass(frozen=True)
class RegionAtlas:
    """The template's tissues and regions on a study's grid.

    Attributes
    ----------
    prior
        Probability of fluid, grey and white matter, (H, W, D, 3).
    ventricles, hippocampus_left, hippocampus_right
        Share of each voxel that belongs to the region, (H, W, D), in [0, 1].
    voxel_ml
        Volume of a voxel, ml.
    """

    prior: Float
    ventricles: Float
    hippocampus_left: Float
    hippocampus_right: Float
    voxel_ml: float

    @property
    def affected(self) -> NDArray[np.bool_]:
        """Where disease and age act first: ventricles and hippocampi, bool (H, W, D)."""
        hippocampi = self.hippocampus_left + self.hippocampus_right
        return np.asarray((self.ventricles >= 0.5) | (hippocampi >= HIPPOCAMPUS_LEAST_SHARE))


def region_atlas(shape: Sequence[int], affine: Float) -> RegionAtlas:
    """Regions on a study's grid.

    Parameters
    ----------
    shape
        Grid (H, W, D).
    affine
        Voxel to MNI152 mm, (4, 4).
    """
    return _region_atlas(tuple(map(int, shape)), np.asarray(affine, dtype=float).tobytes())


@lru_cache(maxsize=2)
def _region_atlas(shape: tuple[int, int, int], affine_bytes: bytes) -> RegionAtlas:
    affine = np.frombuffer(affine_bytes).reshape(4, 4)
    spacing = float(np.linalg.norm(affine[:3, 0]))
    template = load_template()

    def coarse(values: NDArray[Any]) -> Image:
        return downsample(Image(values.astype(np.float32), template.affine), ATLAS_SPACING_MM)

    inside, grey, white = coarse(template.mask), coarse(template.grey), coarse(template.white)

    def on_grid(values: NDArray[Any], blur_mm: float = 0.0) -> Float:
        width = float(np.hypot(spacing, blur_mm))
        image = antialias(Image(values.astype(np.float32), inside.affine), width)
        return resample_affine(image, np.eye(4), shape, affine, order=1)

    brain = inside.data > 0.5
    fluid = np.clip(inside.data - grey.data - white.data, 0, 1)
    ventricles, left, right = _draw_regions(brain, fluid, inside.affine)
    prior = np.stack(
        [on_grid(part, PRIOR_BLUR_MM) for part in (fluid, grey.data, white.data)], axis=-1
    )
    prior = np.clip(prior, 0, None) + PRIOR_FLOOR
    return RegionAtlas(
        prior=prior / prior.sum(-1, keepdims=True),
        ventricles=on_grid(ventricles).clip(0, 1),
        hippocampus_left=on_grid(left * grey.data).clip(0, 1),
        hippocampus_right=on_grid(right * grey.data).clip(0, 1),
        voxel_ml=abs(float(np.linalg.det(affine[:3, :3]))) / 1000,
    )


def _draw_regions(
    brain: NDArray[np.bool_], fluid: Float, affine: Float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Where ventricles, left and right hippocampus may lie, bool (X, Y, Z) each."""
    indices = np.stack(np.meshgrid(*map(np.arange, brain.shape), indexing="ij"), -1)
    world = indices @ affine[:3, :3].T + affine[:3, 3]
    x, y, z = np.moveaxis(world, -1, 0)
    spacing = float(np.linalg.norm(affine[:3, 0]))
    # The cistern behind the third ventricle touches the trigones and is cut off here.
    pineal = (y < -20) & (z < 2) & (np.abs(x) < 12)
    labels, _ = ndimage.label((fluid > 0.5) & (z > VENTRICLE_FLOOR_MM) & ~pineal)
    seeds = labels > 0
    for place, (centre, half) in zip((np.abs(x), y, z), VENTRICLE_SEED_MM, strict=True):
        seeds &= np.abs(place - centre) < half
    lateral = labels == np.bincount(labels[seeds]).argmax()
    depth = ndimage.distance_transform_edt(brain, sampling=spacing)
    reach = ndimage.distance_transform_edt(~lateral, sampling=spacing)
    other = (fluid > 0.5) & ~ndimage.binary_dilation(lateral)
    sides = [_along_axis(world * (side, 1, 1)) & brain for side in (-1, 1)]
    ventricles = (reach <= VENTRICLE_REACH_MM) & (depth > VENTRICLE_DEPTH_MM) & ~other
    # What a hippocampus loses turns to fluid, and is no growth of the ventricles.
    ventricles &= ~(sides[0] | sides[1])
    return ventricles, sides[0], sides[1]


def _along_axis(world: Float) -> NDArray[np.bool_]:
    """Whether places (…, 3), mm, lie around the axis of the right hippocampus."""
    head, axis = (
        np.array(HIPPOCAMPUS_HEAD_MM),
        np.subtract(HIPPOCAMPUS_TAIL_MM, HIPPOCAMPUS_HEAD_MM),
    )
    along = np.clip((world - head) @ axis / (axis @ axis), 0, 1)
    distance = np.linalg.norm(world - head - along[..., None] * axis, axis=-1)
    start, end = HIPPOCAMPUS_RADII_MM
    return np.asarray(distance < start + (end - start) * along)


def tissue_means(values: Float, prior: Float) -> Float:
    """Mean intensities of fluid, grey and white matter, (3,), ascending.

    Parameters
    ----------
    values
        Intensities inside the brain, (N,).
    prior
        Probability of each tissue at the same voxels, (N, 3).
    """
    every = max(1, len(values) // MIXTURE_VOXELS)
    values, prior = values[::every], prior[::every]
    means = np.percentile(values, MIXTURE_START)
    deviations = np.full(3, MIXTURE_START_DEVIATION)
    for _ in range(MIXTURE_STEPS):
        share = prior * np.exp(-0.5 * ((values[:, None] - means) / deviations) ** 2) / deviations
        share /= share.sum(1, keepdims=True) + 1e-12
        n = share.sum(0) + 1e-12
        means = share.T @ values / n
        deviations = np.sqrt((share * (values[:, None] - means) ** 2).sum(0) / n) + LEAST_DEVIATION
    grey = max(means[1], means[0] + LEAST_CONTRAST)
    return np.array([means[0], grey, max(means[2], grey + LEAST_CONTRAST)])


def measure_regions(
    x: Tensor | NDArray[Any], mask: Tensor | NDArray[Any], atlas: RegionAtlas
) -> dict[str, NDArray[np.float64]]:
    """Volume of each structure in each scan, ml in template space, (B,).

    Divide by the determinant of the affine to the template for millilitres in the subject's head.

    Parameters
    ----------
    x
        Brains on the study's grid, (B, 1, H, W, D) or (B, H, W, D), intensities in [0, 1].
    mask
        Their masks, same shape; of an edited or interpolated scan, its source's.
    atlas
        Regions on the same grid.
    """
    shape = atlas.ventricles.shape
    scans = np.asarray(x, dtype=np.float32).reshape(-1, *shape)
    masks = np.asarray(mask).reshape(-1, *shape) > 0
    rows = [_measure(scan, inside, atlas) for scan, inside in zip(scans, masks, strict=True)]
    return {name: np.array([row[name] for row in rows]) * atlas.voxel_ml for name in REGIONS}


def _measure(scan: Float, inside: NDArray[np.bool_], atlas: RegionAtlas) -> dict[str, float]:
    """Volumes of one scan, in voxels."""
    values = scan[inside]
    dark, grey_mean, bright = tissue_means(values, atlas.prior[inside])
    fluid = np.clip((grey_mean - values) / (grey_mean - dark), 0, 1)
    white = np.clip((values - grey_mean) / (bright - grey_mean), 0, 1)
    grey = 1 - fluid - white
    # All that is not fluid: between grey and white matter a coarse grid cannot draw the line, and
    # what a hippocampus loses turns to fluid.
    left = float((1 - fluid) @ atlas.hippocampus_left[inside])
    right = float((1 - fluid) @ atlas.hippocampus_right[inside])
    return {
        "ventricles": float(fluid @ atlas.ventricles[inside]),
        "hippocampus_left": left,
        "hippocampus_right": right,
        "hippocampi": left + right,
        "grey": float(grey.sum()),
        "white": float(white.sum()),
        "fluid": float(fluid.sum()),
        "brain": float((1 - fluid).sum()),
    }
