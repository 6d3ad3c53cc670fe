"""The template head that every simulated person is made from.

Brain: the ICBM 2009a symmetric average (Fonov et al. 2011), T1 and tissue maps as they ship with
nilearn. Everything around it (meninges, skull, scalp, eyes, face, neck) is drawn with distances and
ellipsoids: it looks like a head to a brain extraction, and is not anatomy to be studied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ldae.errors import InputError
from ldae.simulation.sampling import Array, grid_points, sample_linear

# Maps of the brain, in this order along the last axis of `HeadTemplate.brain`.
BRAIN_MAPS = (
    "ventricles",  # lateral ventricles' fluid
    "fluid",  # other cerebrospinal fluid
    "white",
    "grey",  # deep grey matter, cerebellum, brainstem
    "hippocampus",
    "cortex",
    "cortex_age",  # part of the cortex that ageing takes first (a subset of "cortex")
    "cortex_disease",  # part of the cortex that the disease takes first (a subset of "cortex")
)
HEAD_MAPS = ("intracranial", "muscle", "fat", "humour")  # humour: the eyes' fluid

# Template frame: MNI millimetres. The shipped maps end at z = -72; the neck needs more.
FIELD_LOW_MM = (-98.0, -134.0, -152.0)
FIELD_HIGH_MM = (98.0, 98.0, 116.0)

# Hippocampi as ellipsoids in MNI mm, mirrored in x: centre, half axes, and tilt. The long axis
# runs from anterior-inferior-medial (24, -9, -21) to posterior-superior-lateral (30, -38, -2).
HIPPOCAMPUS_ANTERIOR_MM = (24.0, -8.0, -21.0)
HIPPOCAMPUS_POSTERIOR_MM = (30.0, -38.0, -3.0)
HIPPOCAMPUS_RADIUS_MM = 8.5

# A sulcal bank: cortex this close to fluid thins first (cortex is 2 to 4 mm thick).
PIAL_DEPTH_MM = 2.0

# Expansion of the ventricles: how far their growth is absorbed (Gaussian, mm), smoothing of the
# source, distance from the brain's surface over which the motion fades to nothing.
SINK_SD_MM = 18.0
SOURCE_SD_MM = 2.0
FADE_MM = 8.0
FLOW_STEP_MM = 4.0  # grid of the stored displacement
FLOW_FIRST_STEP = 0.1  # first step, in log volume at the source
FLOW_STEP_GROWTH = 1.1  # each step is so much longer than the one before: inflow is constant
FLOW_KNOTS = (-8, 30)


@dataclass(frozen=True)
class VentricleFlow:
    """Displacements that make the template's ventricles smaller or larger.

    Parameters
    ----------
    displacement
        (K, X, Y, Z, 3), mm: where in the template to look for what lies at a grid point.
    volumes_ml
        (K,) template's ventricle volume at each knot, ascending.
    origin_mm, step_mm
        The grid: MNI mm of its first point, and its spacing.
    """

    displacement: Array
    volumes_ml: NDArray[np.float64]
    origin_mm: Array
    step_mm: float

    def at(self, volume_ml: float) -> Array:
        """Displacement (X, Y, Z, 3) at which the template's ventricles have the volume (ml)."""
        place = np.interp(
            np.log(volume_ml), np.log(self.volumes_ml), np.arange(len(self.volumes_ml))
        )
        lower = min(int(place), len(self.volumes_ml) - 2)
        part = np.float32(place - lower)
        return (1 - part) * self.displacement[lower] + part * self.displacement[lower + 1]


@dataclass(frozen=True)
class HeadTemplate:
    """Tissue fractions of the template head, averaged over one raw voxel.

    Parameters
    ----------
    brain
        (X, Y, Z, 8) fractions in [0, 1], see `BRAIN_MAPS`; within the intracranial space.
    head
        (X, Y, Z, 4) fractions in [0, 1], see `HEAD_MAPS`.
    body
        (X, Y, Z) where there is anything at all, with a margin.
    origin_mm, step_mm
        The grid of all three: MNI mm of its first voxel, and its spacing (finer than a raw voxel).
    spacing_mm
        Raw voxel size over which the fractions are averaged.
    flow
        Displacements that change the ventricles.
    """

    brain: Array
    head: Array
    body: NDArray[np.bool_]
    origin_mm: Array
    step_mm: float
    spacing_mm: float
    flow: VentricleFlow

    def to_voxels(self, points_mm: Array) -> Array:
        """Grid coordinates of MNI points (N, 3)."""
        return (points_mm - self.origin_mm) / np.float32(self.step_mm)

    def is_body(self, points_mm: Array) -> NDArray[np.bool_]:
        """Whether MNI points (N, 3) may have signal (N,)."""
        _, size_y, size_z = self.body.shape
        limit = np.array(self.body.shape, np.float32) - 1
        x, y, z = np.clip(self.to_voxels(points_mm), 0, limit).astype(np.int32).T
        index = (x * size_y + y) * size_z + z
        return self.body.reshape(-1).take(index, mode="clip")


