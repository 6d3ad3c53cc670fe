"""One person's head: a smooth deformation of the template, and what age and disease did to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldae.simulation.sampling import Array, grid_points, sample_linear
from ldae.simulation.template import BRAIN_MAPS, HeadTemplate

# Smooth random deformation: (spacing of its control points, deviation), mm. Tuned by eye: gyri and
# the outline differ clearly between people, and no volume element is folded.
WARP_SCALES_MM = ((60.0, 3.0), (28.0, 1.5))
WARP_STEP_MM = 8.0
# Deviation of the logarithm of length, width and height apart from the head's size.
ASPECT_LOG_SD = 0.02
# Box of the template frame that holds every brain, mm.
BRAIN_LOW_MM = (-84.0, -120.0, -84.0)
BRAIN_HIGH_MM = (84.0, 84.0, 92.0)
VENTRICLE_LOW_MM = (-56.0, -84.0, -32.0)
VENTRICLE_HIGH_MM = (56.0, 60.0, 60.0)
# Share of a voxel's cortex that can be lost.
CORTEX_LOSS_LIMIT = 0.85

TISSUES = ("ventricles", "fluid", "white", "grey", "hippocampus", "cortex")


@dataclass(frozen=True)
class Person:
    """One person's healthy anatomy.

    Parameters
    ----------
    scale
        Head size relative to the template in x, y, z, shape (3,).
    warp
        Displacement (X, Y, Z, 3), mm, on a grid of `WARP_STEP_MM` over the template frame.
    warp_origin_mm
        First point of that grid.
    """

    scale: Array
    warp: Array
    warp_origin_mm: Array

    def to_template(self, points_mm: Array) -> Array:
        """Template places (N, 3), mm, of places in this person's head (N, 3), mm."""
        return self.bend(points_mm / self.scale)

    def bend(self, scaled: Array) -> Array:
        """Template places (N, 3), mm, of places (N, 3) already divided by the head's scale."""
        moved = sample_linear(self.warp, (scaled - self.warp_origin_mm) / np.float32(WARP_STEP_MM))
        return scaled + moved

    @property
    def volume_factor(self) -> float:
        """How much larger than the template the head is, by its scale alone."""
        return float(np.prod(self.scale.astype(np.float64)))


@dataclass(frozen=True)
class State:
    """What age and disease have made of a person's brain at one visit.

    Parameters
    ----------
    flow
        Displacement (X, Y, Z, 3), mm, that sets the ventricles (`VentricleFlow.at`).
    hippocampus_loss
        Share of the hippocampi turned into fluid; negative where they are larger than the
        template's and take from their surroundings.
    cortex_age_loss, cortex_disease_loss
        Weights of the two maps of cortical loss.
    """

    flow: Array
    hippocampus_loss: float
    cortex_age_loss: float
    cortex_disease_loss: float


def draw_person(template: HeadTemplate, icv_ml: float, rng: np.random.Generator) -> Person:
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
            # Cubic B-spline along each axis, as a small matrix.
            weights = _spline_weights(where, control.shape[axis])
            control = np.moveaxis(np.tensordot(weights, control, (1, axis)), 0, axis)
        warp += np.float32(deviation) * control / np.float32(SPLINE_SD**3)
    aspect = rng.standard_normal(3) * ASPECT_LOG_SD
    unit = Person(np.ones(3, np.float32), warp, low)
    points, cell_ml = _brain_grid(template, BRAIN_LOW_MM, BRAIN_HIGH_MM)
    intracranial = (
        sample_linear(template.head[..., :1], template.to_voxels(unit.to_template(points))).sum()
        * cell_ml
    )
    size = (icv_ml / intracranial) ** (1 / 3)
    scale = (size * np.exp(aspect - aspect.mean())).astype(np.float32)
    return Person(scale, warp, low)


def _spline_weights(where: NDArray[np.float64], n_controls: int) -> Array:
    """Weights (N, C) of cubic B-splines centred at 0 .. C-1 at the given places."""
    distance = np.abs(where[:, None] - np.arange(n_controls)[None])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


# Deviation of a cubic B-spline sum of independent unit normals, along one axis and on average over
# places: the root of the integral of B(u)^2 over u, which is 151/315.
SPLINE_SD = float(np.sqrt(151 / 315))


class Sculptor:
    """Finds the state in which one person's structures have the wanted volumes.

    Works on a grid of the raw voxel size that is fixed in the person's head, so that the head's
    pose in the scanner does not enter.

    Parameters
    ----------
    template
        The template head.
    person
        The person's anatomy.
    """

    def __init__(self, template: HeadTemplate, person: Person) -> None:
        self.template = template
        self.person = person
        points, cell_ml = _brain_grid(template, BRAIN_LOW_MM, BRAIN_HIGH_MM)
        places = person.bend(points)
        inside = sample_linear(template.head[..., :1], template.to_voxels(places))[:, 0]
        self.places = places[inside > 0]
        self.cell_ml = cell_ml * person.volume_factor
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
        """State with the wanted volumes, and the volumes that it really has.

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
        for _ in range(2):  # part of the wanted loss may exceed what single voxels can lose
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
        """Flow that gives this person's ventricles the volume, up to the flow's range."""
        places = self.places[self._near_ventricles]
        flow = self.template.flow
        asked = wanted_ml / self.person.volume_factor
        displacement = flow.at(asked)
        for _ in range(2):  # the person's own warp changes the volume: correct by the ratio
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
    """Brain maps (N, 8) at template places (N, 3), with the ventricles as the flow sets them."""
    moved = places + _flow_at(template, flow, places)
    return sample_linear(template.brain, template.to_voxels(moved))


def _flow_at(template: HeadTemplate, displacement: Array, places: Array) -> Array:
    grid = template.flow
    return sample_linear(displacement, (places - grid.origin_mm) / np.float32(grid.step_mm))


def alter_tissue(maps: Array, state: State) -> Array:
    """Tissue fractions (N, 6), in the order of `TISSUES`, after losses of cortex and hippocampus.

    What is lost becomes fluid. Where a structure is larger than the template's it takes the fluid,
    and for the hippocampus then the white matter, of the same voxels.
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
    """Points (N, 3), mm, that cover a box in steps of the raw voxel, and a cell's volume in ml."""
    step = template.spacing_mm
    shape = tuple(int(np.ceil((b - a) / step)) for a, b in zip(low, high, strict=True))
    points = grid_points((shape[0], shape[1], shape[2])) * np.float32(step)
    return points + np.array(low, np.float32), step**3 / 1000
