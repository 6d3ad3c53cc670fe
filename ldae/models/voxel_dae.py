"""The conventional diffusion autoencoder, in voxel space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import override

from ldae.diffusion.schedule import NoiseSchedule
from ldae.models.base import DiffusionAutoencoder
from ldae.networks.assembly import (
    ConditionalUNet,
    load_conditional_unet,
)


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
        super().__init__((1, *shape), schedule, device)
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


def load_voxel_dae(
    files: Mapping[str, Path],
    schedule: NoiseSchedule,
    shape: tuple[int, int, int],
    device: torch.device,
) -> VoxelDiffusionAutoencoder:
    """The trained voxel-space model, from its file."""
    network = load_conditional_unet(files["voxel_dae"], device)
    return VoxelDiffusionAutoencoder(network, schedule, shape, device)
