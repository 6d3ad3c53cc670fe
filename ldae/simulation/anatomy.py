"""Anatomy of a simulated participant: a smooth deformation of the template, and atrophy.

Participants differ regionally as well as in the volumes of whole structures: each has a random
pattern of thinner and thicker cortex, of hippocampal loss and of ventricular size, with or without
disease. The disease shifts the distribution of these patterns; no direction is its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldae.simulation.sampling import (
    Array,
    combine_linear,
    grid_points,
    sample_linear,
    settle,
)
from ldae.simulation.template import BRAIN_MAPS, PATTERN_STEP_MM, HeadTemplate

# Smooth random deformation: (spacing of its control points, SD of the displacement), mm. Tuned by
# eye: gyri and outline differ clearly between participants, and the map stays invertible.
WARP_SCALES_MM = ((60.0, 3.0), (28.0, 1.5))
# SD of the log of length, width and height, beyond the variation of overall head size.
ASPECT_LOG_SD = 0.02
# Own regional variation: (spacing of its control points, mm, share of the variance), and its SD:
# fraction of the outer cortex lost, fraction of the hippocampus lost, log of ventricular size.
# Tuned: a lobe's cortical volume varies by about 5 % between participants of an age.
REGIONAL_SCALES_MM = ((60.0, 0.6), (30.0, 0.4))
REGIONAL_SD = (0.08, 0.08, 0.10)
# Correlation of this variation between points that mirror each other.
REGIONAL_SYMMETRY = 0.75
# Boxes in the template frame that contain every brain, and every lateral ventricle, mm.
BRAIN_LOW_MM = (-84.0, -120.0, -84.0)
BRAIN_HIGH_MM = (84.0, 84.0, 92.0)
VENTRICLE_LOW_MM = (-56.0, -84.0, -32.0)
VENTRICLE_HIGH_MM = (56.0, 60.0, 60.0)
# Largest fraction of a voxel's cortex that can be lost.
CORTEX_LOSS_LIMIT = 0.85

TISSUES = ("ventricles", "fluid", "white", "grey", "hippocampus", "cortex")


@dataclass(frozen=True)
class Anatomy:
    """Healthy anatomy of one participant, relative to the template.

    Parameters
    ----------
    scale
        Head size relative to the template in x, y, z, shape (3,).
    warp
        Displacement (X, Y, Z, 3), mm, on a grid with spacing `PATTERN_STEP_MM` over the template
        frame.
    regional
        Own regional variation on the same grid, (X, Y, Z, 3); see `REGIONAL_SD`.
    origin_mm
        First point of that grid, shape (3,).
    brain_mm
        Points in the template for the points of a grid over the brain with the raw voxel size,
        those inside the head, (N, 3), mm.
    """

    scale: Array
    warp: Array
    regional: Array
    origin_mm: Array
    brain_mm: Array

    def to_template(self, points_mm: Array) -> Array:
        """Points in the template, mm, for points in the participant's head, mm; both (N, 3)."""
        return self.bend(points_mm / self.scale)

    def bend(self, scaled: Array) -> Array:
        """Points in the template, mm, for points already divided by `scale`; both (N, 3)."""
        return _bend(self.warp, self.origin_mm, scaled)

    @property
    def volume_factor(self) -> float:
        """Volume of the head relative to the template, from its scale alone."""
        return float(np.prod(self.scale.astype(np.float64)))


@dataclass(frozen=True)
class State:
    """State of a participant's brain at one visit, due to age and disease.

    Parameters
    ----------
    flow
        Displacement (X, Y, Z, 3), mm, that sets the size of the ventricles (`VentricleFlow.at`).
    loss
        Fraction of the outer cortex and of the hippocampi that is lost, (X, Y, Z, 2), on the grid
        of the anatomy's warp. Lost tissue is replaced by fluid; where the fraction is negative, the
        structure is larger than the template's and replaces surrounding tissue.
    origin_mm
        First point of that grid, shape (3,).
    """

    flow: Array
    loss: Array
    origin_mm: Array


