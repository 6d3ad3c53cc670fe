"""True effect of disease and age on a simulated scan: the ground truth for edits.

Each scan is rendered twice without noise in the participant's own anatomy, once unchanged and once
with more disease or a higher age, on the voxels of the preprocessed scan. The difference is the
true atrophy map of that scan.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ldae.data.addresses import Derivative, TruthMap, find_derivative, truth_address
from ldae.errors import InputError
from ldae.simulation import rates
from ldae.simulation.anatomy import TISSUES, Sculptor, draw_anatomy, tissue_at
from ldae.simulation.population import (
    STREAM_ANATOMY,
    draw_population,
    healthy_growth,
    random_stream,
)
from ldae.simulation.sampling import Array, grid_points, sample_linear
from ldae.simulation.scanner import SIGNAL
from ldae.simulation.settings import SimulationSettings
from ldae.simulation.template import build_template

SEVERITY_STEP = 1.0
"""Severity added to a scan; 1 is the severity of an average patient at the first visit."""

AGE_STEP_YEARS = 10.0

TISSUE_SIGNAL = np.array([SIGNAL[name] for name in TISSUES], np.float32)
"""Signal of each tissue in the average scanner, relative to white matter (about 1)."""

Volumes = dict[str, float]


def as_is(visit: Mapping[str, Any]) -> Volumes:
    """Target volumes (ml) of a visit, unchanged."""
    names = ("ventricles_ml", "hippocampus_ml", "cortex_healthy_ml", "cortex_ml")
    return {name: float(visit[name]) for name in names}


def with_disease(visit: Mapping[str, Any]) -> Volumes:
    """Target volumes (ml) of a visit with the severity raised by `SEVERITY_STEP`."""
    return {
        "ventricles_ml": visit["ventricles_ml"]
        * np.exp(rates.VENTRICLES_LOG_EFFECT_AD * SEVERITY_STEP),
        "hippocampus_ml": visit["hippocampus_ml"]
        * np.exp(rates.HIPPOCAMPUS_LOG_EFFECT_AD * SEVERITY_STEP),
        "cortex_healthy_ml": visit["cortex_healthy_ml"],
        "cortex_ml": visit["cortex_ml"] * np.exp(rates.CORTEX_LOG_EFFECT_AD * SEVERITY_STEP),
    }


def with_age(visit: Mapping[str, Any]) -> Volumes:
    """Target volumes (ml) of a visit after `AGE_STEP_YEARS` of healthy ageing."""
    ventricles, hippocampus, cortex = healthy_growth(float(visit["age"]), AGE_STEP_YEARS)
    return {
        "ventricles_ml": visit["ventricles_ml"] * ventricles,
        "hippocampus_ml": visit["hippocampus_ml"] * hippocampus,
        "cortex_healthy_ml": visit["cortex_healthy_ml"] * cortex,
        "cortex_ml": visit["cortex_ml"] * cortex,
    }


CHANGES: dict[str, Callable[[Mapping[str, Any]], Volumes]] = {
    "ad_vs_cn": with_disease,
    "age": with_age,
}
"""Counterfactual target volumes for each attribute of the probes."""


@dataclass(frozen=True)
class TrueEffects:
    """Noise-free renderings on the study's grid, with the signal of the average scanner.

    Attributes
    ----------
    scans
        Names of the scans, (n,).
    base
        The unchanged scans, (n, H, W, D) float32.
    maps
        For each attribute, counterfactual minus base, (n, H, W, D) float32.
    """

    scans: NDArray[np.str_]
    base: Array
    maps: dict[str, Array]

    def save(self, path: Path) -> None:
        """Write all arrays to an npz file."""
        np.savez_compressed(path, scans=self.scans, base=self.base, **self.maps)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> TrueEffects:
        """Read the npz file that :meth:`save` has written."""
        arrays = dict(np.load(path))
        return cls(arrays.pop("scans"), arrays.pop("base"), arrays)

    def of(self, attribute: str, scans: Sequence[str]) -> tuple[Array, Array]:
        """Base and difference maps of the given scans, in their order; (k, H, W, D) each."""
        place = {scan: i for i, scan in enumerate(self.scans)}
        rows = [place[scan] for scan in scans]
        return self.base[rows], self.maps[attribute][rows]


def render_true_effects(
    scans: Sequence[str],
    settings: Mapping[str, Any],
    seed: int,
    truth_dir: Path,
    preprocessed: Path,
    shape: Sequence[int],
    affine: NDArray[np.floating],
) -> TrueEffects:
    """Unchanged and counterfactual renderings of simulated scans on the study's grid.

    Parameters
    ----------
    scans
        Names of the scans.
    settings, seed
        Section ``cohort.simulated`` and seed with which the cohort was simulated.
    truth_dir
        Folder with the ground truth of the cohort; the deformations are read.
    preprocessed
        Data set of the preprocessed scans; the transforms are read.
    shape, affine
        Shape (H, W, D) of the study's grid, and its affine from voxels to MNI152 mm, (4, 4).

    Raises
    ------
    InputError
        If a scan does not belong to this cohort, or a file is missing.
    """
    checked = SimulationSettings.from_mapping(settings)
    template = build_template(checked.spacing_mm)
    records: list[dict[str, Any]] = draw_population(checked, seed).to_dict("records")  # type: ignore[assignment]
    visits = {str(record["scan"]): record for record in records}
    grid = grid_points((shape[0], shape[1], shape[2])).astype(np.float64)
    grid_mm = grid @ affine[:3, :3].T + affine[:3, 3]
    base = np.zeros((len(scans), *shape), np.float32)
    maps = {name: np.zeros_like(base) for name in CHANGES}
    sculptors: dict[int, Sculptor] = {}
    for i, scan in enumerate(scans):
        if scan not in visits:
            raise InputError(
                scan, "the scan is not in this simulated cohort", "Simulate the cohort again."
            )
        visit = visits[scan]
        index = int(visit["participant"])
        if index not in sculptors:
            rng = random_stream(seed, STREAM_ANATOMY, index)
            anatomy = draw_anatomy(template, float(visit["icv_ml"]), rng)
            sculptors[index] = Sculptor(template, anatomy)
        sculptor = sculptors[index]
        native = _to_native(grid_mm, find_derivative(preprocessed, scan, Derivative.TRANSFORM))
        path = truth_dir / truth_address(scan, TruthMap.DEFORMATION)
        to_template = np.load(path)["world_to_template"]
        straight = native @ to_template[:3, :3].T + to_template[:3, 3]
        places = sculptor.anatomy.bend(straight.astype(np.float32))
        base[i] = _render(sculptor, as_is(visit), places).reshape(tuple(shape))
        for name, change in CHANGES.items():
            changed = _render(sculptor, change(visit), places).reshape(tuple(shape))
            maps[name][i] = changed - base[i]
    return TrueEffects(np.array(list(scans)), base, maps)


def _render(sculptor: Sculptor, volumes: Volumes, places: Array) -> Array:
    """Signal (N,) at template points (N, 3), mm, of a participant with the given volumes."""
    template = sculptor.template
    state, _ = sculptor.sculpt(**volumes)
    inside = sample_linear(template.head[..., :1], template.to_voxels(places))[:, 0] > 0
    image = np.zeros(len(places), np.float32)
    image[inside] = tissue_at(template, places[inside], state) @ TISSUE_SIGNAL
    return image


def _to_native(points_mm: NDArray[np.floating], xfm: Path) -> NDArray[np.floating]:
    """Points in scanner mm for template points (N, 3), mm, by a scan's transform and warp."""
    transform = json.loads(xfm.read_text())
    points = points_mm
    if transform["warp"]:
        warp = nib.Nifti1Image.from_filename(xfm.parent / transform["warp"])
        voxels = (points - warp.affine[:3, 3]) @ np.linalg.inv(warp.affine[:3, :3]).T
        field = np.asarray(warp.dataobj, np.float32)
        points = points + sample_linear(field, voxels.astype(np.float32))
    to_native = np.linalg.inv(np.array(transform["affine"]))
    return np.asarray(points @ to_native[:3, :3].T + to_native[:3, 3])
