"""Input of a training: its data, its settings by section, and the paths of its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ldae.data.latents import LatentStore, read_scale
from ldae.data.volumes import VolumeStore

Sections = Mapping[str, Mapping[str, Any]]
"""Settings of a network, or of an ablation of it, by section."""


@dataclass(frozen=True)
class TrainingData:
    """Input files of a training, opened on first access.

    Attributes
    ----------
    volumes, masks, index
        The packed scans (:class:`ldae.data.volumes.VolumeStore`).
    mu, sigma, scale
        Their latents (:class:`ldae.data.latents.LatentStore`); None for a network in voxel space.
    scans
        Table of scans with labels; None for a network that learns without them.
    stands_on
        Weights of the network on which this one is built, such as a prior; None if there is none.
    pretrained
        Weights from which this network starts; None if it starts from scratch.
    """

    volumes: Path
    masks: Path
    index: Path
    mu: Path | None = None
    sigma: Path | None = None
    scale: Path | None = None
    scans: Path | None = None
    stands_on: Path | None = None
    pretrained: Path | None = None

    @classmethod
    def of_files(cls, files: Mapping[str, Any]) -> TrainingData:
        """Data from the named input files of a job; names without a file are ignored."""
        known = cls.__dataclass_fields__
        return cls(**{n: Path(f) for n, f in files.items() if n in known and isinstance(f, str)})

    @cached_property
    def store(self) -> VolumeStore:
        """The packed scans."""
        return VolumeStore(self.volumes, self.masks, self.index, self.scans)

    @cached_property
    def latents(self) -> LatentStore:
        """Latents of the same scans, in the same order.

        Raises
        ------
        ValueError
            If the files of the latents are missing.
        """
        if self.mu is None or self.sigma is None or self.scale is None:
            raise ValueError("this training has no latents among its input files")
        return LatentStore(self.mu, self.sigma, self.index, read_scale(self.scale))


@dataclass(frozen=True)
class TrainingJob:
    """Input of a training other than data and settings.

    Attributes
    ----------
    seed
        Seed of initial weights, batches and noise.
    model_path, metrics_path
        Files to write: ``model.safetensors`` and ``metrics.csv``.
    work_dir
        Folder for checkpoints and TensorBoard, which is not an output of the rule.
    checkpoint_minutes
        Minutes between checkpoints.
    code
        Digest of the code of the training; a checkpoint is resumed only with the same code.
    kept
        Files of the weights after some steps of the training, by step; saved like the model.
    """

    seed: int
    model_path: Path
    metrics_path: Path
    work_dir: Path
    checkpoint_minutes: float
    code: str
    kept: Mapping[int, Path] = field(default_factory=dict)
