"""What a training is given: its data, its settings by section, and where its results belong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ldae.data.latents import LatentStore, read_scale
from ldae.data.volumes import VolumeStore

Sections = Mapping[str, Mapping[str, Any]]
"""Settings by section, as a network or an ablation of it has them."""


@dataclass(frozen=True)
class TrainingData:
    """Files that a training may read, opened when they are first asked for.

    Attributes
    ----------
    volumes, masks, index
        The packed scans (:class:`ldae.data.volumes.VolumeStore`).
    mu, sigma, scale
        Their latents (:class:`ldae.data.latents.LatentStore`); None for a network in voxel space.
    stands_on
        Weights of the network that this one stands on; None for one that needs none.
    """

    volumes: Path
    masks: Path
    index: Path
    mu: Path | None = None
    sigma: Path | None = None
    scale: Path | None = None
    stands_on: Path | None = None

    @classmethod
    def of_files(cls, files: Mapping[str, Any]) -> TrainingData:
        """The data among a job's named input files; a name without a file is left out."""
        known = cls.__dataclass_fields__
        return cls(**{n: Path(f) for n, f in files.items() if n in known and isinstance(f, str)})

    @cached_property
    def store(self) -> VolumeStore:
        """The packed scans."""
        return VolumeStore(self.volumes, self.masks, self.index)

    @cached_property
    def latents(self) -> LatentStore:
        """Latents of the same scans, row by row.

        Raises
        ------
        ValueError
            If the training was given none.
        """
        if self.mu is None or self.sigma is None or self.scale is None:
            raise ValueError("this training was given no latents")
        return LatentStore(self.mu, self.sigma, self.index, read_scale(self.scale))


@dataclass(frozen=True)
class TrainingJob:
    """What every training is given besides its data and settings.

    Attributes
    ----------
    seed
        Of initial weights, batches and noise.
    model_path, metrics_path
        Written: ``model.safetensors`` and ``metrics.csv``.
    work_dir
        Folder for checkpoints and TensorBoard, outside the rule's outputs.
    checkpoint_minutes
        Minutes between checkpoints.
    code
        Digest of the training's code: only a checkpoint of the same code is resumed.
    """

    seed: int
    model_path: Path
    metrics_path: Path
    work_dir: Path
    checkpoint_minutes: float
    code: str
