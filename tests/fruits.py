"""Volumes that are no brains: fruits with a stone that grows with age, and their masks."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ldae.preprocessing import grid_affine
from ldae.preprocessing.grid import apply_affine

N_FRUITS, MONTHS = 16, (0, 6, 12)
SETTINGS: dict[str, Any] = {
    "study": "fruits",
    "title": "Fruits",
    "pathvars": {"results": "results/fruits"},
    "cohort": {
        "source": "bids",
        "public": True,
        "table": "fruits.csv",
        "columns": {"subject": "fruit", "diagnosis": "state", "path": "picture"},
        "diagnoses": {"patient": "rotten", "control": "ripe", "prodromal": "soft"},
        "values": {"diagnosis": {"mouldy": "rotten"}},
    },
    "preprocessing": {
        "batch_size": 32,
        "bias_correction": False,
        "brain_extraction": "precomputed",
        "mask_pattern": "masks/{scan}.nii.gz",
        "registration": "none",
    },
    "quality": {"min_tissue_contrast": -100.0},
}
"""Settings of a study of `write_fruits` that are not those of its networks."""


def make_fruit(
    grid: Mapping[str, Any], radius: float, stone: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A fruit in the middle of the study grid.

    Parameters
    ----------
    grid
        Section ``grid`` of the settings.
    radius, stone
        Radii of the fruit and of its stone, mm.
    seed
        Of the noise.

    Returns
    -------
    tuple
        Intensities, mask of the fruit, and affine of both.
    """
    shape = tuple(grid["shape"])
    affine = grid_affine(grid["spacing_mm"], shape)
    points = apply_affine(affine, np.argwhere(np.ones(shape)))
    distance = np.linalg.norm(points - points.mean(axis=0), axis=1).reshape(shape)
    mask = distance < radius
    values = np.where(distance < stone, 30.0, 120.0 - distance) * mask
    values += np.random.default_rng(seed).uniform(0, 1, shape)
    return values.astype(np.float32), mask, affine


def write_fruits(folder: Path, grid: Mapping[str, Any]) -> None:
    """Write a table of fruits with three pictures each, and a mask of every picture."""
    rng = np.random.default_rng(0)
    (folder / "masks").mkdir(parents=True)
    rows = []
    for number in range(N_FRUITS):
        rotten, age, radius = number % 2, 20 + 3 * number, rng.uniform(62, 74)
        state = ("ripe", "mouldy" if number < N_FRUITS / 2 else "rotten")[rotten]
        for months in MONTHS:
            name = f"fruit {number} month {months}"
            stone = 8 + 0.5 * (age + months / 12) + 10 * rotten
            values, mask, affine = make_fruit(grid, radius, stone, seed=100 * number + months)
            for inside, voxels in (("", values), ("masks", mask.astype(np.uint8))):
                nib.Nifti1Image(voxels, affine).to_filename(folder / inside / f"{name}.nii.gz")
            row = {"fruit": f"F{number:02d}", "months": months, "age": age + months / 12}
            rows.append(row | {"state": state, "picture": f"{name}.nii.gz"})
    with (folder / "fruits.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
