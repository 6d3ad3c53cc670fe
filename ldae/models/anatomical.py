"""The recommended latent diffusion autoencoder, trained as one network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import override

from ldae.data.latents import read_scale
from ldae.diffusion.schedule import NoiseSchedule
from ldae.models.base import Deformer, VisitFiller
from ldae.models.joint import JointDiffusionAutoencoder
from ldae.networks.anatomical import AnatomicalNetwork, load_anatomical_network
from ldae.networks.autoencoder import load_autoencoder
from ldae.networks.residual import Visits


class AnatomicalDiffusionAutoencoder(JointDiffusionAutoencoder[AnatomicalNetwork]):
    """A jointly trained LDAE that fills in visits, and edits anatomy, by heads of its network."""

    @property
    @override
    def fill_in(self) -> VisitFiller | None:
        return None if self.network.fill_in is None else self._fill_in

    @torch.inference_mode()
    def _fill_in(self, a: Visits, b: Visits, alpha: Tensor, gap: Tensor) -> Tensor:
        x: Tensor = self.network.fill_in(a, b, alpha, gap)  # type: ignore[misc]
        return x.clamp(0, 1)

    @property
    @override
    def deformation(self) -> Deformer:
        return self._deform

    @torch.inference_mode()
    def _deform(self, x: Tensor, y: Tensor, moved: Tensor) -> Tensor:
        """x̂' = G(y') + φ(x̂ - G(y)): the guess for the new code, and the scan's own detail, moved.

        G decodes the latent that is guessed from a code, here with y' shrunk towards y as the
        deformation φ is. It carries what is no matter of place, such as the brightness of a cortex
        that is thinner than a voxel.
        """
        deformation = self.network.deformation
        codes = y, deformation.shrunk(y, moved)
        before, after = (self.from_latent(self.network.guessed(code)) for code in codes)
        detail: Tensor = deformation(x - before, y, moved)
        return (after + detail).clamp(0, 1)


def load_anatomical(
    files: Mapping[str, Path],
    schedule: NoiseSchedule,
    shape: tuple[int, int, int],
    device: torch.device,
) -> AnatomicalDiffusionAutoencoder:
    """The trained model, from its files."""
    autoencoder = load_autoencoder(files["autoencoder"], device)
    network = load_anatomical_network(files["ldae_anatomical"], device)
    scale = read_scale(files["scale"])
    return AnatomicalDiffusionAutoencoder(autoencoder, network, schedule, scale, shape, device)
