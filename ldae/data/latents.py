"""Latents of all scans, read lazily from disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ldae.data.digests import trusted_digest
from ldae.data.draws import normal_part
from ldae.data.rows import RowFile
from ldae.data.volumes import read_index
from ldae.errors import InputError

if TYPE_CHECKING:  # importing the network takes seconds that most readers of latents can save
    pass


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
        self.mu = RowFile(mu_path)
        self.sigma = RowFile(sigma_path)
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
        return self.scale * torch.from_numpy(self.mu[np.asarray(rows)])

    def sample(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Tensor:
        """z_0 = s·(μ + σ·ε'), a fresh draw from q(z|x), float32 (B, C, h, w, d).

        Parameters
        ----------
        rows
            Rows of the whole batch.
        part
            Those of them to return.
        generator
            Of the batch.
        """
        sigma = torch.from_numpy(self.sigma[rows[part]])
        noise = normal_part(len(rows), self.shape, part, generator)
        return self.mean(rows[part]) + self.scale * sigma * noise

    def digest(self) -> str:
        """Digest of latents, scale and index (split), to recognise a checkpoint's data."""
        content = hashlib.sha256(self.index.to_csv(index=False).encode())
        for array in (self.mu, self.sigma):
            content.update(trusted_digest(array.path).encode())
        content.update(repr(self.scale).encode())
        return content.hexdigest()[:16]
