"""Registration to MNI152: a robust affine, and two diffeomorphic options.

Affine: damped Gauss-Newton on the squared difference between the template and a linear function of
the scan, at a fixed set of template points. This is the scheme of Friston et al. 1995 (Human Brain
Mapping 3, 165-189) with the damping of Marquardt; because scale and offset of the scan's
intensities are solved for, its minimum is that of 1 - r², r the correlation.
A regular-step descent of the same cost in SimpleITK took eight times as long on IXI.

Deformable: diffeomorphic demons (Vercauteren et al. 2009, NeuroImage 45, S61-S72) of SimpleITK, or
SyN, the choice of the LDAE paper, where ANTs is installed. Both follow the affine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy import ndimage

from ldae.preprocessing.ants import register_syn
from ldae.preprocessing.grid import Image, antialias, crop, downsample, resample_affine, smooth
from ldae.preprocessing.template import Head, head_template

Float = NDArray[np.floating]

WORKING_MM = 4.0  # spacing on which heads are registered; finer adds time, not overlap
START_MM = 8.0  # spacing of the first search
# Extra blur (full width, mm) of both images in the two steps of a head and in that of a brain.
START_BLUR_MM = 8.0
HEAD_BLUR_MM = 4.0
BRAIN_BLUR_MM = 3.0
# First guesses: head pitched by these angles (degrees); the template is larger than most heads
# (Lancaster et al. 2007, Human Brain Mapping 28, 1194-1205), so brains start at this share of it.
START_PITCH_DEGREES = (-20.0, 0.0, 20.0)
START_SCALE = 0.93
# Part of the head below its top that holds the brain (mm), and the area (mm²) of its top slice.
BRAIN_HEIGHT_MM = 130.0
TOP_AREA_MM2 = 1500.0
FOREGROUND = 0.2  # of the bright end of the scan's intensities
# Matrix entries act on points divided by this radius (mm), so that all 12 unknowns are in mm.
RADIUS_MM = 50.0
MAX_ITERATIONS = 30
STOP_MM = 0.1  # a step that moves nothing further than this ends the search
DAMPING_START, DAMPING_DOWN, DAMPING_UP, DAMPING_TRIES = 1e-2, 5.0, 8.0, 5
MAX_POINTS = 5000  # template points used; 8000 give the same overlap on simulated heads

DEMONS_ITERATIONS = 30  # 60 bring the scan no closer to the template
DEMONS_FIELD_SIGMA_MM = 6.0  # smoothing of the displacement after each step
# Spacings on which a deformation is estimated: finer costs minutes, coarser loses what it aligns.
DEFORMATION_SPACING_MM = (2.0, 4.0)
# Room (mm) around the template's brain in which SyN works; the template itself has more.
SYN_MARGIN_MM = 12.0
DEFORMABLE = ("demons", "syn")


@dataclass(frozen=True)
class Points:
    """Template values at fixed points, and the blur and spacing they were taken with.

    Attributes
    ----------
    positions
        MNI152 RAS mm, shape (P, 3).
    values
        Template intensities, shape (P,).
    centre
        Mean position, (3,): the affine's matrix acts around it.
    spacing_mm, blur_mm
        Spacing and extra blur that the scan needs to match.
    """

    positions: Float
    values: Float
    centre: Float
    spacing_mm: float
    blur_mm: float


@dataclass(frozen=True)
class AffineFit:
    """Result of one search.

    Attributes
    ----------
    parameters
        (3, 4): matrix (times the radius) and the image of the centre, mm.
    cost
        1 - r², r the correlation of template and scan; 0 is perfect.
    """

    parameters: Float
    cost: float


@lru_cache(maxsize=4)
def _template_points(kind: str, spacing_mm: float, blur_mm: float) -> Points:
    template = head_template(spacing_mm)
    values, region = (
        (template.head, template.head_region)
        if kind == "head"
        else (template.t1, template.brain_region)
    )
    blurred = smooth(Image(values, template.affine), blur_mm).data
    voxels = np.argwhere(region)
    voxels = voxels[:: max(1, len(voxels) // MAX_POINTS)]
    positions = voxels @ template.affine[:3, :3].T + template.affine[:3, 3]
    brain = np.argwhere(head_template(START_MM).mask)
    affine = head_template(START_MM).affine
    centre = brain.mean(axis=0) @ affine[:3, :3].T + affine[:3, 3]
    return Points(positions, blurred[tuple(voxels.T)], centre, spacing_mm, blur_mm)


def prepare_template() -> None:
    """Make what affine registrations need of the template: processes forked later share it."""
    for kind, blur_mm in (("head", HEAD_BLUR_MM), ("brain", BRAIN_BLUR_MM)):
        _template_points(kind, START_MM, START_BLUR_MM)
        _template_points(kind, WORKING_MM, blur_mm)
    _template_ml()


def to_matrix(parameters: Float, centre: Float) -> Float:
    """(4, 4) affine from template to scan, RAS mm, of search parameters."""
    matrix = np.eye(4)
    matrix[:3, :3] = parameters[:, :3] / RADIUS_MM
    matrix[:3, 3] = parameters[:, 3] - matrix[:3, :3] @ centre
    return matrix


def to_parameters(matrix: Float, centre: Float) -> Float:
    """Search parameters (3, 4) of a (4, 4) affine from template to scan; inverse of `to_matrix`."""
    parameters: Float = np.c_[matrix[:3, :3] * RADIUS_MM, matrix[:3, :3] @ centre + matrix[:3, 3]]
    return parameters


def fit_affine(image: Image, points: Points, start: Float) -> AffineFit:
    """Affine that makes the scan, up to intensity scale and offset, most like the template.

    Parameters
    ----------
    image
        Scan, already at the spacing and blur of ``points``.
    points
        Template values at fixed points.
    start
        Search parameters (3, 4) to begin from.
    """
    gradients = [ndimage.correlate1d(image.data, [-0.5, 0.0, 0.5], axis=k) for k in range(3)]
    inverse = np.linalg.inv(image.affine)
    design = np.c_[(points.positions - points.centre) / RADIUS_MM, np.ones(len(points.positions))]
    target = points.values - points.values.mean()
    power = float(target @ target)

    def look(parameters: Float) -> tuple[Float, Float, float, float]:
        voxels = (design @ parameters.T) @ inverse[:3, :3].T + inverse[:3, 3]
        values = ndimage.map_coordinates(image.data, voxels.T, order=1)
        centred = values - values.mean()
        product = float(centred @ target)
        gain = product / max(float(centred @ centred), 1e-12)
        # A negative gain would match the scan's negative; it counts as no match at all.
        return voxels, values, gain, 1.0 - max(gain, 0.0) * product / power

    parameters = start
    voxels, values, gain, cost = look(parameters)
    damping = DAMPING_START
    for _ in range(MAX_ITERATIONS):
        slopes = [ndimage.map_coordinates(g, voxels.T, order=1) for g in gradients]
        slope = np.stack(slopes, axis=1) @ inverse[:3, :3]  # d scan / d mm, (P, 3)
        jacobian = (gain * slope[:, :, None] * design[:, None, :]).reshape(len(design), 12)
        jacobian = np.c_[jacobian, values, np.ones(len(design))]
        residual = target - gain * (values - values.mean())
        normal = jacobian.T @ jacobian
        right = jacobian.T @ residual
        diagonal = np.diag(normal)
        for _ in range(DAMPING_TRIES):
            step = np.linalg.solve(normal + np.diag(diagonal * damping + 1e-9), right)
            move = step[:12].reshape(3, 4)
            trial = look(parameters + move)
            if trial[3] < cost:
                break
            damping *= DAMPING_UP
        else:
            break
        damping = max(damping / DAMPING_DOWN, 1e-4)
        parameters = parameters + move
        voxels, values, gain, cost = trial
        if np.abs(move).max() < STOP_MM:
            break
    return AffineFit(parameters, cost)


def prepare_head(image: Image) -> Image:
    """Head at the working spacing, divided by its bright end and clipped to [0, 1] (tames fat)."""
    head = downsample(image, WORKING_MM)
    foreground = head.data[head.data > FOREGROUND * head.data.mean()]
    bright = float(np.percentile(foreground, 90)) if foreground.size else 1.0
    return Image(np.clip(head.data / max(bright, 1e-12), 0.0, 1.0), head.affine)


def guess_brain_centre(head: Image) -> Float:
    """Middle of the upper 130 mm of the largest bright body, RAS mm, (3,).

    Raises
    ------
    ValueError
        If nothing head-sized is in the picture.
    """
    labels, count = ndimage.label(ndimage.binary_opening(head.data > FOREGROUND))
    if count == 0:
        raise ValueError("no head found in the picture")
    body = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    points = np.argwhere(body) @ head.affine[:3, :3].T + head.affine[:3, 3]
    spacing = float(head.spacing.max())
    slices = np.round(points[:, 2] / spacing).astype(int)
    area = np.bincount(slices - slices.min()) * head.voxel_ml * 1000.0 / spacing
    wide = np.flatnonzero(area > TOP_AREA_MM2)
    if wide.size == 0:
        raise ValueError("no head found in the picture")
    top = (wide.max() + slices.min()) * spacing
    inside = (points[:, 2] <= top) & (points[:, 2] > top - BRAIN_HEIGHT_MM)
    centre: Float = points[inside].mean(axis=0)
    return centre


def register_head(image: Image) -> Float:
    """(4, 4) affine from template to scan (RAS mm) for a whole head, skull and scalp included.

    Raises
    ------
    ValueError
        If nothing head-sized is in the picture.
    """
    head = prepare_head(image)
    coarse = downsample(head, START_MM)
    points = _template_points("head", START_MM, START_BLUR_MM)
    centre = guess_brain_centre(coarse)
    blurred = smooth(coarse, points.blur_mm)
    fits = []
    for pitch in np.deg2rad(START_PITCH_DEGREES):
        cos, sin = np.cos(pitch), np.sin(pitch)
        rotation = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
        start = np.c_[rotation * START_SCALE * RADIUS_MM, centre]
        fits.append(fit_affine(blurred, points, start))
    best = min(fits, key=lambda fit: fit.cost)
    points = _template_points("head", WORKING_MM, HEAD_BLUR_MM)
    best = fit_affine(smooth(head, points.blur_mm), points, best.parameters)
    return to_matrix(best.parameters, points.centre)


def register_brain(
    image: Image, mask: NDArray[np.bool_], start: Float | None
) -> tuple[Float, float]:
    """Affine of a brain cut out by its mask.

    Parameters
    ----------
    image
        Scan, shape (H, W, D).
    mask
        Brain, same grid.
    start
        (4, 4) affine from template to scan to begin from; None starts from the mask's middle.

    Returns
    -------
    (4, 4) affine from template to scan (RAS mm), and the correlation reached, in [0, 1].

    Raises
    ------
    ValueError
        If the affine is a mirror image: the template is symmetric, so left and right could be
        swapped without any cost.
    """
    brain = downsample(Image(np.where(mask, image.data, 0.0), image.affine), WORKING_MM)
    inside = image.data[mask]
    brain = Image(np.clip(brain.data / np.percentile(inside, 98), 0.0, 1.0), brain.affine)
    points = _template_points("brain", WORKING_MM, BRAIN_BLUR_MM)
    blurred = smooth(brain, points.blur_mm)
    if start is not None:
        fit = fit_affine(blurred, points, to_parameters(start, points.centre))
    else:
        rough = _template_points("brain", START_MM, START_BLUR_MM)
        coarse = smooth(downsample(brain, START_MM), rough.blur_mm)
        middle = np.argwhere(mask).mean(axis=0) @ image.affine[:3, :3].T + image.affine[:3, 3]
        size = (mask.sum() * image.voxel_ml / _template_ml()) ** (1 / 3)
        fits = []
        for pitch in np.deg2rad(START_PITCH_DEGREES):
            cos, sin = np.cos(pitch), np.sin(pitch)
            rotation = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
            fits.append(fit_affine(coarse, rough, np.c_[rotation * size * RADIUS_MM, middle]))
        fit = fit_affine(blurred, points, min(fits, key=lambda f: f.cost).parameters)
    matrix = to_matrix(fit.parameters, points.centre)
    if not np.linalg.det(matrix[:3, :3]) > 0:
        raise ValueError("the registration is a mirror image of the brain")
    return matrix, float(np.sqrt(max(0.0, 1.0 - fit.cost)))


@lru_cache(maxsize=1)
def _template_ml() -> float:
    template = head_template(START_MM)
    return float(template.mask.sum()) * Image(template.mask, template.affine).voxel_ml


def register_deformable(
    image: Image, mask: NDArray[np.bool_], to_scan: Float, spacing_mm: float, method: str
) -> Image:
    """Smooth invertible displacement that follows the affine.

    Parameters
    ----------
    image, mask
        Scan and its brain.
    to_scan
        (4, 4) affine from template to scan, RAS mm.
    spacing_mm
        Study spacing; the deformation is estimated there, but between 2 and 4 mm.
    method
        One of ``DEFORMABLE``.

    Returns
    -------
    Image
        Displacements u in mm (RAS), shape (H, W, D, 3), on a template grid: the template point p
        corresponds to the scan point ``to_scan @ (p + u(p))``.
    """
    spacing = float(np.clip(spacing_mm, *DEFORMATION_SPACING_MM))
    template = head_template(spacing)
    blurred = antialias(Image(np.where(mask, image.data, 0.0), image.affine), spacing)
    moving = resample_affine(blurred, to_scan, template.t1.shape, template.affine, order=1)
    if method == "syn":
        box = _brain_box(template.mask, round(SYN_MARGIN_MM / spacing))
        return register_syn(*(crop(Image(x, template.affine), box) for x in (template.t1, moving)))
    return _demons(template, moving, spacing)


def _brain_box(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice, slice]:
    """Box around a mask with room of some voxels, as far as there are any."""
    x, y, z = (
        slice(max(part.start - margin, 0), part.stop + margin)
        for part in ndimage.find_objects(mask.astype(np.uint8))[0]
    )
    return x, y, z


def _demons(template: Head, moving: Float, spacing: float) -> Image:
    # Demons compare intensities directly: the scan's histogram is brought to the template's.
    inside = (moving > 0) & template.mask
    levels = np.linspace(0, 100, 33)
    moving = np.interp(
        moving, np.percentile(moving[inside], levels), np.percentile(template.t1[inside], levels)
    ) * (moving > 0)
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfIterations(DEMONS_ITERATIONS)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(DEMONS_FIELD_SIGMA_MM / spacing)
    # Plain index space (unit spacing, no direction): arrays go in as (x, y, z) transposed.
    field = demons.Execute(
        sitk.GetImageFromArray(template.t1.T.astype(np.float32)),
        sitk.GetImageFromArray(moving.T.astype(np.float32)),
    )
    voxels = sitk.GetArrayFromImage(field).transpose(2, 1, 0, 3)  # (H, W, D, 3), voxels
    return Image((voxels @ template.affine[:3, :3].T).astype(np.float32), template.affine)