def draw_anatomy(template: HeadTemplate, icv_ml: float, rng: np.random.Generator) -> Anatomy:
    """Random anatomy with the given intracranial volume (ml)."""
    low, shape = template.origin_mm, template.patterns.shape[:3]
    warp = np.zeros((*shape, 3), np.float32)
    for spacing, deviation in WARP_SCALES_MM:
        warp += np.float32(deviation) * _random_field(shape, spacing, rng)
    aspect = rng.standard_normal(3) * ASPECT_LOG_SD
    regional = _draw_regional(shape, low, rng)
    brain_mm = _bend(warp, low, _brain_grid(template.spacing_mm))
    inside = sample_linear(template.head[..., :1], template.to_voxels(brain_mm))[:, 0]
    intracranial_ml = inside.sum(dtype=np.float64) * template.spacing_mm**3 / 1000
    size = (icv_ml / intracranial_ml) ** (1 / 3)
    scale = settle(size * np.exp(aspect - aspect.mean())).astype(np.float32)
    return Anatomy(scale, warp, regional, low, brain_mm[inside > 0])


def _bend(warp: Array, origin_mm: Array, scaled: Array) -> Array:
    return scaled + _sample_coarse(warp, origin_mm, scaled)


def _draw_regional(shape: tuple[int, ...], origin_mm: Array, rng: np.random.Generator) -> Array:
    """Own regional variation of a participant, (X, Y, Z, 3)."""
    field = np.zeros((*shape, 3), np.float32)
    for spacing, share in REGIONAL_SCALES_MM:
        field += np.float32(np.sqrt(share)) * _random_field(shape, spacing, rng)
    nodes = grid_points((shape[0], shape[1], shape[2])) * np.float32(PATTERN_STEP_MM) + origin_mm
    mirrored = _sample_coarse(field, origin_mm, nodes * np.array([-1, 1, 1], np.float32))
    # Weights whose squares sum to 1 and whose product is half the correlation.
    narrow = np.sqrt(1 - REGIONAL_SYMMETRY**2)
    own, other = np.sqrt((1 + narrow) / 2), np.sqrt((1 - narrow) / 2)
    both = np.float32(own) * field + np.float32(other) * mirrored.reshape(field.shape)
    return settle(both * np.array(REGIONAL_SD, np.float32))


# SD of a cubic B-spline whose coefficients are independent standard normal, along one axis and
# averaged over positions: the square root of the integral of B(u)² du = 151/315.
SPLINE_SD = float(np.sqrt(151 / 315))


def _random_field(shape: tuple[int, ...], spacing_mm: float, rng: np.random.Generator) -> Array:
    """Three smooth random fields with an SD of 1, (*shape, 3), on a grid of `PATTERN_STEP_MM`.

    Cubic B-splines about control points with the given spacing.
    """
    step = PATTERN_STEP_MM / spacing_mm
    n_controls = [int(np.ceil((n - 1) * step)) + 4 for n in shape]
    field = rng.standard_normal((*n_controls, 3)).astype(np.float32)
    for axis, n in enumerate(shape):
        where = np.arange(n) * step + 1
        start = where.astype(np.intp)
        u = where - start
        weights = [
            (1 - u) ** 3 / 6,
            2 / 3 - u**2 + u**3 / 2,
            2 / 3 - (1 - u) ** 2 + (1 - u) ** 3 / 2,
            u**3 / 6,
        ]
        field = combine_linear(field, axis, start - 1, weights)
    return field / np.float32(SPLINE_SD**3)


def _sample_coarse(field: Array, origin_mm: Array, points_mm: Array) -> Array:
    """Values (N, C) of a field (X, Y, Z, C) of the coarse grid at template points (N, 3), mm."""
    return sample_linear(field, (points_mm - origin_mm) / np.float32(PATTERN_STEP_MM))


