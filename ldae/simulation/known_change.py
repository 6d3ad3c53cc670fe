"""Real heads with a known change: a head's structures made smaller or larger by a known map.

The head is registered to the template. The simulator's flow then enlarges the ventricles in
template space, and the map is carried back to the head, whose own intensities are moved. Hippocampi
and cortex are lost to fluid as in the simulated disease. Anatomy is real, the change is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ldae.simulation.anatomy import BRAIN_HIGH_MM, BRAIN_LOW_MM
from ldae.simulation.sampling import Array, grid_points, move_points, sample_linear
from ldae.simulation.template import (
    BRAIN_MAPS,
    PATTERN_STEP_MM,
    PATTERNS,
    HeadTemplate,
)

TEMPLATE_MM = 2.0
"""Voxel edge of the template's maps."""

INVERSIONS = 8
"""Steps by which the deformation of the registration is inverted; it is smooth."""

FITS = 4
"""Corrections until the structures have their volumes."""

STILL_MM = 1e-3
"""Voxels that move less keep their value."""

LOSS_LIMIT = 0.85
"""Largest fraction of a structure that can be lost in a voxel."""

NOTHING_LOST = 1e-9
"""Share of a structure below which a loss is rounding."""

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
    template
        The template and the flow of its ventricles.
    """

    def __init__(
        self,
        image: NDArray[np.floating],
        affine: NDArray[np.float64],
        registration: Registration,
        template: HeadTemplate,
    ) -> None:
        self.image = np.asarray(image, np.float32)
        self.affine, self.registration, self.template = affine, registration, template
        shape = (image.shape[0], image.shape[1], image.shape[2])
        voxels = grid_points(shape)
        straight = move_points(np.linalg.inv(registration.to_scan) @ affine, voxels)
        low, high = np.array(BRAIN_LOW_MM), np.array(BRAIN_HIGH_MM)
        self._brain = np.flatnonzero(np.all((straight > low) & (straight < high), axis=1))
        self._voxels = voxels[self._brain]
        self._places = registration.to_template(move_points(affine, self._voxels))
        self._voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
        self.base_ml = self._measure(self._places)
        flow = template.flow
        still = int(np.abs(flow.displacement).max((1, 2)).argmin())
        self._rest_ml = float(flow.volumes_ml[still])
        self._fluid, grey, white = (self._signal(name) for name in ("ventricles", "grey", "white"))
        values = self.image.reshape(-1)[self._brain]
        # The template's cortex may lie on the head's white matter, which is not lost.
        self._losable = np.clip((white - values) / max(white - grey, 1e-6), 0, 1)

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
        places = self._fit(ventricles)
        image = self._move(places)
        maps = self._maps(places)
        coarse = (places - self.template.origin_mm) / np.float32(PATTERN_STEP_MM)
        disease = sample_linear(self.template.patterns, coarse)[:, PATTERNS.index("disease")]
        outer = maps[:, BRAIN_MAPS.index("cortex_outer")]
        whole = maps[:, BRAIN_MAPS.index("hippocampus")]
        lost = {
            "cortex": self._lose("cortex", maps, outer * disease, cortex),
            "hippocampus": self._lose("hippocampus", maps, whole, hippocampus),
        }
        flat = image.reshape(-1)
        flat[self._brain] += sum(lost.values()) * (self._fluid - flat[self._brain])
        volumes = self._measure(places)
        for name, part in lost.items():
            volumes[name] -= float(part.sum(dtype=np.float64)) * self._voxel_ml
        return image, volumes

    def _maps(self, places: Array) -> Array:
        return sample_linear(self.template.brain, self.template.to_voxels(places))

    def _measure(self, places: Array) -> dict[str, float]:
        sums = self._maps(places).sum(0, dtype=np.float64) * self._voxel_ml
        return {name: float(sums[BRAIN_MAPS.index(name)]) for name in ALTERED}

    def _fit(self, factor: float) -> Array:
        """Template points of the voxels, with the ventricles' volume changed by a factor."""
        if factor == 1:
            return self._places
        flow, asked = self.template.flow, self._rest_ml * factor
        even = np.zeros(len(flow.moving))
        voxels = (self._places - flow.origin_mm) / np.float32(flow.step_mm)
        for _ in range(FITS):
            places = self._places + sample_linear(flow.at(asked, even), voxels)
            found = self._measure(places)["ventricles"]
            asked *= factor * self.base_ml["ventricles"] / found
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

    def _lose(self, name: str, maps: Array, pattern: Array, factor: float) -> Array:
        """Fraction of each voxel in which a structure becomes fluid, (N,), by a pattern (N,)."""
        there = maps[:, BRAIN_MAPS.index(name)]
        # What the flow has compressed is part of the loss.
        left = factor * self.base_ml[name] / self._voxel_ml
        wanted = float(there.sum(dtype=np.float64)) - left
        if wanted < NOTHING_LOST * left:
            return np.zeros(len(there), np.float32)
        pattern = pattern * self._losable
        weight = wanted / pattern.sum(dtype=np.float64)
        for _ in range(FITS):  # the loss is capped per voxel: raise the rest
            lost = np.clip(np.float32(weight) * pattern, 0, LOSS_LIMIT * there)
            weight *= wanted / lost.sum(dtype=np.float64)
        return np.asarray(lost, np.float32)

    def _signal(self, name: str) -> float:
        """Median intensity where the template is nearly all of one kind."""
        inside = self._maps(self._places)[:, BRAIN_MAPS.index(name)] > 0.9
        return float(np.median(self.image.reshape(-1)[self._brain[inside]]))
