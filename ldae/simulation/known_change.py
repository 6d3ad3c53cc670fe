"""Real heads with a known change: a head's structures made smaller or larger by a known map.

The head is registered to the template. The simulator's flow then moves ventricles and hippocampi in
template space, and the map is carried back to the head, whose own intensities are moved. Cortex is
lost to fluid where the simulated disease takes it. The anatomy is real, the change is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ldae.simulation.anatomy import BRAIN_HIGH_MM, BRAIN_LOW_MM, CORTEX_LOSS_LIMIT
from ldae.simulation.sampling import Array, grid_points, move_points, sample_linear
from ldae.simulation.template import (
    BRAIN_MAPS,
    PATTERN_STEP_MM,
    PATTERNS,
    HeadTemplate,
    VentricleFlow,
    build_template,
    structure_flow,
)

TEMPLATE_MM = 2.0
"""Voxel edge of the template's maps."""

INVERSIONS = 8
"""Steps by which the deformation of the registration is inverted; it is smooth."""

FITS = 4
"""Corrections of the flow until the structures have their volumes."""

STILL_MM = 1e-3
"""Voxels that move less keep their value."""

NOTHING_LOST = 1e-9
"""Share of the cortex below which a loss is rounding."""

ALTERED = ("ventricles", "hippocampus", "cortex")


@dataclass(frozen=True)
class Registration:
    """Transform between a head and the template.

    Attributes
    ----------
    to_scan
        Affine from template to scan, mm, (4, 4).
    warp, warp_affine
        Displacements in the template before the affine, mm, (X, Y, Z, 3), and their grid.
    """

    to_scan: NDArray[np.float64]
    warp: Array
    warp_affine: NDArray[np.float64]

    def displacement(self, points: Array) -> Array:
        """Displacement of template points, both (N, 3), mm."""
        voxels = move_points(np.linalg.inv(self.warp_affine), points)
        return sample_linear(self.warp, voxels)

    def to_head(self, points: Array) -> Array:
        """Points of the scan for template points, both (N, 3), mm."""
        return move_points(self.to_scan, points + self.displacement(points))

    def to_template(self, points: Array) -> Array:
        """Template points for points of the scan, both (N, 3), mm."""
        straight = move_points(np.linalg.inv(self.to_scan), points)
        found = straight
        for _ in range(INVERSIONS):
            found = straight - self.displacement(found)
        return found


class Flows:
    """The template and the flows of its ventricles and hippocampi."""

    def __init__(self) -> None:
        self.template: HeadTemplate = build_template(TEMPLATE_MM)
        self.of: dict[str, VentricleFlow] = {
            "ventricles": self.template.flow,
            "hippocampus": structure_flow(self.template, "hippocampus"),
        }
        self.rest_ml = {
            name: float(flow.volumes_ml[int(np.abs(flow.displacement).max((1, 2)).argmin())])
            for name, flow in self.of.items()
        }

    def move(self, places: Array, name: str, volume_ml: float) -> Array:
        """Template points (N, 3) that come to lie at `places` in a template of another volume."""
        flow = self.of[name]
        displacement = flow.at(volume_ml, np.zeros(len(flow.moving)))
        voxels = (places - flow.origin_mm) / np.float32(flow.step_mm)
        return places + sample_linear(displacement, voxels)