class Sculptor:
    """Solves for the state in which a participant's structures have given volumes.

    The volumes are measured on a grid with the raw voxel size that is fixed in the participant's
    head, so they do not depend on the head's pose in the scanner.

    Parameters
    ----------
    template
        The template head.
    anatomy
        The participant's healthy anatomy.
    """

    def __init__(self, template: HeadTemplate, anatomy: Anatomy) -> None:
        self.template = template
        self.anatomy = anatomy
        self.places = anatomy.brain_mm
        self.cell_ml = template.spacing_mm**3 / 1000 * anatomy.volume_factor
        low, high = np.array(VENTRICLE_LOW_MM), np.array(VENTRICLE_HIGH_MM)
        self._near_ventricles = np.all((self.places > low) & (self.places < high), axis=1)
        self._ventricles = np.ascontiguousarray(template.brain[..., :1])
        origin, regional = template.origin_mm, anatomy.regional
        both = np.concatenate([template.patterns, regional[..., :2]], -1)
        self._patterns, self._own_loss = np.split(
            _sample_coarse(both, origin, self.places), 2, axis=1
        )
        uneven = _sample_coarse(regional[..., 2:], origin, template.flow.points_mm)[:, 0]
        # Uneven about the mean: the mean over the ventricles is part of their volume.
        self._uneven = uneven - uneven.mean(dtype=np.float64)

    def sculpt(
        self,
        ventricles_ml: float,
        hippocampus_ml: float,
        cortex_healthy_ml: float,
        cortex_ml: float,
    ) -> tuple[State, dict[str, float]]:
        """State with the target volumes, and the volumes that it actually has.

        Parameters
        ----------
        ventricles_ml, hippocampus_ml, cortex_healthy_ml, cortex_ml
            Target volumes; `cortex_healthy_ml` is the cortex before the loss due to disease.

        Returns
        -------
        tuple
            The state, and volumes in ml measured on the deformed tissue maps: icv_ml, brain_ml,
            gm_ml, wm_ml, csf_ml, ventricles_ml, hippocampus_ml, cortex_ml.
        """
        flow = self._fit_ventricles(ventricles_ml)
        maps = sample_brain(self.template, self.places, flow)
        ml = {name: self._ml(maps[:, k]) for k, name in enumerate(BRAIN_MAPS)}
        hippocampus, outer = (maps[:, BRAIN_MAPS.index(n)] for n in ("hippocampus", "cortex_outer"))
        own_cortex_ml = self._ml(outer * self._own_loss[:, 0])
        age_ml, disease_ml = (self._ml(outer * self._patterns[:, k]) for k in (0, 1))
        disease = (cortex_healthy_ml - cortex_ml) / disease_ml
        age = (ml["cortex"] - cortex_healthy_ml - own_cortex_ml) / age_ml
        own_hippocampus_ml = self._ml(hippocampus * self._own_loss[:, 1])
        everywhere = (ml["hippocampus"] - hippocampus_ml - own_hippocampus_ml) / ml["hippocampus"]
        for _ in range(3):  # losses are capped per voxel: distribute what the cap cut off
            tissue = alter_tissue(maps, self._loss(age, disease, everywhere))
            age += (self._ml(tissue[:, 5]) - cortex_ml) / age_ml
            everywhere += (self._ml(tissue[:, 4]) - hippocampus_ml) / ml["hippocampus"]
        tissue = alter_tissue(maps, self._loss(age, disease, everywhere))
        state = self._state(flow, age, disease, everywhere)
        volumes = {name: self._ml(tissue[:, k]) for k, name in enumerate(TISSUES)}
        grey = volumes["grey"] + volumes["hippocampus"] + volumes["cortex"]
        fluid = volumes["ventricles"] + volumes["fluid"]
        return state, {
            "icv_ml": grey + fluid + volumes["white"],
            "brain_ml": grey + volumes["white"],
            "gm_ml": grey,
            "wm_ml": volumes["white"],
            "csf_ml": fluid,
            "ventricles_ml": volumes["ventricles"],
            "hippocampus_ml": volumes["hippocampus"],
            "cortex_ml": volumes["cortex"],
        }

    def _ml(self, fractions: Array) -> float:
        """Volume in ml of tissue with these fractions at `places`."""
        return float(fractions.sum(dtype=np.float64) * self.cell_ml)

    def _loss(self, age: float, disease: float, hippocampus: float) -> Array:
        """Fractions (N, 2) of cortex and hippocampus that are lost at `places`."""
        cortex = self._own_loss[:, 0] + np.float32(age) * self._patterns[:, 0]
        cortex += np.float32(disease) * self._patterns[:, 1]
        return np.stack([cortex, self._own_loss[:, 1] + np.float32(hippocampus)], 1)

    def _state(self, flow: Array, age: float, disease: float, hippocampus: float) -> State:
        """State whose losses are those of `_loss` everywhere."""
        patterns, own = self.template.patterns, self.anatomy.regional
        cortex = own[..., 0] + np.float32(age) * patterns[..., 0]
        cortex += np.float32(disease) * patterns[..., 1]
        loss = np.stack([cortex, own[..., 1] + np.float32(hippocampus)], -1)
        return State(flow, loss, self.anatomy.origin_mm)

    def _fit_ventricles(self, wanted_ml: float) -> Array:
        """Flow that gives the ventricles the target volume, within the range of the flow."""
        places = self.places[self._near_ventricles]
        flow = self.template.flow
        asked = wanted_ml / self.anatomy.volume_factor
        displacement = flow.at(asked, self._uneven)
        for _ in range(2):  # the participant's anatomy changes the volume: correct by the ratio
            moved = places + _flow_at(self.template, displacement, places)
            asked *= wanted_ml / self._ml(
                sample_linear(self._ventricles, self.template.to_voxels(moved))[:, 0]
            )
            displacement = flow.at(asked, self._uneven)
        return displacement


