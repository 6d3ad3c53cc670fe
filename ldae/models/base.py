"""Trained models behind one door: what inference and evaluation need of a diffusion autoencoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from ldae.diffusion.ddim import NoisePredictor
from ldae.diffusion.sampler import DDIM, Sampler
from ldae.diffusion.schedule import NoiseSchedule
from ldae.networks.residual import Visits

VisitFiller = Callable[[Visits, Visits, Tensor, Tensor], Tensor]
"""x̂ (B, 1, H, W, D), clipped to [0, 1], of earlier and later visits (latents in the diffusion's
space), the position between them (B,) in [0, 1], and the time between them in months (B,)."""

Deformer = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Scans (B, 1, H, W, D) in [0, 1], their codes y (B, dim_y), and other codes, to the scans with the
anatomy that goes with these."""


class DiffusionAutoencoder(ABC):
    """A model that encodes a scan to (y, z_T) and decodes it again.

    Parameters
    ----------
    latent_shape
        Shape (C, h, w, d) of the space the diffusion runs in.
    schedule
        Noise schedule, on the model's device.
    device
        Where inputs are expected.
    sampler
        How it encodes and samples; DDIM in the paper.
    """

    def __init__(
        self,
        latent_shape: tuple[int, int, int, int],
        schedule: NoiseSchedule,
        device: torch.device,
        sampler: Sampler = DDIM,
    ) -> None:
        self.latent_shape = latent_shape
        self.schedule = schedule
        self.device = device
        self.sampler = sampler

    @abstractmethod
    def semantic_code(self, x: Tensor) -> Tensor | None:
        """Code y (B, dim_y) of scans x (B, 1, H, W, D) in [0, 1]; None if there is no code."""

    @abstractmethod
    def to_latent(self, x: Tensor) -> Tensor:
        """z_0 (B, C, h, w, d) in the diffusion's space, of unit SD."""

    @abstractmethod
    def from_latent(self, z_0: Tensor) -> Tensor:
        """x̂ (B, 1, H, W, D), clipped to [0, 1]."""

    @abstractmethod
    def noise(self, z_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """ε̂(z_t, y, t) of the shape of z_t, for int64 timesteps t (B,)."""

    def noise_given(self, y: Tensor | None) -> NoisePredictor:
        """ε̂(z_t, t) for one y; a model may compute once what depends on y alone."""
        return lambda z_t, t: self.noise(z_t, t, y)

    @property
    def fill_in(self) -> VisitFiller | None:
        """Scans between two visits, by a part trained for it; None: codes are interpolated."""
        return None

    @property
    def deformation(self) -> Deformer | None:
        """Edits by moving anatomy; None: a scan is sampled with the edited code."""
        return None
