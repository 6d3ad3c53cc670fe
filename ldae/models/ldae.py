"""The paper's model: a latent prior, and the LDAE that steers it by a semantic code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import override

from ldae.data.latents import read_scale
from ldae.diffusion.schedule import NoiseSchedule, per_sample
from ldae.models.base import DiffusionAutoencoder
from ldae.networks.assembly import (
    SemanticPair,
    load_prior_network,
    load_semantic_pair,
)
from ldae.networks.autoencoder import Autoencoder, load_autoencoder
from ldae.networks.unet import NoiseUNet


class LatentPrior(DiffusionAutoencoder):
    """The unconditional prior in the latent space of the autoencoder.

    Parameters
    ----------
    autoencoder, prior, schedule
        Trained networks and their schedule.
    scale
        Latent scale s; z_0 = s·μ(x).
    shape
        Grid (H, W, D) of the scans.
    device
        Where the networks are.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        prior: NoiseUNet,
        schedule: NoiseSchedule,
        scale: float,
        shape: tuple[int, int, int],
        device: torch.device,
    ) -> None:
        super().__init__(autoencoder.latent_shape(shape), schedule, device)
        self.autoencoder = autoencoder
        self.prior = prior
        self.scale = scale

    @override
    def semantic_code(self, x: Tensor) -> Tensor | None:
        return None

    @override
    @torch.inference_mode()
    def to_latent(self, x: Tensor) -> Tensor:
        return self.scale * self.autoencoder.moments(x)[0]

    @override
    @torch.inference_mode()
    def from_latent(self, z_0: Tensor) -> Tensor:
        return self.autoencoder.decode(z_0 / self.scale).clamp(0, 1)

    @override
    @torch.inference_mode()
    def noise(self, z_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        eps: Tensor = self.prior(z_t, t)
        return eps


class LatentDiffusionAutoencoder(LatentPrior):
    """The LDAE: the frozen prior, steered by the gradient estimator with a semantic code.

    Parameters
    ----------
    pair
        Trained encoder and estimator; the others as for :class:`LatentPrior`.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        prior: NoiseUNet,
        pair: SemanticPair,
        schedule: NoiseSchedule,
        scale: float,
        shape: tuple[int, int, int],
        device: torch.device,
    ) -> None:
        super().__init__(autoencoder, prior, schedule, scale, shape, device)
        self.pair = pair

    @override
    @torch.inference_mode()
    def semantic_code(self, x: Tensor) -> Tensor:
        y: Tensor = self.pair.encoder(x)
        return y

    @override
    @torch.inference_mode()
    def noise(self, z_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        if y is None:
            raise ValueError("the LDAE needs a semantic code")
        shift_weight = per_sample(self.schedule.shift_weight[t], z_t)
        return self.pair.shifted_noise(self.prior, shift_weight, z_t, t, y)


def load_prior(
    files: Mapping[str, Path],
    schedule: NoiseSchedule,
    shape: tuple[int, int, int],
    device: torch.device,
) -> LatentPrior:
    """The trained prior, from its files."""
    autoencoder = load_autoencoder(files["autoencoder"], device)
    prior = load_prior_network(files["prior"], device)
    return LatentPrior(autoencoder, prior, schedule, read_scale(files["scale"]), shape, device)


def load_ldae(
    files: Mapping[str, Path],
    schedule: NoiseSchedule,
    shape: tuple[int, int, int],
    device: torch.device,
) -> LatentDiffusionAutoencoder:
    """The trained LDAE, from its files."""
    autoencoder = load_autoencoder(files["autoencoder"], device)
    prior = load_prior_network(files["prior"], device)
    pair = load_semantic_pair(files["ldae"], prior, device)
    scale = read_scale(files["scale"])
    return LatentDiffusionAutoencoder(autoencoder, prior, pair, schedule, scale, shape, device)