def tissue_at(template: HeadTemplate, places: Array, state: State) -> Array:
    """Tissue fractions (N, 6), in the order of `TISSUES`, at template points (N, 3), mm."""
    maps = sample_brain(template, places, state.flow)
    return alter_tissue(maps, _sample_coarse(state.loss, state.origin_mm, places))


def sample_brain(template: HeadTemplate, places: Array, flow: Array) -> Array:
    """Brain maps (N, 7) at template points (N, 3), mm, with ventricles displaced by `flow`."""
    moved = places + _flow_at(template, flow, places)
    return sample_linear(template.brain, template.to_voxels(moved))


def _flow_at(template: HeadTemplate, displacement: Array, places: Array) -> Array:
    grid = template.flow
    return sample_linear(displacement, (places - grid.origin_mm) / np.float32(grid.step_mm))


def alter_tissue(maps: Array, loss: Array) -> Array:
    """Tissue fractions (N, 6), in the order of `TISSUES`, after loss of cortex and hippocampus.

    Parameters
    ----------
    maps
        Fractions in the order of `BRAIN_MAPS`, (N, 7).
    loss
        Fractions of the outer cortex and of the hippocampus that are lost, (N, 2). Lost tissue
        becomes fluid. A structure larger than the template's replaces fluid in the same voxels; the
        hippocampus then also replaces white matter.
    """
    ventricles, fluid, white, grey, hippocampus, cortex, outer = maps.T
    lost = np.clip(loss[:, 0] * outer, -fluid, CORTEX_LOSS_LIMIT * cortex)
    cortex = cortex - lost
    fluid = fluid + lost
    lost = np.clip(loss[:, 1] * hippocampus, -(fluid + white), hippocampus)
    hippocampus = hippocampus - lost
    from_white = np.clip(-lost - fluid, 0, None)
    fluid = fluid + lost + from_white
    white = white - from_white
    return np.stack([ventricles, fluid, white, grey, hippocampus, cortex], 1)


def _brain_grid(step_mm: float) -> Array:
    """Points (N, 3), mm, that fill the box of the brain."""
    extent = zip(BRAIN_LOW_MM, BRAIN_HIGH_MM, strict=True)
    nx, ny, nz = (int(np.ceil((high - low) / step_mm)) for low, high in extent)
    return grid_points((nx, ny, nz)) * np.float32(step_mm) + np.array(BRAIN_LOW_MM, np.float32)
