"""Anatomy of a simulated participant: a smooth deformation of the template, and atrophy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldae.simulation.sampling import Array, grid_points, sample_linear
from ldae.simulation.template import BRAIN_MAPS, HeadTemplate

# Smooth random deformation: (spacing of its control points, SD of the displacement), mm. Tuned by
# eye: gyri and outline differ clearly between participants, and the map stays invertible.
WARP_SCALES_MM = ((60.0, 3.0), (28.0, 1.5))
WARP_STEP_MM = 8.0
# SD of the log of length, width and height, beyond the variation of overall head size.
ASPECT_LOG_SD = 0.02
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
        Displacement (X, Y, Z, 3), mm, on a grid with spacing `WARP_STEP_MM` over the template
        frame.
    warp_origin_mm
        First point of that grid, shape (3,).
    """

    scale: Array
    warp: Array
    warp_origin_mm: Array

    def to_template(self, points_mm: Array) -> Array:
        """Points in the template, mm, for points in the participant's head, mm; both (N, 3)."""
        return self.bend(points_mm / self.scale)

    def bend(self, scaled: Array) -> Array:
        """Points in the template, mm, for points already divided by `scale`; both (N, 3)."""
        moved = sample_linear(self.warp, (scaled - self.warp_origin_mm) / np.float32(WARP_STEP_MM))
        return scaled + moved

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
    hippocampus_loss
        Fraction of the hippocampi replaced by fluid. Negative if the hippocampi are larger than
        the template's; they then replace surrounding tissue.
    cortex_age_loss, cortex_disease_loss
        Weights of the two maps of cortical loss.
    """

    flow: Array
    hippocampus_loss: float
    cortex_age_loss: float
    cortex_disease_loss: float


def draw_anatomy(template: HeadTemplate, icv_ml: float, rng: np.random.Generator) -> Anatomy:
    """Random anatomy with the given intracranial volume (ml)."""
    low = template.origin_mm
    extent = (np.array(template.head.shape[:3]) - 1) * template.step_mm
    shape = tuple(int(n) for n in np.ceil(extent / WARP_STEP_MM) + 1)
    warp = np.zeros((*shape, 3), np.float32)
    for spacing, deviation in WARP_SCALES_MM:
        control_shape = [int(n) for n in np.ceil(extent / spacing) + 4]
        control = rng.standard_normal((*control_shape, 3)).astype(np.float32)
        places = [np.arange(n, dtype=np.float64) * (WARP_STEP_MM / spacing) + 1 for n in shape]
        for axis, where in enumerate(places):
            # Cubic B-spline along one axis, written as a small matrix product.
            weights = _spline_weights(where, control.shape[axis])
            control = np.moveaxis(np.tensordot(weights, control, (1, axis)), 0, axis)
        warp += np.float32(deviation) * control / np.float32(SPLINE_SD**3)
    aspect = rng.standard_normal(3) * ASPECT_LOG_SD
    unit = Anatomy(np.ones(3, np.float32), warp, low)
    points, cell_ml = _brain_grid(template, BRAIN_LOW_MM, BRAIN_HIGH_MM)
    intracranial = (
        sample_linear(template.head[..., :1], template.to_voxels(unit.to_template(points))).sum()
        * cell_ml
    )
    size = (icv_ml / intracranial) ** (1 / 3)
    scale = (size * np.exp(aspect - aspect.mean())).astype(np.float32)
    return Anatomy(scale, warp, low)


def _spline_weights(where: NDArray[np.float64], n_controls: int) -> Array:
    """Weights (N, C) of cubic B-splines centred at 0 … C-1, evaluated at the given points (N,)."""
    distance = np.abs(where[:, None] - np.arange(n_controls)[None])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


# SD of a cubic B-spline whose coefficients are independent standard normal, along one axis and
# averaged over positions: the square root of the integral of B(u)² du = 151/315.
SPLINE_SD = float(np.sqrt(151 / 315))


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
        points, cell_ml = _brain_grid(template, BRAIN_LOW_MM, BRAIN_HIGH_MM)
        places = anatomy.bend(points)
        inside = sample_linear(template.head[..., :1], template.to_voxels(places))[:, 0]
        self.places = places[inside > 0]
        self.cell_ml = cell_ml * anatomy.volume_factor
        low, high = np.array(VENTRICLE_LOW_MM), np.array(VENTRICLE_HIGH_MM)
        self._near_ventricles = np.all((self.places > low) & (self.places < high), axis=1)
        self._ventricles = np.ascontiguousarray(template.brain[..., :1])

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
        total = dict(zip(BRAIN_MAPS, maps.sum(0, dtype=np.float64) * self.cell_ml, strict=True))
        hippocampus_loss = 1 - hippocampus_ml / total["hippocampus"]
        age = (total["cortex"] - cortex_healthy_ml) / total["cortex_age"]
        disease = (cortex_healthy_ml - cortex_ml) / total["cortex_disease"]
        state = State(flow, hippocampus_loss, age, disease)
        tissue = alter_tissue(maps, state)
        for _ in range(2):  # the loss is capped per voxel: distribute what the cap cut off
            missing = tissue[:, 5].sum(dtype=np.float64) * self.cell_ml - cortex_ml
            state = State(
                flow,
                hippocampus_loss,
                state.cortex_age_loss + missing / total["cortex_age"],
                disease,
            )
            tissue = alter_tissue(maps, state)
        volumes = dict(zip(TISSUES, tissue.sum(0, dtype=np.float64) * self.cell_ml, strict=True))
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

    def _fit_ventricles(self, wanted_ml: float) -> Array:
        """Flow that gives the ventricles the target volume, within the range of the flow."""
        places = self.places[self._near_ventricles]
        flow = self.template.flow
        asked = wanted_ml / self.anatomy.volume_factor
        displacement = flow.at(asked)
        for _ in range(2):  # the participant's warp changes the volume: correct by the ratio
            moved = places + _flow_at(self.template, displacement, places)
            measured = (
                sample_linear(self._ventricles, self.template.to_voxels(moved)).sum(
                    dtype=np.float64
                )
                * self.cell_ml
            )
            asked *= wanted_ml / measured
            displacement = flow.at(asked)
        return displacement


def sample_brain(template: HeadTemplate, places: Array, flow: Array) -> Array:
    """Brain maps (N, 8) at template points (N, 3), mm, with ventricles displaced by `flow`."""
    moved = places + _flow_at(template, flow, places)
    return sample_linear(template.brain, template.to_voxels(moved))


def _flow_at(template: HeadTemplate, displacement: Array, places: Array) -> Array:
    grid = template.flow
    return sample_linear(displacement, (places - grid.origin_mm) / np.float32(grid.step_mm))


def alter_tissue(maps: Array, state: State) -> Array:
    """Tissue fractions (N, 6), in the order of `TISSUES`, after loss of cortex and hippocampus.

    Lost tissue becomes fluid. A structure larger than the template's replaces fluid in the same
    voxels; the hippocampus then also replaces white matter.
    """
    ventricles, fluid, white, grey, hippocampus, cortex, age, disease = maps.T
    loss = state.cortex_age_loss * age + state.cortex_disease_loss * disease
    loss = np.clip(loss, -fluid, CORTEX_LOSS_LIMIT * cortex)
    cortex = cortex - loss
    fluid = fluid + loss
    loss = np.clip(np.float32(state.hippocampus_loss) * hippocampus, -(fluid + white), hippocampus)
    hippocampus = hippocampus - loss
    from_white = np.clip(-loss - fluid, 0, None)
    fluid = fluid + loss + from_white
    white = white - from_white
    return np.stack([ventricles, fluid, white, grey, hippocampus, cortex], 1)


def _brain_grid(
    template: HeadTemplate, low: tuple[float, ...], high: tuple[float, ...]
) -> tuple[Array, float]:
    """Points (N, 3), mm, that fill a box at the raw voxel spacing, and the volume of each, ml."""
    step = template.spacing_mm
    shape = tuple(int(np.ceil((b - a) / step)) for a, b in zip(low, high, strict=True))
    points = grid_points((shape[0], shape[1], shape[2])) * np.float32(step)
    return points + np.array(low, np.float32), step**3 / 1000
