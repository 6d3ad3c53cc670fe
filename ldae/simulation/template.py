"""Template head from which every simulated participant is derived.

The brain is the ICBM 2009a symmetric average (Fonov et al. 2011), with the T1 and tissue maps that
ship with nilearn. Everything around the brain (meninges, skull, scalp, eyes, face, neck) is drawn
with distances and ellipsoids. It is realistic enough for brain extraction but not for the study of
anatomy.
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
from ldae.simulation.sampling import Array, grid_points, sample_linear, settle

Axes = tuple[Array, Array, Array]
Triple = tuple[float, float, float]
Shape = tuple[int, int, int]

# Maps of the brain, in this order along the last axis of `HeadTemplate.brain`.
BRAIN_MAPS = (
    "ventricles",  # fluid in the lateral ventricles
    "fluid",  # other cerebrospinal fluid
    "white",
    "grey",  # deep grey matter, cerebellum, brainstem
    "hippocampus",
    "cortex",
    "cortex_outer",  # the part of the cortex that is lost first (a subset of "cortex")
)
HEAD_MAPS = ("intracranial", "muscle", "fat", "humour")  # humour: fluid of the eyes

# Template frame in MNI mm. The maps of nilearn end at z = -72; the neck extends further down.
FIELD_LOW_MM = (-98.0, -134.0, -152.0)
FIELD_HIGH_MM = (98.0, 98.0, 116.0)

# Hippocampi, mirrored in x: both ends of the long axis, MNI mm, and the radius. The axis runs from
# anterior-inferior-medial to posterior-superior-lateral.
HIPPOCAMPUS_ANTERIOR_MM = (24.0, -8.0, -21.0)
HIPPOCAMPUS_POSTERIOR_MM = (30.0, -38.0, -3.0)
HIPPOCAMPUS_RADIUS_MM = 8.5

# Where cortex is lost, relative to where it is lost most, on a coarse grid: it varies smoothly.
PATTERNS = ("age", "disease")
PATTERN_STEP_MM = 8.0

# Cortex within this distance of the pial surface thins first (the cortex is 2 to 4 mm thick).
PIAL_DEPTH_MM = 2.0

# Expansion of the ventricles.
SINK_SD_MM = 18.0  # SD of the Gaussian region around the ventricles that absorbs their growth
SOURCE_SD_MM = 2.0  # SD of the smoothing of the source
FADE_MM = 8.0  # distance from the brain's surface over which the motion fades to zero
FLOW_STEP_MM = 4.0  # grid spacing of the stored displacement
FLOW_FIRST_STEP = 0.1  # length of the first step, in log volume at the source
FLOW_STEP_GROWTH = 1.1  # factor from one step to the next, so that the inflow is constant
FLOW_KNOTS = (-8, 30)  # number of steps towards smaller and larger ventricles


@dataclass(frozen=True)
class VentricleFlow:
    """Displacements that make the template's ventricles smaller or larger.

    Parameters
    ----------
    displacement
        (K, M, 3), mm, from a grid point to the template point that is moved there, of the points
        that move.
    moving
        Index of these points in the flattened grid, (M,).
    shape
        Of the grid, (X, Y, Z).
    volumes_ml
        (K,) ventricle volume of the template at each knot, ascending.
    origin_mm, step_mm
        The grid: MNI mm of its first point, and its spacing.
    """

    displacement: Array
    moving: NDArray[np.intp]
    shape: Shape
    volumes_ml: NDArray[np.float64]
    origin_mm: Array
    step_mm: float

    @property
    def points_mm(self) -> Array:
        """The points that move, (M, 3), MNI mm."""
        points = np.stack(np.unravel_index(self.moving, self.shape), 1).astype(np.float32)
        return points * np.float32(self.step_mm) + self.origin_mm

    def at(self, volume_ml: float, uneven: NDArray[np.floating]) -> Array:
        """Displacement (X, Y, Z, 3), mm, that gives the template's ventricles a volume (ml).

        `uneven` (M,) is added to the log of the volume at each moving point: some parts of the
        ventricles are larger than others.
        """
        wanted = settle(np.log(volume_ml) + np.asarray(uneven, np.float64))
        knots = np.arange(len(self.volumes_ml))
        place = np.interp(wanted, settle(np.log(self.volumes_ml)), knots)
        lower = np.minimum(place.astype(np.intp), len(self.volumes_ml) - 2)
        part = (place - lower).astype(np.float32)[:, None]
        column = np.arange(len(lower))
        below, above = self.displacement[lower, column], self.displacement[lower + 1, column]
        full = np.zeros((int(np.prod(self.shape)), 3), np.float32)
        full[self.moving] = (1 - part) * below + part * above
        return full.reshape(*self.shape, 3)


@dataclass(frozen=True)
class HeadTemplate:
    """Tissue fractions of the template head, averaged over one raw voxel.

    Parameters
    ----------
    brain
        (X, Y, Z, 7) fractions in [0, 1], in the order of `BRAIN_MAPS`, in the intracranial space.
    head
        (X, Y, Z, 4) fractions in [0, 1], in the order of `HEAD_MAPS`.
    body
        (X, Y, Z) mask of the head, with a margin.
    origin_mm, step_mm
        The grid of all three: MNI mm of its first voxel, and its spacing, at most a raw voxel.
    spacing_mm
        Raw voxel size over which the fractions are averaged.
    flow
        Displacements that change the size of the ventricles.
    patterns
        (X, Y, Z, 2) in [0, 1], in the order of `PATTERNS`, on a grid that begins at `origin_mm`
        with spacing `PATTERN_STEP_MM`.
    """

    brain: Array
    head: Array
    body: NDArray[np.bool_]
    origin_mm: Array
    step_mm: float
    spacing_mm: float
    flow: VentricleFlow
    patterns: Array

    def to_voxels(self, points_mm: Array) -> Array:
        """Voxel coordinates (N, 3) of MNI points (N, 3), mm."""
        return (points_mm - self.origin_mm) / np.float32(self.step_mm)

    def is_body(self, points_mm: Array) -> NDArray[np.bool_]:
        """Whether MNI points (N, 3), mm, may have signal; (N,)."""
        _, size_y, size_z = self.body.shape
        limit = np.array(self.body.shape, np.float32) - 1
        x, y, z = np.clip(self.to_voxels(points_mm), 0, limit).astype(np.int32).T
        index = (x * size_y + y) * size_z + z
        return np.asarray(self.body.reshape(-1).take(index, mode="clip"))


def load_tissue_maps() -> tuple[Array, Array, Array, NDArray[np.float64]]:
    """T1, grey and white matter maps of the ICBM 2009a template that ships with nilearn.

    Returns
    -------
    tuple
        Three maps (197, 233, 189) in [0, 1], RAS, 1 mm, and their affine (4, 4).

    Raises
    ------
    InputError
        If nilearn is not installed.
    """
    spec = find_spec("nilearn")  # importing nilearn itself takes seconds
    if spec is None or not spec.submodule_search_locations:
        raise InputError("nilearn", "the package is not installed", "Set up the environment again.")
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
    """Template head for raw voxels of a given size.

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
    averages = [_average(np.pad(one, extension), spacing_mm, factor) for one in brain]
    brain_maps = settle(np.stack(averages, -1))
    inside = np.pad(intracranial, extension)
    surroundings = _draw_head(_block_mean(inside, 2), np.array(FIELD_LOW_MM) + 0.5)
    if factor == 1:
        surroundings = [_double(one, inside.shape) for one in surroundings]
    head_maps = [_average(inside, spacing_mm, factor)]
    head_maps += [
        _average(one, spacing_mm / min(factor, 2), max(1, factor // 2)) for one in surroundings
    ]
    # The mean over a block of voxels belongs to the centre of the block.
    origin_mm = np.array(FIELD_LOW_MM, np.float32) + np.float32((factor - 1) / 2)
    flow = _grow_ventricles(
        brain[0],
        intracranial,
        affine[:3, 3].astype(np.float32),
        brain_maps[..., :1],
        origin_mm,
        factor,
    )
    head = settle(np.stack(head_maps, -1))
    # Sampling outside the grid repeats the edge. That suits the neck at the lower edge; elsewhere
    # the head must end at the edge.
    head[[0, -1]] = head[:, [0, -1]] = head[:, :, -1] = 0
    return HeadTemplate(
        brain=brain_maps,
        head=head,
        body=ndimage.binary_dilation(head.max(-1) > 0, iterations=2),
        origin_mm=origin_mm,
        step_mm=float(factor),
        spacing_mm=spacing_mm,
        flow=flow,
        patterns=_draw_patterns(origin_mm),
    )


def _block_mean(values: Array, factor: int) -> Array:
    """Mean over blocks of `factor` voxels along each axis; incomplete blocks are dropped."""
    if factor == 1:
        return values
    x, y, z = (n // factor for n in values.shape)
    blocks = values[: x * factor, : y * factor, : z * factor]
    means = blocks.reshape(x, factor, y, factor, z, factor).mean((1, 3, 5), dtype=np.float32)
    return np.asarray(means)


def _double(coarse: Array, shape: tuple[int, ...]) -> Array:
    """Map at half the voxel size, by repetition; an odd last voxel repeats the edge once more."""
    fine = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return np.pad(fine, [(0, n - m) for n, m in zip(shape, fine.shape, strict=True)], mode="edge")


def _average(values: Array, width: float, factor: int) -> Array:
    """Mean over cubes with an edge of about `width` voxels, at every `factor`-th voxel."""
    pooled = _block_mean(values, factor)
    rest = max(1, round(width / factor))
    if rest == 1:
        return pooled
    if rest % 2:
        return np.asarray(ndimage.uniform_filter(pooled, rest, mode="constant"))
    # A cube of even width has no central voxel: average the two cubes shifted by half a voxel.
    before = ndimage.uniform_filter(pooled, rest, mode="constant")
    after = ndimage.uniform_filter(pooled, rest, mode="constant", origin=-1)
    return np.asarray((before + after) / 2)


def _axes_mm(shape: tuple[int, ...], origin: NDArray[np.float64], step: int) -> Axes:
    """Coordinates x, y and z, mm, of the points of a grid, each shaped to broadcast over it."""
    x, y, z = (
        (np.arange(size, dtype=np.float32) * step + start).astype(np.float32)
        for size, start in zip(shape, origin, strict=True)
    )
    return x[:, None, None], y[None, :, None], z[None, None, :]


def _divide_brain(
    t1: Array, grey: Array, white: Array, origin: NDArray[np.float64]
) -> tuple[list[Array], Array]:
    """Maps of `BRAIN_MAPS` and of the intracranial space at 1 mm, each (X, Y, Z)."""
    shape = t1.shape
    x, y, z = _axes_mm(shape, origin, 1)
    solid = t1 > 0  # no holes: the ventricles have signal in T1
    # Add 1 mm of fluid around the brain: skull stripping removed the subarachnoid space.
    intracranial = ndimage.binary_dilation(solid)
    grey, white = grey * intracranial, white * intracranial
    fluid = np.clip(intracranial - grey - white, 0, 1).astype(np.float32)

    # Lateral ventricles: the connected component of fluid around their bodies, with its soft edge.
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
    maps = [ventricles, fluid - ventricles, white, other_grey, hippocampus, cortex, outer]
    return [np.asarray(one, np.float32) for one in maps], intracranial.astype(np.float32)


def _draw_patterns(origin_mm: Array) -> Array:
    """Where cortex is lost in ageing and in disease, (X, Y, Z, 2), in the order of `PATTERNS`.

    Loss is largest in the frontal lobes in ageing; in temporal and parietal lobes in Alzheimer's.
    """
    extent = np.array(FIELD_HIGH_MM) - np.array(FIELD_LOW_MM)
    nx, ny, nz = (int(n) for n in np.ceil(extent / PATTERN_STEP_MM) + 1)
    nodes = grid_points((nx, ny, nz)).astype(np.float64) * PATTERN_STEP_MM + origin_mm
    x, y, z = nodes.T

    def around(centre: Triple, sd: Triple) -> NDArray[np.float64]:
        """Gaussian about a point in the right half and its mirror image."""
        away = zip((np.abs(x), y, z), centre, sd, strict=True)
        return np.asarray(np.exp(-sum(((at - m) / s) ** 2 for at, m, s in away) / 2))

    age = 0.6 + 0.4 / (1 + np.exp(-y / 12))
    lobes = around((45, -15, -18), (25, 25, 18)) + around((30, -58, 38), (30, 18, 20))
    disease = np.clip(0.25 + 0.75 * lobes, 0, 1)
    return settle(np.stack([age, disease], 1).astype(np.float32)).reshape(nx, ny, nz, 2)


def _ellipsoids(x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
    """Mask of both hippocampi: all points within a radius of the long axis, which tapers."""
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
    """Fractions of muscle, fat and humour at 2 mm around the intracranial space given at 2 mm."""
    coarse = inside > 0.5
    points = _axes_mm(coarse.shape, low, 2)
    x, y, z = points
    # Skull and scalp follow a smoothed outline of the brain, not its gyri.
    outline = ndimage.gaussian_filter(coarse.astype(np.float32), 4)
    outline = np.maximum(outline > 0.5, coarse)
    distance = ndimage.distance_transform_edt(~outline).astype(np.float32) * 2

    surface = _head_surface(points, distance)
    body = _soft(surface)
    # Fat lies under the skin; it is thicker in the cheeks and the neck.
    fat_depth = np.where(z < -50, 7.0, 4.0)
    fat = body * _soft(np.abs(surface + 3 + fat_depth / 2) - fat_depth / 2)
    # Bone is dark; the marrow between its two tables is as bright as fat but thin.
    skull = _soft(distance - 8) * body
    skull *= z > -74 - 0.25 * (y + 30)
    marrow = 0.45 * _soft(np.abs(distance - 4.5) - 1.0) * skull
    air = _air_spaces(points, distance.shape)
    eyes = _soft(_ellipsoid_pair(points, (32, 66, -36), (12, 12, 12)))
    orbits = _soft(_ellipsoid_pair(points, (30, 58, -36), (17, 22, 17)))
    vertebrae = _soft(np.broadcast_to(np.hypot(x / 1.4, y + 22) - 12, distance.shape)) * (z < -80)
    cord = _soft(np.broadcast_to(np.hypot(x, y + 42) - 6, distance.shape)) * (z < -72)
    canal = _soft(np.broadcast_to(np.hypot(x, y + 42) - 9, distance.shape)) * (z < -72) - cord
    outside = (1 - outline.astype(np.float32)) * (1 - air)
    teeth = _soft(_ellipsoid(points, (0, 58, -98), (24, 20, 8)))
    bare = outside * (1 - skull * (1 - orbits)) * (1 - teeth)
    eyes *= bare
    orbit_fat = np.clip(orbits * bare - eyes, 0, 1)
    fat = np.clip((fat * bare + marrow * outside) * (1 - orbits) + 0.8 * orbit_fat, 0, 1)
    fat = np.clip(fat + 0.5 * vertebrae * bare, 0, 1) * (1 - eyes)
    muscle = np.clip(body * bare - fat - eyes, 0, 1) * (1 - vertebrae) * (1 - canal * (z < -72))
    humour = np.clip(eyes + 0.8 * canal * bare, 0, 1)
    return [np.asarray(one * (1 - inside), np.float32) for one in (muscle, fat, humour)]


def _head_surface(points: Axes, distance: Array) -> Array:
    """Signed distance (mm, roughly) to the skin, negative inside.

    The scalp lies 13 mm from the brain's outline (`distance`, mm); face, jaw, nose and neck are
    joined to it.
    """
    x, y, z = points
    vault = distance - 13
    face = _ellipsoid(points, (0, 34, -58), (66, 54, 62))
    jaw = _ellipsoid(points, (0, 42, -105), (46, 36, 34))
    nose = _ellipsoid(points, (0, 80, -62), (13, 14, 20))
    neck = np.sqrt(np.square(x / 1.05) + np.square(y + 30 + 0.1 * z)) - 54
    neck = np.maximum(neck, z + 50)
    surface = np.minimum.reduce([vault, face, jaw, np.broadcast_to(neck, vault.shape), nose])
    return np.asarray(ndimage.gaussian_filter(surface, 3))


def _air_spaces(points: Axes, shape: tuple[int, ...]) -> Array:
    """Fraction of air: nasal cavity, maxillary and frontal sinuses, airway and mastoid cells."""
    x, y, z = points
    airway = np.broadcast_to(np.sqrt(np.square(x) + np.square(y - 6)) - 9, shape)
    spaces = [
        _soft(_ellipsoid(points, (0, 62, -66), (15, 26, 15))),  # nasal cavity
        _soft(_ellipsoid_pair(points, (26, 52, -66), (13, 15, 15))),  # maxillary sinuses
        _soft(_ellipsoid(points, (0, 68, -18), (18, 7, 10))),  # frontal sinus
        _soft(airway) * (z < -70),
        _soft(_ellipsoid_pair(points, (46, -24, -42), (7, 10, 8))),  # mastoid cells
    ]
    return np.asarray(np.maximum.reduce(spaces))


def _ellipsoid(points: Axes, centre: Triple, half_axes: Triple) -> Array:
    """Signed distance (mm, roughly) to an ellipsoid, negative inside."""
    radius = np.sqrt(
        sum(((c - m) / a) ** 2 for c, m, a in zip(points, centre, half_axes, strict=True))
    )
    return np.asarray((radius - 1) * min(half_axes), np.float32)


def _ellipsoid_pair(points: Axes, centre: Triple, half_axes: Triple) -> Array:
    """Signed distance (mm, roughly) to the nearer of an ellipsoid and its mirror image in x."""
    mirrored = (-centre[0], centre[1], centre[2])
    return np.minimum(
        _ellipsoid(points, centre, half_axes), _ellipsoid(points, mirrored, half_axes)
    )


def _soft(signed: NDArray[np.floating]) -> Array:
    """Fraction of a voxel inside a surface at the given signed distance, with a 2 mm edge."""
    return np.clip(0.5 - signed / 2, 0, 1).astype(np.float32)


def _grow_ventricles(
    ventricles: Array,
    intracranial: Array,
    origin: Array,
    pooled: Array,
    pooled_origin: Array,
    pooled_step: int,
) -> VentricleFlow:
    """Displacements that shrink or enlarge the ventricles.

    Parameters
    ----------
    ventricles, intracranial
        Fractions at 1 mm, (X, Y, Z).
    origin
        MNI mm of their first voxel, (3,).
    pooled, pooled_origin, pooled_step
        Ventricle fraction on the template's grid (…, 1), on which the volumes are measured, and
        that grid.
    """
    step = 2
    velocity = _ventricle_velocity(ventricles, intracranial, step)
    every = int(FLOW_STEP_MM // step)
    inside = intracranial[::step, ::step, ::step][::every, ::every, ::every]
    shape = (inside.shape[0], inside.shape[1], inside.shape[2])
    grid = grid_points(shape) * np.float32(FLOW_STEP_MM) + origin
    moves = np.flatnonzero(inside.reshape(-1) > 0)
    knots = _follow_flow(velocity, step, origin, grid, moves)
    displacement = settle(np.stack([places[moves] - grid[moves] for places in knots]))
    volumes = [
        float(sample_linear(pooled, (places - pooled_origin) / np.float32(pooled_step)).sum())
        * FLOW_STEP_MM**3
        / 1000
        for places in knots
    ]
    # Keep only the knots before the flow saturates: the volumes must ascend.
    growing = np.concatenate([[True], np.diff(volumes) > 1e-3])
    if not growing.all():
        stop = int(np.argmin(growing))
        displacement, volumes = displacement[:stop], volumes[:stop]
    return VentricleFlow(displacement, moves, shape, np.array(volumes), origin, FLOW_STEP_MM)


def _ventricle_velocity(ventricles: Array, intracranial: Array, step: int) -> Array:
    """Velocity (X, Y, Z, 3), mm per unit of log volume at the source, of tissue around ventricles.

    Fluid enters the ventricles at a constant rate per volume and is absorbed around them:
    div v = source - sink with v = grad phi, solved with a Fourier transform. Integrating v gives a
    smooth, invertible map that displaces and compresses the surrounding tissue and leaves the
    brain's surface in place. The fractions are given at 1 mm and sampled at every `step`-th voxel.
    """
    source = ndimage.gaussian_filter(ventricles, SOURCE_SD_MM)[::step, ::step, ::step]
    inside = intracranial[::step, ::step, ::step]
    sink = ndimage.gaussian_filter(source, SINK_SD_MM / step) * inside
    sink *= source.sum() / sink.sum()
    # Only tissue absorbs: the share of the ventricles themselves is distributed over the rest.
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
    )
    depth = ndimage.distance_transform_edt(inside > 0) * step
    velocity *= np.clip(depth / FADE_MM, 0, 1)[..., None].astype(np.float32)
    return np.asarray(velocity)


def _follow_flow(
    velocity: Array, step: int, origin: Array, grid: Array, moves: NDArray[np.intp]
) -> list[Array]:
    """Positions (N, 3), mm, of grid points (N, 3) that follow the flow, one array per knot.

    `moves` holds the indices of the points inside the head; the others stay. The knots are in
    order of growing ventricles; `FLOW_KNOTS` gives how many there are on either side of rest.
    """
    knots = {0: grid}
    for direction, last in ((1, FLOW_KNOTS[1]), (-1, FLOW_KNOTS[0])):
        places = grid[moves]
        for knot in range(1, abs(last) + 1):
            time = FLOW_FIRST_STEP * (FLOW_STEP_GROWTH ** (knot - 1) if direction > 0 else 1)
            v = sample_linear(velocity, (places - origin) / np.float32(step))
            places = places - np.float32(direction * time) * v
            knots[direction * knot] = grid.copy()
            knots[direction * knot][moves] = places
    return [knots[k] for k in sorted(knots)]