class KnownHead:
    """A registered head whose structures can be changed.

    Parameters
    ----------
    image
        Intensities, (H, W, D).
    affine
        Voxel to scanner mm, (4, 4).
    registration
        Transform between the head and the template.
    flows
        The template and its flows.
    """

    def __init__(
        self,
        image: NDArray[np.floating],
        affine: NDArray[np.float64],
        registration: Registration,
        flows: Flows,
    ) -> None:
        self.image = np.asarray(image, np.float32)
        self.affine, self.registration, self.flows = affine, registration, flows
        shape = (image.shape[0], image.shape[1], image.shape[2])
        voxels = grid_points(shape)
        straight = move_points(np.linalg.inv(registration.to_scan) @ affine, voxels)
        low, high = np.array(BRAIN_LOW_MM), np.array(BRAIN_HIGH_MM)
        self._brain = np.flatnonzero(np.all((straight > low) & (straight < high), axis=1))
        self._voxels = voxels[self._brain]
        self._places = registration.to_template(move_points(affine, self._voxels))
        self._voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
        self.base_ml = self._measure(self._places)

    def change(
        self, ventricles: float, hippocampus: float, cortex: float
    ) -> tuple[Array, dict[str, float]]:
        """The head with other volumes, and what they are.

        Parameters
        ----------
        ventricles, hippocampus, cortex
            Volumes relative to those of the head.

        Returns
        -------
        tuple
            Intensities (H, W, D), and the volumes of `ALTERED` in ml, measured on the moved maps.
        """
        places = self._fit({"ventricles": ventricles, "hippocampus": hippocampus})
        image = self._move(places)
        lost = self._lose_cortex(places, cortex)
        flat = image.reshape(-1)
        fluid = self._fluid()
        flat[self._brain] += lost * (fluid - flat[self._brain])
        volumes = self._measure(places)
        volumes["cortex"] -= float(lost.sum(dtype=np.float64)) * self._voxel_ml
        return image, volumes

    def _maps(self, places: Array) -> Array:
        return sample_linear(self.flows.template.brain, self.flows.template.to_voxels(places))

    def _measure(self, places: Array) -> dict[str, float]:
        sums = self._maps(places).sum(0, dtype=np.float64) * self._voxel_ml
        return {name: float(sums[BRAIN_MAPS.index(name)]) for name in ALTERED}

    def _fit(self, factors: dict[str, float]) -> Array:
        """Template points of the voxels, with the volumes changed by these factors."""
        asked = {name: self.flows.rest_ml[name] * factor for name, factor in factors.items()}
        for _ in range(FITS):
            places = self._places
            for name, volume in asked.items():
                if factors[name] != 1:
                    places = self.flows.move(places, name, volume)
            found = self._measure(places)
            for name, factor in factors.items():
                asked[name] *= factor * self.base_ml[name] / found[name]
        return places

    def _move(self, places: Array) -> Array:
        """The image with what lay at `places` moved to the voxels; the rest as it was."""
        shift = self.registration.to_head(places) - self.registration.to_head(self._places)
        moving = np.abs(shift).max(1) > STILL_MM
        turn = np.linalg.inv(self.affine[:3, :3])
        source = self._voxels[moving] + shift[moving] @ turn.T
        image = self.image.copy()
        image.reshape(-1)[self._brain[moving]] = ndimage.map_coordinates(
            self.image, source.T, order=3, mode="nearest"
        )
        return image

    def _lose_cortex(self, places: Array, factor: float) -> Array:
        """Fraction of each voxel in the brain's box in which cortex becomes fluid, (N,)."""
        template = self.flows.template
        maps = self._maps(places)
        cortex, outer = (maps[:, BRAIN_MAPS.index(n)] for n in ("cortex", "cortex_outer"))
        coarse = (places - template.origin_mm) / np.float32(PATTERN_STEP_MM)
        pattern = sample_linear(template.patterns, coarse)[:, PATTERNS.index("disease")] * outer
        # What the flow has compressed is part of the loss.
        left = factor * self.base_ml["cortex"] / self._voxel_ml
        wanted = float(cortex.sum(dtype=np.float64)) - left
        if wanted < NOTHING_LOST * left:
            return np.zeros(len(places), np.float32)
        weight = wanted / pattern.sum(dtype=np.float64)
        for _ in range(FITS):  # the loss is capped per voxel: raise the rest
            lost = np.clip(np.float32(weight) * pattern, 0, CORTEX_LOSS_LIMIT * cortex)
            total = lost.sum(dtype=np.float64)
            weight *= wanted / total if total > 0 else 1.0
        return np.asarray(lost, np.float32)

    def _fluid(self) -> np.float32:
        """Median intensity in the middle of the ventricles."""
        inside = self._maps(self._places)[:, BRAIN_MAPS.index("ventricles")] > 0.9
        return np.float32(np.median(self.image.reshape(-1)[self._brain[inside]]))
