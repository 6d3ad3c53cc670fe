"""Latents of all scans: scale, encoding, reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldae.errors import InputError
from ldae.provenance.fitted import note_fitted
from ldae.volumes import VolumeStore, read_index

if TYPE_CHECKING:  # importing the network takes seconds that most readers of latents can save
    from ldae.networks.autoencoder import Autoencoder


@torch.inference_mode()
def encode_latents(
    autoencoder: Autoencoder,
    store: VolumeStore,
    batch_size: int,
    device: torch.device,
    mu_path: Path,
    sigma_path: Path,
) -> None:
    """Write the posterior moments of every scan, unscaled.

    Parameters
    ----------
    autoencoder
        Trained network, on `device`.
    store
        The packed scans.
    batch_size
        Scans encoded at once; changes nothing but speed and memory.
    device
        Where to compute.
    mu_path, sigma_path
        Written: float32 (N, C, h, w, d), row by row as the index.
    """
    shape = (len(store.index), *autoencoder.latent_shape(store.shape))
    mu_file = np.lib.format.open_memmap(mu_path, "w+", np.float32, shape)
    sigma_file = np.lib.format.open_memmap(sigma_path, "w+", np.float32, shape)
    for rows in np.array_split(store.rows(), -(-shape[0] // batch_size)):
        mu, sigma = autoencoder.moments(store.batch(rows).to(device))
        mu_file[rows] = mu.float().cpu().numpy()
        sigma_file[rows] = sigma.float().cpu().numpy()
    mu_file.flush()
    sigma_file.flush()


def measure_latent_scale(mu: np.ndarray, index: pd.DataFrame) -> float:
    """Factor s that brings the training latents to unit deviation.

    s = 1 / std(μ) over all elements of the training split (Rombach et al. 2022, appendix G).

    Parameters
    ----------
    mu
        Posterior means, (N, C, h, w, d).
    index
        Index of the rows, with column ``split``.

    Returns
    -------
    float
        s > 0; multiply before diffusion, divide before decoding.

    Raises
    ------
    InputError
        If the deviation is zero or not finite: the autoencoder collapsed.
    """
    train = (index["split"] == "train").to_numpy()
    note_fitted("latent scale", index.loc[train, "subject"])
    deviation = float(np.std(mu[train], dtype=np.float64))
    if not np.isfinite(deviation) or deviation < 1e-8:
        raise InputError(
            "latents/mu.npy",
            f"the training latents have deviation {deviation}",
            "The autoencoder collapsed: lower autoencoder.kl_weight or learning_rate.",
        )
    return 1 / deviation


def read_scale(path: Path) -> float:
    """Latent scale s from ``scale.json``."""
    return float(json.loads(Path(path).read_text())["scale"])


class LatentStore:
    """Scaled latents of all scans, read lazily.

    Parameters
    ----------
    mu_path, sigma_path
        From :func:`encode_latents`.
    index_path
        The index of the packed scans.
    scale
        Latent scale s.
    """

    def __init__(self, mu_path: Path, sigma_path: Path, index_path: Path, scale: float) -> None:
        self.mu: np.ndarray = np.load(mu_path, mmap_mode="r")
        self.sigma: np.ndarray = np.load(sigma_path, mmap_mode="r")
        self.index = read_index(Path(index_path))
        self.scale = scale
        if len(self.index) != len(self.mu):
            raise InputError(
                mu_path, "does not belong to this index", "Run rule encode_latents again."
            )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, h, w, d) of one latent."""
        c, h, w, d = self.mu.shape[1:]
        return int(c), int(h), int(w), int(d)

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of one split, ascending."""
        return np.flatnonzero(self.index["split"].to_numpy() == split)

    def mean(self, rows: Sequence[int] | np.ndarray) -> Tensor:
        """z_0 = s·μ, float32 (B, C, h, w, d)."""
        return self.scale * torch.from_numpy(np.array(self.mu[np.asarray(rows)]))

    def sample(self, rows: Sequence[int] | np.ndarray, generator: torch.Generator) -> Tensor:
        """z_0 = s·(μ + σ·ε'), a fresh draw from q(z|x), float32 (B, C, h, w, d)."""
        sigma = torch.from_numpy(np.array(self.sigma[np.asarray(rows)]))
        noise = torch.randn(sigma.shape, generator=generator)
        return self.mean(rows) + self.scale * sigma * noise

    def digest(self) -> str:
        """Digest of latents, scale and index (split), to recognise a checkpoint's data."""
        content = hashlib.sha256(self.index.to_csv(index=False).encode())
        for array in (self.mu, self.sigma):
            content.update(np.ascontiguousarray(array).tobytes())
        content.update(repr(self.scale).encode())
        return content.hexdigest()[:16]
