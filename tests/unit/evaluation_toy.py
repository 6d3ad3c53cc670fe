"""A study small enough for unit tests: drawn heads and a diffusion autoencoder with exact noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d, avg_pool3d, interpolate

from ldae.data.manifest import LABEL_COLUMNS
from ldae.data.volumes import INDEX_COLUMNS, VolumeStore
from ldae.diffusion.schedule import NoiseSchedule, per_sample
from ldae.models.base import DiffusionAutoencoder

SHAPE = (24, 28, 24)
SPACING_MM = 7.0
CENTRE_MM = (0.0, -18.0, 10.0)
CELLS = (6, 7, 6)


def affine() -> np.ndarray:
    """Voxel to MNI152 mm of the toy grid."""
    matrix = np.diag([SPACING_MM] * 3 + [1.0])
    matrix[:3, 3] = np.array(CENTRE_MM) - SPACING_MM * (np.array(SHAPE) - 1) / 2
    return matrix


def world() -> np.ndarray:
    """Coordinates in mm, (H, W, D, 3)."""
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    return grid @ affine()[:3, :3].T + affine()[:3, 3]


def _soft_ellipsoid(centre: tuple[float, ...], axes: np.ndarray) -> np.ndarray:
    radius = np.linalg.norm((world() - np.array(centre)) / axes, axis=-1)
    return np.clip((1.15 - radius) / 0.3, 0, 1)


def draw_head(ventricle_scale: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A head with dark ventricles of the given scale, and its mask."""
    size = 1 + 0.03 * rng.normal()
    brain = _soft_ellipsoid((0, -18, 10), np.array([64, 82, 60]) * size)
    ventricles = _soft_ellipsoid((0, -15, 14), np.array([16, 26, 12]) * ventricle_scale)
    mask = brain > 0.5
    texture = 0.02 * rng.normal(size=SHAPE)
    volume = np.clip((0.8 - 0.5 * ventricles + texture) * mask, 0, 1)
    return volume, mask


def make_store(folder: Path, n_subjects: int = 30, n_visits: int = 3) -> VolumeStore:
    """Packed scans of patients and controls at months 0, 6, 12, …, some in every split."""
    rng = np.random.default_rng(0)
    volumes, masks, rows = [], [], []
    for i in range(n_subjects):
        sick, age = i % 2, rng.uniform(55, 85)
        split = ("train", "train", "train", "val", "test")[i // 2 % 5]
        person = int(rng.integers(1 << 30))
        for visit in range(n_visits):
            months = 6 * visit if visit < 3 else 24
            scale = 0.85 + 0.25 * sick + 0.008 * (age - 70) + (0.002 + 0.004 * sick) * months
            volume, mask = draw_head(scale, np.random.default_rng(person))
            volumes.append(np.clip(volume + 0.01 * rng.normal(size=SHAPE) * mask, 0, 1))
            masks.append(mask)
            subject, session = f"sub-{i:04d}", f"ses-M{months:03d}"
            rows.append(
                [
                    *(len(rows), f"{subject}_{session}", subject, session, float(months)),
                    *(age + months / 12, "FM"[i % 2], "AD" if sick else "CN", "a", split),
                ]
            )
    np.save(folder / "volumes.npy", np.array(volumes, np.float16))
    np.save(folder / "masks.npy", np.array(masks, np.uint8))
    columns = [*INDEX_COLUMNS[:-1], *LABEL_COLUMNS, INDEX_COLUMNS[-1]]
    index = pd.DataFrame(rows, columns=columns)
    index.to_csv(folder / "index.tsv", sep="\t", index=False)
    return VolumeStore(folder / "volumes.npy", folder / "masks.npy", folder / "index.tsv")


class ToyModel(DiffusionAutoencoder):
    """Exact noise of z_0 | y ~ N(m(y), s²): no training, known answers.

    The latent is the scan averaged over 2³ voxels, the code its averages over a 6 x 7 x 6 grid,
    and m(y)
    the code as a coarse picture.

    Parameters
    ----------
    deviation
        s, what of the latent the code does not know.
    conditional
        False is the prior: no code, m = 0.
    """

    def __init__(self, deviation: float = 0.3, conditional: bool = True) -> None:
        latent_shape = (1, *(n // 2 for n in SHAPE))
        super().__init__(latent_shape, NoiseSchedule(1000, 1e-4, 0.02), torch.device("cpu"))
        self.deviation = deviation if conditional else 1.0
        self.conditional = conditional
        self.calls = 0

    def semantic_code(self, x: Tensor) -> Tensor | None:
        return adaptive_avg_pool3d(x, CELLS).flatten(1) if self.conditional else None

    def to_latent(self, x: Tensor) -> Tensor:
        return (avg_pool3d(x, 2) - 0.4) / 0.3

    def from_latent(self, z_0: Tensor) -> Tensor:
        return interpolate(0.3 * z_0 + 0.4, size=SHAPE, mode="nearest").clamp(0, 1)

    def noise(self, z_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        self.calls += 1
        alpha_bar = per_sample(self.schedule.alpha_bar[t], z_t)
        mean = torch.zeros_like(z_t)
        if y is not None:
            coarse = (y.reshape(-1, 1, *CELLS) - 0.4) / 0.3
            mean = interpolate(coarse, size=z_t.shape[2:], mode="trilinear")
        variance = alpha_bar * self.deviation**2 + 1 - alpha_bar
        return (1 - alpha_bar).sqrt() * (z_t - alpha_bar.sqrt() * mean) / variance
