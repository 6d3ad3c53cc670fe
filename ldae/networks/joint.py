"""A latent diffusion autoencoder that is trained as one: our variant beside the paper's.

Differences from the paper, and what each is for (measured in docs/tried/joint-code.md):

* the encoder sees how much of each tissue lies about each place of the brain, not single voxels,
  which differ between people in every fold of the cortex;
* the code starts as the principal components of that, so that training can only add to them;
* part of the code are temporal scores: how late in a person's course each place of the brain looks,
  learned from the order of visits alone, without a diagnosis or an age;
* latents relative to the cohort: what differs between people is all that is left;
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

import torch
from torch import Tensor, nn

from ldae.diffusion.schedule import per_sample
from ldae.networks.histograms import LocalHistograms
from ldae.networks.standard import CohortStandard
from ldae.networks.unet import NoiseUNet
from ldae.networks.weights import freeze, read_weights, save_weights


class TemporalScores(nn.Module):
    """One linear score per place: high in what a person's later visits look like there.

    Parameters
    ----------
    n_places, n_bins
        Of the histograms.

    Attributes
    ----------
    weight
        (n_places, n_bins); zero until :func:`ldae.training.joint_start.fit_temporal_scores`
        measured it.
    """

    weight: Tensor

    def __init__(self, n_places: int, n_bins: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_places, n_bins))

    def forward(self, d: Tensor) -> Tensor:
        """Scores (B, n_places) of standardised histograms d (B, n_places, n_bins)."""
        return (d * self.weight).sum(-1)


class HistogramEncoder(nn.Module):
    """Semantic code of a scan's local histograms: linear, a small correction, and scores.

    Parameters
    ----------
    shape
        (H, W, D) of a scan.
    window, stride, n_bins, n_places
        Of :class:`LocalHistograms`.
    n_components
        Entries of the code that are trained.
    temporal
        Whether :class:`TemporalScores`, which are not trained, are the code's further entries.
    width
        Of the correction's hidden layer.
    """

    def __init__(
        self,
        shape: Sequence[int],
        window: int,
        stride: int,
        n_bins: int,
        n_places: int,
        n_components: int,
        temporal: bool,
        width: int,
    ) -> None:
        super().__init__()
        self.histograms = LocalHistograms(shape, window, stride, n_bins, n_places)
        self.standard = CohortStandard((n_places, n_bins))
        self.linear = nn.Linear(n_places * n_bins, n_components)
        self.correction = nn.Sequential(
            nn.Linear(n_places * n_bins, width), nn.SiLU(), nn.Linear(width, n_components)
        )
        self.scores = TemporalScores(n_places, n_bins) if temporal else None
        self.dim_y = n_components + (n_places if temporal else 0)

    def forward(self, x: Tensor) -> Tensor:
        """Code y (B, dim_y) of scans x (B, 1, H, W, D) in [0, 1]."""
        return self.code(self.standard(self.histograms(x)))

    def code(self, d: Tensor) -> Tensor:
        """Code y (B, dim_y) of standardised histograms d (B, n_places, n_bins)."""
        flat = d.flatten(1)
        y: Tensor = self.linear(flat) + self.correction(flat)
        return y if self.scores is None else torch.cat([y, self.scores(d)], 1)


class JointNetwork(nn.Module):
    """y = E_φ(x_0), its guess of z_0, and the denoiser of what the guess leaves.

    With g = W·y + b the guess, the residual r_0 = z_0 - g is diffused like z_0 itself:
    r_t = z_t - √ᾱ_t·g, so ε̂(z_t, t, y) = ε_θ(z_t - √ᾱ_t·g, t, y).

    Parameters
    ----------
    encoder
        Settings of :class:`HistogramEncoder`.
    shape
        (C, h, w, d) of a latent.
    unet
        Settings of :class:`NoiseUNet` without `in_channels` and `dim_y`; with `schedule`.
    """

    def __init__(self, encoder: dict[str, Any], shape: Sequence[int], unet: dict[str, Any]) -> None:
        super().__init__()
        self.architecture: dict[str, Any] = {
            "encoder": dict(encoder),
            "shape": list(shape),
            "unet": dict(unet),
        }
        self.shape = tuple(shape)
        self.standard = CohortStandard(shape)
        self.encoder = HistogramEncoder(**encoder)
        dim_y = self.encoder.dim_y
        self.guess = nn.Linear(dim_y, self.standard.mean.numel())
        self.unet = NoiseUNet(in_channels=shape[0], dim_y=dim_y, **unet)

    def noise(self, z_t: Tensor, t: Tensor, y: Tensor, alpha_bar: Tensor) -> Tensor:
        """ε̂ for standardised z_t (B, C, h, w, d), int64 t (B,), y (B, dim_y) and ᾱ_t (B,)."""
        guess = self.guess(y).reshape(-1, *self.shape)
        residual = z_t - per_sample(alpha_bar.sqrt(), z_t) * guess
        eps: Tensor = self.unet(residual, t, y)
        return eps


def save_joint_network(path: Path, network: JointNetwork) -> None:
    """Write weights and architecture."""
    save_weights(path, network.state_dict(), network.architecture)


def load_joint_encoder(path: Path, device: torch.device) -> HistogramEncoder:
    """The semantic encoder of a trained network, frozen and in eval mode."""
    return load_joint_network(path, device).encoder


def load_joint_network(path: Path, device: torch.device) -> JointNetwork:
    """The trained network, frozen and in eval mode."""
    state, architecture = read_weights(path)
    network = JointNetwork(**architecture)
    network.load_state_dict(state)
    freeze(network)
    return network.to(device)
