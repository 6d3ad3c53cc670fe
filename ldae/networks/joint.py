"""A latent diffusion autoencoder that is trained as one: our variant beside the paper's.

Differences from the paper, and what each is for (measured in docs/networks.md):

* latents relative to the cohort: what differs between people is all that is left;
* the code starts as the latents' principal components, so that training can only add to them;
* part of the code are temporal scores: how late in a person's course each place of the brain looks,
  learned from the order of visits alone, without a diagnosis or an age;
* the code gives a linear guess of the latent, and the diffusion runs on what the guess leaves: the
  denoiser cannot do without the code;
* encoder and denoiser are trained together, without a frozen prior;
* the encoder sees one visit of a person and the denoiser restores another: what is the same at both
  is what the code is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ldae.diffusion.schedule import per_sample
from ldae.latents import LatentStore
from ldae.networks.standard import CohortStandard
from ldae.networks.unet import NoiseUNet
from ldae.networks.weights import freeze, read_weights, save_weights


class TemporalScores(nn.Module):
    """One linear score per place of a latent: high in what a person's later visits look like.

    Parameters
    ----------
    shape
        (C, h, w, d) of a latent.

    Attributes
    ----------
    weight
        (h·w·d, C); zero until :func:`ldae.training.linear_start.fit_temporal_scores` measured it.
    """

    weight: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        c, h, w, d = shape
        self.register_buffer("weight", torch.zeros(h * w * d, c))

    def forward(self, z: Tensor) -> Tensor:
        """Scores (B, h·w·d) of standardised latents z (B, C, h, w, d)."""
        return torch.einsum("bcp,pc->bp", z.flatten(2), self.weight)


class LatentEncoder(nn.Module):
    """Semantic code of a latent: a linear map plus a small convolutional correction, and scores.

    Parameters
    ----------
    shape
        (C, h, w, d) of a latent.
    n_components
        Entries of the code that are trained.
    temporal
        Whether :class:`TemporalScores`, which are not trained, are the code's further entries.
    channels, norm_groups
        Width of the correction's convolution, and groups of its normalisation.
    """

    def __init__(
        self,
        shape: Sequence[int],
        n_components: int,
        temporal: bool,
        channels: int,
        norm_groups: int,
    ) -> None:
        super().__init__()
        c, h, w, d = shape
        self.linear = nn.Linear(c * h * w * d, n_components)
        self.correction = nn.Sequential(
            nn.Conv3d(c, channels, 3, padding=1),
            nn.GroupNorm(norm_groups, channels),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(channels * h * w * d, n_components),
        )
        self.scores = TemporalScores(shape) if temporal else None
        self.dim_y = n_components + (h * w * d if temporal else 0)

    def forward(self, z: Tensor) -> Tensor:
        """Code y (B, dim_y) of standardised latents z (B, C, h, w, d)."""
        y: Tensor = self.linear(z.flatten(1)) + self.correction(z)
        return y if self.scores is None else torch.cat([y, self.scores(z)], 1)


class JointNetwork(nn.Module):
    """y = E_φ(z_0), its guess of z_0, and the denoiser of what the guess leaves.

    With g = W·y + b the guess, the residual r_0 = z_0 - g is diffused like z_0 itself:
    r_t = z_t - √ᾱ_t·g, so ε̂(z_t, t, y) = ε_θ(z_t - √ᾱ_t·g, t, y).

    Parameters
    ----------
    shape
        (C, h, w, d) of a latent.
    n_components, temporal, encoder_channels, norm_groups
        Of :class:`LatentEncoder`.
    unet
        Settings of :class:`NoiseUNet` without `in_channels` and `dim_y`; with `schedule`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        n_components: int,
        temporal: bool,
        encoder_channels: int,
        norm_groups: int,
        unet: dict[str, Any],
    ) -> None:
        super().__init__()
        self.architecture: dict[str, Any] = {
            "shape": list(shape),
            "n_components": n_components,
            "temporal": temporal,
            "encoder_channels": encoder_channels,
            "norm_groups": norm_groups,
            "unet": dict(unet),
        }
        self.shape = tuple(shape)
        self.standard = CohortStandard(shape)
        self.encoder = LatentEncoder(shape, n_components, temporal, encoder_channels, norm_groups)
        dim_y = self.encoder.dim_y
        self.guess = nn.Linear(dim_y, self.standard.mean.numel())
        self.unet = NoiseUNet(in_channels=shape[0], dim_y=dim_y, **unet)

    def noise(self, z_t: Tensor, t: Tensor, y: Tensor, alpha_bar: Tensor) -> Tensor:
        """ε̂ for standardised z_t (B, C, h, w, d), int64 t (B,), y (B, dim_y) and ᾱ_t (B,)."""
        guess = self.guess(y).reshape(-1, *self.shape)
        residual = z_t - per_sample(alpha_bar.sqrt(), z_t) * guess
        eps: Tensor = self.unet(residual, t, y)
        return eps


@torch.inference_mode()
def encode_joint_semantics(
    network: JointNetwork, latents: LatentStore, batch_size: int
) -> np.ndarray:
    """Semantic code of every scan, (N, dim_y) float32, in the order of the latents.

    Parameters
    ----------
    network
        Trained network.
    latents
        The encoded scans.
    batch_size
        Scans per forward pass; changes speed and memory only.
    """
    device = network.standard.mean.device
    rows = np.arange(len(latents.index))
    pieces = np.array_split(rows, -(-len(rows) // batch_size))
    codes = [network.encoder(network.standard(latents.mean(r).to(device))) for r in pieces]
    return torch.cat(codes).float().cpu().numpy()


def save_joint_network(path: Path, network: JointNetwork) -> None:
    """Write weights and architecture."""
    save_weights(path, network.state_dict(), network.architecture)


def load_joint_network(path: Path, device: torch.device) -> JointNetwork:
    """The trained network, frozen and in eval mode."""
    state, architecture = read_weights(path)
    network = JointNetwork(**architecture)
    network.load_state_dict(state)
    freeze(network)
    return network.to(device)