def load_tissue_maps() -> tuple[Array, Array, Array, NDArray[np.float64]]:
    """T1, grey and white matter of the ICBM 2009a template that ships with nilearn.

    Returns
    -------
    tuple
        Three maps (197, 233, 189) in [0, 1], RAS, 1 mm, and their affine (4, 4).
    """
    spec = find_spec("nilearn")  # importing the package itself would take seconds
    if spec is None or not spec.submodule_search_locations:
        raise InputError("nilearn", "the package is not installed", "Set up the environment anew")
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    images = [
        nib.Nifti1Image.from_filename(
            folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
        )
        for name in ("t1", "gm", "wm")
    ]
    t1, grey, white = (np.asarray(image.dataobj, np.float32) / np.float32(255) for image in images)
    return t1, grey, white, np.asarray(images[0].affine, np.float64)


@lru_cache(maxsize=1)
def build_template(spacing_mm: float) -> HeadTemplate:
    """Template head for raw voxels of the given size.

    Parameters
    ----------
    spacing_mm
        Raw voxel size, mm, >= 1.
    """
    t1, grey, white, affine = load_tissue_maps()
    brain, intracranial = _divide_brain(t1, grey, white, affine[:3, 3])
    factor = 1 if spacing_mm < 2 else 2 if spacing_mm < 8 else 4
    extension = [
        (int(origin - start), int(end - (origin + size - 1)))
        for origin, start, end, size in zip(
            affine[:3, 3], FIELD_LOW_MM, FIELD_HIGH_MM, t1.shape, strict=True
        )
    ]
    brain_maps = np.stack(
        [_average(np.pad(one, extension), spacing_mm, factor) for one in brain], -1
    )
    inside = np.pad(intracranial, extension)
    surroundings = _draw_head(_block_mean(inside, 2), np.array(FIELD_LOW_MM) + 0.5)
    if factor == 1:
        surroundings = [one.repeat(2, 0).repeat(2, 1).repeat(2, 2) for one in surroundings]
    head_maps = [_average(inside, spacing_mm, factor)]
    head_maps += [
        _average(one, spacing_mm / min(factor, 2), max(1, factor // 2)) for one in surroundings
    ]
    # A block's mean lies at the block's middle.
    origin_mm = np.array(FIELD_LOW_MM, np.float32) + np.float32((factor - 1) / 2)
    flow = _grow_ventricles(
        brain[0],
        intracranial,
        affine[:3, 3].astype(np.float32),
        brain_maps[..., :1],
        origin_mm,
        factor,
    )
    head = np.stack(head_maps, -1)
    # Beyond the grid its edge is repeated: right for the cut neck below, wrong for the other sides.
    head[[0, -1]] = head[:, [0, -1]] = head[:, :, -1] = 0
    return HeadTemplate(
        brain=brain_maps,
        head=head,
        body=ndimage.binary_dilation(head.max(-1) > 0, iterations=2),
        origin_mm=origin_mm,
        step_mm=float(factor),
        spacing_mm=spacing_mm,
        flow=flow,
    )


def _block_mean(values: Array, factor: int) -> Array:
    """Mean of blocks of `factor` voxels along each axis; an incomplete last block is dropped."""
    if factor == 1:
        return values
    x, y, z = (n // factor for n in values.shape)
    blocks = values[: x * factor, : y * factor, : z * factor]
    return blocks.reshape(x, factor, y, factor, z, factor).mean((1, 3, 5), dtype=np.float32)


def _average(values: Array, width: float, factor: int) -> Array:
    """Mean over cubes of about `width` voxels, at every `factor`-th place."""
    pooled = _block_mean(values, factor)
    rest = max(1, round(width / factor))
    if rest == 1:
        return pooled
    if rest % 2:
        return ndimage.uniform_filter(pooled, rest, mode="constant")
    # An even width has no middle voxel: the mean of the two cubes half a voxel off on either side.
    before = ndimage.uniform_filter(pooled, rest, mode="constant")
    after = ndimage.uniform_filter(pooled, rest, mode="constant", origin=-1)
    return (before + after) / 2


def _axes_mm(
    shape: tuple[int, ...], origin: NDArray[np.float64], step: int
) -> tuple[Array, Array, Array]:
    """Return x, y and z in mm of a grid's points, each shaped to broadcast over the grid."""
    x, y, z = (
        (np.arange(size, dtype=np.float32) * step + start).astype(np.float32)
        for size, start in zip(shape, origin, strict=True)
    )
    return x[:, None, None], y[None, :, None], z[None, None, :]


def _divide_brain(
    t1: Array, grey: Array, white: Array, origin: NDArray[np.float64]
) -> tuple[list[Array], Array]:
    """Return the maps of `BRAIN_MAPS` at 1 mm, and the intracranial space, each (X, Y, Z)."""
    shape = t1.shape
    x, y, z = _axes_mm(shape, origin, 1)
    solid = t1 > 0  # without holes: the ventricles have signal
    # One millimetre of fluid around the brain: the subarachnoid space that the template lost when
    # its skull was stripped.
    intracranial = ndimage.binary_dilation(solid)
    grey, white = grey * intracranial, white * intracranial
    fluid = np.clip(intracranial - grey - white, 0, 1).astype(np.float32)

    # Lateral ventricles: the piece of fluid that holds the bodies, with its soft edge.
    labels, _ = ndimage.label((fluid > 0.5) & (z > -6) & ~((y < -20) & (z < 2) & (abs(x) < 12)))
    seeds = (abs(abs(x) - 12) < 5) & (abs(y - 8) < 6) & (abs(z - 15) < 6) & (labels > 0)
    wanted = np.bincount(labels[seeds]).argmax()
    near = ndimage.binary_dilation(labels == wanted, iterations=2)
    ventricles = fluid * near

    hippocampus = grey * _ellipsoids(x, y, z)
    deep = (
        (abs(x) < 34) & (y > -36) & (y < 26) & (z > -12) & (z < 24)
        & (ndimage.zoom(ndimage.distance_transform_edt(solid[::2, ::2, ::2]), 2, order=0)[
            : shape[0], : shape[1], : shape[2]
        ] > 9)
    )  # fmt: skip
    posterior_fossa = ((y < -36) & (z < -18 - 0.12 * (abs(x) - 30))) | (
        (abs(x) < 20) & (y < -12) & (y > -60) & (z < -8)
    )
    cortex = grey * ~(deep | posterior_fossa) - hippocampus
    cortex = np.clip(cortex * (1 - ndimage.binary_dilation(near, iterations=2)), 0, 1)
    other_grey = np.clip(grey - hippocampus - cortex, 0, 1)

    pial = fluid - ventricles > 0.4
    pial |= ~solid
    closeness = np.clip(2 * ndimage.gaussian_filter(pial.astype(np.float32), PIAL_DEPTH_MM), 0, 1)
    outer = cortex * (0.2 + 0.8 * closeness)
    # Ageing takes most from the frontal lobes, Alzheimer's disease from temporal and parietal ones.
    frontal = 1 / (1 + np.exp(-(y - 0) / 12))
    temporal = 1 / (1 + np.exp((z + 2) / 6)) * (y > -70) * (y < 22) + np.exp(
        -np.square((y + 55) / 22) - np.square((z - 35) / 22)
    )
    cortex_age = outer * (0.6 + 0.4 * frontal)
    cortex_disease = outer * np.clip(0.25 + 0.75 * temporal, 0, 1)
    maps = [
        ventricles, fluid - ventricles, white, other_grey, hippocampus, cortex,
        cortex_age, cortex_disease,
    ]  # fmt: skip
    return [np.asarray(one, np.float32) for one in maps], intracranial.astype(np.float32)


def _ellipsoids(x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
    """Both hippocampi: within a radius of the long axis's segment, tapering towards its ends."""
    start, end = np.array(HIPPOCAMPUS_ANTERIOR_MM), np.array(HIPPOCAMPUS_POSTERIOR_MM)
    axis = end - start
    length = float(np.linalg.norm(axis))
    place = (
        (abs(x) - start[0]) * axis[0] + (y - start[1]) * axis[1] + (z - start[2]) * axis[2]
    ) / (length**2)
    inner = np.clip(place, 0, 1)
    distance = np.sqrt(
        np.square(abs(x) - start[0] - inner * axis[0])
        + np.square(y - start[1] - inner * axis[1])
        + np.square(z - start[2] - inner * axis[2])
    )
    # The head is thicker than the tail.
    return np.asarray(distance < HIPPOCAMPUS_RADIUS_MM * (1 - 0.35 * inner))


def _draw_head(inside: Array, low: NDArray[np.float64]) -> list[Array]:
    """Muscle, fat and humour at 2 mm around the intracranial space given at 2 mm."""
    coarse = inside > 0.5
    x, y, z = _axes_mm(coarse.shape, low, 2)
    # Skull and scalp follow a smoothed outline of the brain, not its folds.
    outline = ndimage.gaussian_filter(coarse.astype(np.float32), 4)
    outline = np.maximum(outline > 0.5, coarse)
    distance = ndimage.distance_transform_edt(~outline).astype(np.float32) * 2

    def blob(centre: tuple[float, float, float], axes: tuple[float, float, float]) -> Array:
        """Signed distance (mm, roughly) to an ellipsoid, negative inside."""
        radius = np.sqrt(
            sum(((c - m) / a) ** 2 for c, m, a in zip((x, y, z), centre, axes, strict=True))
        )
        return np.asarray((radius - 1) * min(axes), np.float32)

    def soft(signed: Array) -> Array:
        return np.clip(0.5 - signed / 2, 0, 1).astype(np.float32)

    # Outer surface: scalp 13 mm from the brain, joined with face, jaw and neck.
    vault = distance - 13
    face = blob((0, 34, -58), (66, 54, 62))
    jaw = blob((0, 42, -105), (46, 36, 34))
    nose = blob((0, 80, -62), (13, 14, 20))
    neck = np.sqrt(np.square(x / 1.05) + np.square(y + 30 + 0.1 * z)) - 54
    neck = np.maximum(neck, z + 50)
    surface = np.minimum.reduce([vault, face, jaw, np.broadcast_to(neck, vault.shape), nose])
    surface = ndimage.gaussian_filter(surface, 3)
    body = soft(surface)
    # Fat lies under the skin and, thicker, in cheeks and neck.
    fat_depth = np.where(z < -50, 7.0, 4.0)
    fat = body * soft(np.abs(surface + 3 + fat_depth / 2) - fat_depth / 2)
    # Bone is dark; between its tables lies marrow, bright like fat but thin.
    skull = soft(distance - 8) * body
    skull *= z > -74 - 0.25 * (y + 30)
    marrow = 0.45 * soft(np.abs(distance - 4.5) - 1.0) * skull
    air = np.maximum.reduce(
        [
            soft(blob((0, 62, -66), (15, 26, 15))),  # nasal cavity
            soft(np.minimum(blob((26, 52, -66), (13, 15, 15)), blob((-26, 52, -66), (13, 15, 15)))),
            soft(blob((0, 68, -18), (18, 7, 10))),  # frontal sinus
            soft(np.broadcast_to(np.sqrt(np.square(x) + np.square(y - 6)) - 9, vault.shape))
            * (z < -70),
            soft(np.minimum(blob((46, -24, -42), (7, 10, 8)), blob((-46, -24, -42), (7, 10, 8)))),
        ]
    )
    eyes = soft(np.minimum(blob((32, 66, -36), (12, 12, 12)), blob((-32, 66, -36), (12, 12, 12))))
    orbits = soft(np.minimum(blob((30, 58, -36), (17, 22, 17)), blob((-30, 58, -36), (17, 22, 17))))
    vertebrae = soft(np.broadcast_to(np.hypot(x / 1.4, y + 22) - 12, vault.shape)) * (z < -80)
    cord = soft(np.broadcast_to(np.hypot(x, y + 42) - 6, vault.shape)) * (z < -72)
    canal = soft(np.broadcast_to(np.hypot(x, y + 42) - 9, vault.shape)) * (z < -72) - cord
    outside = (1 - outline.astype(np.float32)) * (1 - air)
    teeth = soft(blob((0, 58, -98), (24, 20, 8)))
    bare = outside * (1 - skull * (1 - orbits)) * (1 - teeth)
    eyes *= bare
    orbit_fat = np.clip(orbits * bare - eyes, 0, 1)
    fat = np.clip((fat * bare + marrow * outside) * (1 - orbits) + 0.8 * orbit_fat, 0, 1)
    fat = np.clip(fat + 0.5 * vertebrae * bare, 0, 1) * (1 - eyes)
    muscle = np.clip(body * bare - fat - eyes, 0, 1) * (1 - vertebrae) * (1 - canal * (z < -72))
    humour = np.clip(eyes + 0.8 * canal * bare, 0, 1)
    return [np.asarray(one * (1 - inside), np.float32) for one in (muscle, fat, humour)]


def _grow_ventricles(
    ventricles: Array,
    intracranial: Array,
    origin: Array,
    pooled: Array,
    pooled_origin: Array,
    pooled_step: int,
) -> VentricleFlow:
    """Displacements for smaller to larger ventricles.

    A fluid flows out of the ventricles at a constant rate per volume and is absorbed around them:
    div v = source - sink, v = grad phi, solved with a Fourier transform; following the flow for a
    while gives a smooth, invertible map. The tissue around the ventricles is pushed and compressed,
    the brain's surface stays.
    """
    step = 2
    source = ndimage.gaussian_filter(ventricles, SOURCE_SD_MM)[::step, ::step, ::step]
    inside = intracranial[::step, ::step, ::step]
    sink = ndimage.gaussian_filter(source, SINK_SD_MM / step) * inside
    sink *= source.sum() / sink.sum()
    # Absorb within the tissue only: what the ventricles themselves absorb is given to the rest.
    sink *= np.clip(1 - source, 0, 1)
    sink *= source.sum() / sink.sum()
    divergence = source - sink
    frequencies = [2 * np.pi * np.fft.fftfreq(n, step) for n in divergence.shape]
    kx, ky, kz = np.meshgrid(*frequencies, indexing="ij", sparse=True)
    square = kx**2 + ky**2 + kz**2
    square[0, 0, 0] = 1
    potential = -np.fft.fftn(divergence) / square
    velocity = np.stack([np.fft.ifftn(1j * k * potential).real for k in (kx, ky, kz)], -1).astype(
        np.float32
    )  # (X, Y, Z, 3), mm per unit of log volume at the source
    depth = ndimage.distance_transform_edt(inside > 0) * step
    velocity *= np.clip(depth / FADE_MM, 0, 1)[..., None].astype(np.float32)

    every = int(FLOW_STEP_MM // step)
    shape = tuple(-(-n // every) for n in inside.shape)
    grid = grid_points(shape) * np.float32(FLOW_STEP_MM) + origin
    # Where nothing moves, nothing needs to be followed.
    moves = np.flatnonzero(inside[::every, ::every, ::every].reshape(-1) > 0)
    knots = {0: grid}
    for direction, last in ((1, FLOW_KNOTS[1]), (-1, FLOW_KNOTS[0])):
        places = grid[moves]
        for knot in range(1, abs(last) + 1):
            time = FLOW_FIRST_STEP * (FLOW_STEP_GROWTH ** (knot - 1) if direction > 0 else 1)
            v = sample_linear(velocity, (places - origin) / np.float32(step))
            places = places - np.float32(direction * time) * v
            knots[direction * knot] = grid.copy()
            knots[direction * knot][moves] = places
    order = sorted(knots)
    displacement = np.stack([(knots[k] - grid).reshape(*shape, 3) for k in order])
    volumes = [
        float(sample_linear(pooled, (knots[k] - pooled_origin) / np.float32(pooled_step)).sum())
        * FLOW_STEP_MM**3
        / 1000
        for k in order
    ]
    # Where the flow has saturated, growing no more, there is nothing to choose from.
    growing = np.concatenate([[True], np.diff(volumes) > 1e-3])
    if not growing.all():
        stop = int(np.argmin(growing))
        displacement, volumes = displacement[:stop], volumes[:stop]
    return VentricleFlow(displacement, np.array(volumes), origin, FLOW_STEP_MM)
