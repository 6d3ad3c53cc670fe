"""Trained models behind one door: what inference and evaluation need of a diffusion autoencoder."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from ldae.diffusion.sampler import DDIM, MULTISTEP, Sampler
from ldae.diffusion.schedule import NoiseSchedule, per_sample
from ldae.latents import read_scale
from ldae.networks.assembly import (
    ConditionalUNet,
    SemanticPair,
    load_conditional_unet,
    load_prior_network,
    load_semantic_pair,
)
from ldae.networks.autoencoder import Autoencoder, load_autoencoder
from ldae.networks.joint import JointNetwork, load_joint_network
from ldae.networks.unet import NoiseUNet

MULTISTEP_SUFFIX = "_multistep"
"""Names that end so are another model's networks, sampled to second order."""


class DiffusionAutoencoder(ABC):
    """A model that encodes a scan to (y, z_T) and decodes it again.

    Parameters
    ----------
    name
        The method's name in tables.
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
        name: str,
        latent_shape: tuple[int, int, int, int],
        schedule: NoiseSchedule,
        device: torch.device,
        sampler: Sampler = DDIM,
    ) -> None:
        self.name = name
        self.latent_shape = latent_shape
        self.schedule = schedule
        self.device = device
        self.sampler = sampler

    @abstractmethod
    def semantic_code(self, x: Tensor) -> Tensor | None:
        """Y (B, dim_y) of scans x (B, 1, H, W, D) in [0, 1]; None for an unconditional model."""

    @abstractmethod
    def to_latent(self, x: Tensor) -> Tensor:
        """z_0 (B, C, h, w, d) in the diffusion's space, of unit deviation."""

    @abstractmethod
    def from_latent(self, z_0: Tensor) -> Tensor:
        """x̂ (B, 1, H, W, D), clipped to [0, 1]."""

    @abstractmethod
    def noise(self, z_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """ε̂(z_t, y, t) of the shape of z_t, for int64 levels t (B,)."""


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
    name
        The method's name in tables.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        prior: NoiseUNet,
        schedule: NoiseSchedule,
        scale: float,
        shape: tuple[int, int, int],
        device: torch.device,
        name: str = "prior",
    ) -> None:
        super().__init__(name, autoencoder.latent_shape(shape), schedule, device)
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
        super().__init__(autoencoder, prior, schedule, scale, shape, device, name="ldae")
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


class JointDiffusionAutoencoder(DiffusionAutoencoder):
    """The jointly trained LDAE; its diffusion space are the latents relative to the cohort.

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
        network: JointNetwork,
        schedule: NoiseSchedule,
        scale: float,
        shape: tuple[int, int, int],
        device: torch.device,
    ) -> None:
        latent_shape = autoencoder.latent_shape(shape)
        super().__init__("ldae_joint", latent_shape, schedule, device, sampler=MULTISTEP)
        self.autoencoder = autoencoder
        self.network = network
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
        if y is None:
            raise ValueError("the LDAE needs a semantic code")
        return self.network.noise(z_t, t, y, self.schedule.alpha_bar[t])


class VoxelDiffusionAutoencoder(DiffusionAutoencoder):
    """The conventional diffusion autoencoder: its diffusion space is 2x - 1.

    Parameters
    ----------
    network
        Trained encoder and U-Net.
    schedule
        Noise schedule.
    shape
        Grid (H, W, D) of the scans.
    device
        Where the networks are.
    """

    def __init__(
        self,
        network: ConditionalUNet,
        schedule: NoiseSchedule,
        shape: tuple[int, int, int],
        device: torch.device,
    ) -> None:
        super().__init__("voxel_dae", (1, *shape), schedule, device)
        self.network = network

    @override
    @torch.inference_mode()
    def semantic_code(self, x: Tensor) -> Tensor:
        y: Tensor = self.network.encoder(x)
        return y

    @override
    def to_latent(self, x: Tensor) -> Tensor:
        return 2 * x - 1

    @override
    def from_latent(self, z_0: Tensor) -> Tensor:
        return ((z_0 + 1) / 2).clamp(0, 1)

    @override
    @torch.inference_mode()
    def noise(self, z_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        if y is None:
            raise ValueError("the voxel diffusion autoencoder needs a semantic code")
        return self.network.noise(z_t, t, y)


def load_models(
    names: Iterable[str],
    files: Mapping[str, str],
    diffusion: dict[str, Any],
    shape: tuple[int, int, int],
    device: torch.device,
) -> dict[str, DiffusionAutoencoder]:
    """Trained models by name.

    Parameters
    ----------
    names
        Among ``ldae``, ``ldae_joint``, ``prior`` and ``voxel_dae``, and ``ldae_multistep`` and
        ``voxel_dae_multistep``: the same networks, sampled to second order.
    files
        File of each network, and in latent space those of ``autoencoder`` and ``scale``; ``ldae``
        needs ``prior`` too.
    diffusion
        Config section ``diffusion``.
    shape
        Grid (H, W, D) of the scans.
    device
        Where the networks are put.
    """
    schedule = NoiseSchedule(**diffusion).to(device)
    paths = {name: Path(path) for name, path in files.items() if isinstance(path, str)}
    loaded: dict[str, DiffusionAutoencoder] = {}
    models = {}
    for name in names:
        network = name.removesuffix(MULTISTEP_SUFFIX)
        if network not in loaded:
            loaded[network] = _LOADERS[network](paths, schedule, shape, device)
        models[name] = model = copy.copy(loaded[network])  # both samplers share the networks
        if name != network:
            model.name, model.sampler = name, MULTISTEP
    return models


def _load_prior(
    files: Mapping[str, Path],
    schedule: NoiseSchedule,
    shape: tuple[int, int, int],
    device: torch.device,
) -> LatentPrior:
    autoencoder = load_autoencoder(files["autoencoder"], device)
    prior = load_prior_network(files["prior"], device)
    return LatentPrior(autoencoder, prior, schedule, read_scale(files["scale"]), shape, device)


def _load_ldae(
    files: Mapping[str, Path],
    schedule: NoiseSchedule,
    shape: tuple[int, int, int],
    device: torch.device,
) -> LatentDiffusionAutoencoder:
    autoencoder = load_autoencoder(files["autoencoder"], device)
    prior = load_prior_network(files["prior"], device)
    pair = load_semantic_pair(files["ldae"], prior, device)
    scale = read_scale(files["scale"])
    return LatentDiffusionAutoencoder(autoencoder, prior, pair, schedule, scale, shape, device)


def _load_joint(
    files: Mapping[str, Path],
    schedule: NoiseSchedule,
    shape: tuple[int, int, int],
    device: torch.device,
) -> JointDiffusionAutoencoder:
    autoencoder = load_autoencoder(files["autoencoder"], device)
    network = load_joint_network(files["ldae_joint"], device)
    scale = read_scale(files["scale"])
    return JointDiffusionAutoencoder(autoencoder, network, schedule, scale, shape, device)


def _load_voxel_dae(
    files: Mapping[str, Path],
    schedule: NoiseSchedule,
    shape: tuple[int, int, int],
    device: torch.device,
) -> VoxelDiffusionAutoencoder:
    network = load_conditional_unet(files["voxel_dae"], device)
    return VoxelDiffusionAutoencoder(network, schedule, shape, device)


_LOADERS: dict[str, Callable[..., DiffusionAutoencoder]] = {
    "ldae": _load_ldae,
    "ldae_joint": _load_joint,
    "prior": _load_prior,
    "voxel_dae": _load_voxel_dae,
}
