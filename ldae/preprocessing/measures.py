"""What is measured of every preprocessed scan, for quality control."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ldae.preprocessing.grid import (
    Image,
    antialias,
    apply_affine,
    dice,
    downsample,
    resample_affine,
)
from ldae.preprocessing.masks import cut_area, picture_box
from ldae.preprocessing.template import load_template

Float = NDArray[np.floating]
Mask = NDArray[np.bool_]

# A voxel counts as one tissue when the template gives it more than this fraction.
PURE_TISSUE = 0.6
# Standard deviation of a normal variable per median absolute deviation.
SIGMA_PER_MAD = 1.4826
# Norm of the 3-D kernel [1, -2, 1] x [1, -2, 1] x [1, -2, 1], which cancels smooth anatomy
# (Immerkaer 1996, Comput. Vis. Image Underst. 64, 300-302, extended to three axes): sqrt(6)^3.
NOISE_KERNEL_NORM = 6.0**1.5
# Width of the rim around a mask in which tissue as bright as brain is looked for, and the spacing
# at which that is done (mm); brain is brighter than this share of its own median. On six IXI heads
# these tell masks that are 4 mm too small, too large or misplaced (docs/tried/preprocessing.md).
RIM_MM = 4.5
RIM_SPACING_MM = 2.0
AS_BRIGHT_AS_BRAIN = 0.6

MEASURES = {
    "brain_volume_ml": "volume of the native brain mask, ml",
    "mask_dice_to_template": "Dice of the mask and the template's brain on the study grid",
    "correlation_to_template": "correlation with the template's T1 inside the template's brain",
    "tissue_contrast": "(white - grey) / white, medians where the template is pure",
    "signal_to_noise": "mean of the native brain / noise estimated from second differences",
    "cropped_fraction": "share of the native brain mask that the study grid does not cover",
    "cut_area_cm2": "area of the native brain mask just outside the picture, extrapolated, cm2",
    "bright_outside": "share of the 4.5 mm around the native mask as bright as brain",
    "scale": "mean stretch of the affine from native to template",
    "rotation_degrees": "rotation of the affine from native to template",
    "bias_deviation": "SD of the logarithm of the bias field inside the head",
}


def template_on_grid(shape: tuple[int, ...], affine: Float) -> dict[str, Float]:
    """The template's maps on the study grid, by name; made once per process."""
    return _on_grid(shape, np.ascontiguousarray(affine, dtype=float).tobytes())


@lru_cache(maxsize=2)
def _on_grid(shape: tuple[int, ...], affine_bytes: bytes) -> dict[str, Float]:
    affine = np.frombuffer(affine_bytes).reshape(4, 4)
    template = load_template()
    spacing = float(np.linalg.norm(affine[:3, 0]))

    def on_grid(values: np.ndarray) -> Float:
        # Two moves for coarse grids: smoothing 2 mm maps costs an eighth of smoothing 1 mm maps.
        coarse = downsample(Image(values, template.affine), min(spacing, 2.0))
        return resample_affine(antialias(coarse, spacing), np.eye(4), shape, affine, order=1)

    return {
        "t1": on_grid(template.t1),
        "mask": on_grid(template.mask),
        "grey": on_grid(template.grey),
        "white": on_grid(template.white),
    }


def measure(
    native: Image,
    mask: Mask,
    volume: Float,
    study_mask: Mask,
    affine: Float,
    to_scan: Float,
) -> dict[str, float]:
    """Measures of one scan, see ``MEASURES`` (without the bias field's).

    Parameters
    ----------
    native, mask
        Bias-corrected scan and its brain mask.
    volume, study_mask, affine
        The same on the study grid.
    to_scan
        (4, 4) affine from template to scan, RAS mm.
    """
    template = template_on_grid(volume.shape, affine)
    inside = template["mask"] > 0.5
    from_scan = np.linalg.inv(to_scan)
    grey = volume[(template["grey"] > PURE_TISSUE) & study_mask]
    white = volume[(template["white"] > PURE_TISSUE) & study_mask]
    contrast = float("nan")
    if grey.size and white.size and np.median(white) > 0:
        contrast = float(1.0 - np.median(grey) / np.median(white))
    brain_mm = apply_affine(from_scan @ native.affine, np.argwhere(mask).astype(float))
    at = apply_affine(np.linalg.inv(affine), brain_mm)
    outside = ((at < -0.5) | (at > np.array(volume.shape) - 0.5)).any(axis=1)
    rotation, _ = _polar(from_scan[:3, :3])
    return {
        "brain_volume_ml": float(mask.sum()) * native.voxel_ml,
        "mask_dice_to_template": dice(study_mask, inside),
        "correlation_to_template": _correlation(volume[inside], template["t1"][inside]),
        "tissue_contrast": contrast,
        "signal_to_noise": signal_to_noise(native.data, mask),
        "cropped_fraction": float(outside.mean()),
        "cut_area_cm2": cut_area(mask[picture_box(native.data)], native.spacing),
        "bright_outside": bright_outside(native, mask),
        "scale": float(np.cbrt(np.linalg.det(from_scan[:3, :3]))),
        "rotation_degrees": float(
            np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
        ),
    }


def bright_outside(native: Image, mask: Mask) -> float:
    """Share of the voxels around a mask that are as bright as brain; NaN if there are none.

    A good mask ends in dark fluid or bone. Outside one that is too small or in the wrong place lies
    brain, outside one that is too large fat. No template enters.
    """
    voxels = np.argwhere(mask)
    margin = np.ceil(RIM_MM / native.spacing).astype(int) + 1
    low = np.maximum(voxels.min(axis=0) - margin, 0)
    high = voxels.max(axis=0) + margin + 1
    # Every second or third voxel of a fine scan is enough, and much faster.
    step = np.maximum(np.floor(RIM_SPACING_MM / native.spacing), 1).astype(int)
    box = tuple(slice(a, b, k) for a, b, k in zip(low, high, step, strict=True))
    inside, values = mask[box], native.data[box]
    distance = ndimage.distance_transform_edt(~inside, sampling=native.spacing * step)
    # At least the next voxel, which is further away in a coarse scan.
    rim = (distance > 0) & (distance <= max(RIM_MM, float((native.spacing * step).min())))
    if not rim.any() or not inside.any():
        return float("nan")
    return float((values[rim] > AS_BRIGHT_AS_BRAIN * np.median(values[inside])).mean())


def signal_to_noise(data: Float, mask: Mask) -> float:
    """Mean inside the mask over the noise's standard deviation there; infinite without noise."""
    tight = ndimage.find_objects(mask.astype(np.uint8))[0]
    # One voxel more on each side: at the border of an array the kernel has nothing to cancel.
    box = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in tight)
    values, inside = data[box], mask[box]
    residual = values.astype(np.float32)
    for axis in range(3):
        residual = ndimage.correlate1d(residual, [1.0, -2.0, 1.0], axis=axis)
    noise = SIGMA_PER_MAD * float(np.median(np.abs(residual[inside]))) / NOISE_KERNEL_NORM
    return float(values[inside].mean()) / noise if noise > 0 else float("inf")


def _correlation(a: Float, b: Float) -> float:
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _polar(matrix: Float) -> tuple[Float, Float]:
    """Rotation and stretch of a matrix."""
    u, s, vt = np.linalg.svd(matrix)
    return u @ vt, vt.T @ np.diag(s) @ vt
