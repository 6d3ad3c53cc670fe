"""Bias field correction: N4 (Tustison et al. 2010, IEEE TMI 29, 1310-1320) of SimpleITK or ANTs."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy import ndimage

from ldae.preprocessing.ants import fit_field
from ldae.preprocessing.grid import Image, crop, downsample, grid_points
from ldae.preprocessing.registration import (
    FOREGROUND,
    WORKING_MM,
    guess_brain_centre,
    prepare_head,
)

Float = NDArray[np.floating]

# The field is smooth over centimetres, so it is estimated on a coarse copy and evaluated in full.
ESTIMATION_MM = 12.0
# Per spline level; (10, 10) flattens IXI a little further and takes twice the time.
ITERATIONS = (6, 6)
CONVERGENCE = 1e-3  # SimpleITK's default
# Control points per axis at the first level: 3 intervals, doubled once, so about 30 mm apart at the
# end. On IXI this brings the variation of white matter from 12 % to 5 %, as three levels and 50
# iterations do in twice the time (docs/tried/preprocessing.md).
CONTROL_POINTS = (6, 6, 6)
# Half the height (mm) of the slab around the brain in which the field is estimated; neck and jaw
# have other tissues and would only cost time.
SLAB_MM = 75.0
# Tissue is brighter than this share of the head's bright end (leaves out air, bone and fluid), and
# fills at least that share of a coarse voxel.
TISSUE = 0.35
TISSUE_SHARE = 0.3


def correct_bias(image: Image) -> tuple[Image, float]:
    """Scan divided by its estimated bias field.

    Parameters
    ----------
    image
        Raw scan; values below zero are set to zero.

    Returns
    -------
    Corrected scan, float32, same mean inside the head; and the field's standard deviation inside
    the head (of its logarithm, dimensionless).

    Raises
    ------
    ValueError
        If nothing head-sized is in the picture.
    """
    data = np.maximum(image.data, 0.0).astype(np.float32)
    head = prepare_head(Image(data, image.affine))
    height = grid_points(head.data.shape, head.affine)[..., 2]
    slab = np.abs(height - guess_brain_centre(head)[2]) < SLAB_MM
    # Mean of the tissue alone in each coarse voxel: mixed with air and skull, every edge of the
    # head would count as a dark spot of the field.
    tissue = ((head.data > TISSUE) & slab).astype(np.float32)
    raw = downsample(Image(data, image.affine), WORKING_MM)
    share = downsample(Image(tissue, head.affine), ESTIMATION_MM)
    total = downsample(Image(raw.data * tissue, raw.affine), ESTIMATION_MM)
    foreground = share.data > TISSUE_SHARE
    if not foreground.any():
        raise ValueError("no head found in the picture")
    coarse = Image(total.data / np.maximum(share.data, TISSUE_SHARE), share.affine)
    # N4's time grows with the whole picture, so only the box around the slab goes in; _divide keeps
    # the field's edge value beyond it.
    box = ndimage.find_objects(foreground.astype(np.uint8))[0]
    foreground = foreground[box]
    coarse = crop(coarse, box)
    # Plain index space: N4 works on a lattice over the image's extent and needs no orientation.
    field = _fit_field(coarse.data, foreground)
    inside = field[foreground]
    field = field - inside.mean()
    return _divide(data, image.affine, Image(field, coarse.affine)), float(inside.std())


def correct_bias_like_ants(image: Image) -> tuple[Image, float]:
    """Scan divided by the bias field that N4 finds with the defaults of ANTs, in the whole picture.

    Parameters, result and faults are those of :func:`correct_bias`.
    """
    data = np.maximum(image.data, 0.0).astype(np.float32)
    foreground = data > FOREGROUND * data.mean()
    if not foreground.any():
        raise ValueError("no head found in the picture")
    field = np.log(fit_field(data))
    inside = field[foreground]
    return Image(data * np.exp(inside.mean() - field), image.affine), float(inside.std())


def _fit_field(data: Float, mask: NDArray[np.bool_]) -> Float:
    """Logarithm of the bias field on the image's own grid."""
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(list(ITERATIONS))
    n4.SetConvergenceThreshold(CONVERGENCE)
    n4.SetNumberOfControlPoints(list(CONTROL_POINTS))
    picture = sitk.GetImageFromArray(np.ascontiguousarray(data.T, dtype=np.float32))
    n4.Execute(picture, sitk.GetImageFromArray(np.ascontiguousarray(mask.T, dtype=np.uint8)))
    return sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(picture)).T


def _divide(data: Float, affine: Float, field: Image) -> Image:
    """Divide data by the exponential of a coarse field."""
    voxel = np.linalg.inv(field.affine) @ affine
    full = ndimage.affine_transform(
        field.data.astype(np.float32),
        np.diag(voxel[:3, :3]),
        voxel[:3, 3],
        output_shape=data.shape,
        order=1,
        mode="nearest",
    )
    return Image(data * np.exp(-full), affine)
