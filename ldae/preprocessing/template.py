"""The template: ICBM 2009a symmetric maps that ship with nilearn, and images derived from them.

Its space is `ldae.data.addresses.TEMPLATE`, as BIDS calls it.
Source: Fonov et al. 2009, NeuroImage 47 (S1), S102. Nothing is downloaded; the maps lie inside the
installed nilearn package at 1 mm, and the T1 map is zero outside the inner skull.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import nilearn
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ldae.preprocessing.grid import Image, downsample

Float = NDArray[np.floating]

_FOLDER = Path(nilearn.__file__).parent / "datasets" / "data"
_UINT8_MAX = 255.0  # the maps are stored as uint8, 255 = 1

# A head around the skull-stripped template, so that an unstripped head has something to match:
# thickness of skull and scalp in mm, and the scalp's brightness relative to white matter (about 1).
# Chosen by the overlap on 13 IXI heads (docs/tried/preprocessing.md), not measured on a head.
SKULL_MM = 5.0
SCALP_MM = 7.0
SCALP_INTENSITY = 0.7
# Below this height (mm, MNI z) face and neck lie below the scalp, and no ring fits.
RING_FLOOR_MM = -10.0
# Around the lower half of the brain only this dark margin is used (mm).
MARGIN_MM = 4.0
# The head is built at this spacing (mm), with room (voxels) for the ring.
HEAD_SPACING_MM = 2.0
PADDING_VOXELS = 10


@dataclass(frozen=True)
class Template:
    """The template's maps at 1 mm.

    Attributes
    ----------
    t1
        T1 contrast in [0, 1], zero outside the inner skull, shape (H, W, D), RAS.
    mask
        True inside the inner skull.
    grey, white
        Tissue fractions in [0, 1].
    affine
        Voxel to MNI152 RAS mm, (4, 4).
    """

    t1: Float
    mask: NDArray[np.bool_]
    grey: Float
    white: Float
    affine: Float


@dataclass(frozen=True)
class Head:
    """The template with a head around it, at 2 mm or coarser, as registration sees it.

    Attributes
    ----------
    t1
        T1 contrast in [0, 1], zero outside the inner skull.
    head
        ``t1`` with a dark skull and a bright scalp around the upper head.
    mask
        True inside the inner skull.
    head_region, brain_region
        Where ``head`` and ``t1`` are defined: the brain with its ring, the brain with a margin.
    affine
        Voxel to MNI152 RAS mm, (4, 4).
    """

    t1: Float
    head: Float
    mask: NDArray[np.bool_]
    head_region: NDArray[np.bool_]
    brain_region: NDArray[np.bool_]
    affine: Float


def _read_map(name: str) -> tuple[Float, Float]:
    path = _FOLDER / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    image = nib.Nifti1Image.from_filename(path)
    values = np.asarray(image.dataobj, dtype=np.float32) / np.float32(_UINT8_MAX)
    return values, np.asarray(image.affine, dtype=float)


@lru_cache(maxsize=1)
def _t1() -> tuple[Float, Float]:
    return _read_map("t1")


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Template at 1 mm; read once per process."""
    t1, affine = _t1()
    return Template(t1, t1 > 0, _read_map("gm")[0], _read_map("wm")[0], affine)


@lru_cache(maxsize=1)
def _head() -> Head:
    fine = load_template()
    image = downsample(Image(fine.t1, fine.affine), HEAD_SPACING_MM)
    t1 = np.pad(image.data, PADDING_VOXELS)
    affine = image.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ np.full(3, PADDING_VOXELS)
    mask = np.pad(
        downsample(Image(fine.mask, fine.affine), HEAD_SPACING_MM).data > 0.5, PADDING_VOXELS
    )
    distance = ndimage.distance_transform_edt(~mask, sampling=HEAD_SPACING_MM)
    height = affine[2, 3] + affine[2, 2] * np.arange(t1.shape[2])
    ring = (distance <= SKULL_MM + SCALP_MM) & (height > RING_FLOOR_MM)
    brain_region = distance <= MARGIN_MM
    head = t1.copy()
    head[ring & (distance > SKULL_MM)] = SCALP_INTENSITY
    return Head(t1, head, mask, ring | brain_region, brain_region, affine)


@lru_cache(maxsize=4)
def head_template(spacing_mm: float) -> Head:
    """Template with a head around it, at an isotropic spacing (mm, at least 2)."""
    fine = _head()

    def coarse(values: np.ndarray) -> Image:
        return downsample(Image(values, fine.affine), spacing_mm)

    t1 = coarse(fine.t1)
    return Head(
        t1.data,
        coarse(fine.head).data,
        coarse(fine.mask).data > 0.5,
        coarse(fine.head_region).data > 0.5,
        coarse(fine.brain_region).data > 0.5,
        t1.affine,
    )


@lru_cache(maxsize=1)
def brain_box_mm() -> Float:
    """Lowest and highest corner of the template's brain, MNI152 RAS mm, shape (2, 3)."""
    t1, affine = _t1()  # the other maps would take as long each, and are not needed here
    box = ndimage.find_objects((t1 > 0).astype(np.uint8))[0]
    corners = np.array([[part.start, part.stop] for part in box]).T - 0.5
    return corners @ affine[:3, :3].T + affine[:3, 3]
