"""The LDAE whose encoder and denoiser are trained together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from ldae.data.latents import read_scale
from ldae.diffusion.ddim import NoisePredictor
from ldae.diffusion.schedule import NoiseSchedule
from ldae.models.base import DiffusionAutoencoder
from ldae.networks.anatomical import AnatomicalNetwork
from ldae.networks.autoencoder import Autoencoder, load_autoencoder
from ldae.networks.joint import JointNetwork, load_joint_network

Network = TypeVar("Network", JointNetwork, AnatomicalNetwork)


class JointDiffusionAutoencoder(DiffusionAutoencoder, Generic[Network]):
    """The jointly trained LDAE; its diffusion space is the standardised latents.

    Parameters
    ----------
    autoencoder, network, schedule
        Trained networks and their schedule.
    scale, shape, device
        As for :class:`LatentPrior`.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        network: Network,
        schedule: NoiseSchedule,
        scale: float,
        shape: tuple[int, int, int],
        device: torch.device,
    ) -> None:
        super().__init__(autoencoder.latent_shape(shape), schedule, device)
        self.autoencoder = autoencoder
        self.network: Network = network
        self.scale = scale

    @override
    @torch.inference_mode()
    def semantic_code(self, x: Tensor) -> Tensor:
        y: Tensor = self.network.encoder(x)
        return y

    @override
    @torch.inference_mode()
    def to_latent(self, x: Tensor) -> Tensor:
        z_0: Tensor = self.network.standard(self.scale * self.autoencoder.moments(x)[0])
        return z_0

    @override
    @torch.inference_mode()
    def from_latent(self, z_0: Tensor) -> Tensor:
        z = self.network.standard.invert(z_0)
        return self.autoencoder.decode(z / self.scale).clamp(0, 1)

    @override
    @torch.inference_mode()
    def noise(self, z_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        return self.noise_given(y)(z_t, t)

    @override
    def noise_given(self, y: Tensor | None) -> NoisePredictor:
        if y is None:
            raise ValueError("the LDAE needs a semantic code")
        guess = self.network.guessed(y)

        def noise(z_t: Tensor, t: Tensor) -> Tensor:
            alpha_bar = self.schedule.alpha_bar[t]
            return self.network.rest_noise(z_t, t, y, alpha_bar, guess)

        return noise


def load_joint(
    files: Mapping[str, Path],
    schedule: NoiseSchedule,
    shape: tuple[int, int, int],
    device: torch.device,
) -> JointDiffusionAutoencoder[JointNetwork]:
    """The trained joint model, from its files."""
    autoencoder = load_autoencoder(files["autoencoder"], device)
    network = load_joint_network(files["ldae_joint"], device)
    scale = read_scale(files["scale"])
    return JointDiffusionAutoencoder(autoencoder, network, schedule, scale, shape, device)
