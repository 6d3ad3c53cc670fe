"""Latent diffusion autoencoder whose encoder and denoiser are trained jointly.

This variant differs from the paper's model as follows (measured in docs/tried/joint-code.md):

* The encoder sees local intensity histograms instead of voxels, because cortical folding differs
  between participants and hides other differences in single voxels.
* The code is initialised with the principal components of the histograms, from which training
  starts.
* Part of the code are temporal scores: for each window of the brain, how late in a participant's
  course it looks. They are learned from the order of visits, without diagnosis or age.
* Latents are z-scored per element by the training cohort, which leaves only differences between
  participants.
* The code predicts the latent linearly, and the diffusion runs on the residual, so that the
  denoiser depends on the code.
* Encoder and denoiser are trained together, without a frozen prior.
* The encoder sees one visit and the denoiser reconstructs another visit of the same participant,
  so that the code keeps what is stable across visits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ldae.networks.guess import GuessedLatent
from ldae.networks.histograms import LocalHistograms
from ldae.networks.standard import CohortStandard
from ldae.networks.unet import NoiseUNet
from ldae.networks.weights import load_network, save_weights


class TemporalScores(nn.Module):
    """One linear score per window, which increases from earlier to later visits.

    Parameters
    ----------
    n_places, n_bins
        Number of windows and bins of the histograms.

    Attributes
    ----------
    weight
        (n_places, n_bins); zero until it is set by
        :func:`ldae.training.joint_start.fit_temporal_scores`.
    """

    weight: Tensor

    def __init__(self, n_places: int, n_bins: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_places, n_bins))

    def forward(self, d: Tensor) -> Tensor:
        """Scores (B, n_places) of standardised histograms d (B, n_places, n_bins)."""
        return (d * self.weight).sum(-1)


class HistogramEncoder(nn.Module):
    """Semantic code of a scan's local histograms: linear map, small correction, temporal scores.

    Parameters
    ----------
    shape
        (H, W, D) of a scan.
    window, stride, n_bins, n_places
        Parameters of :class:`LocalHistograms`.
    n_components
        Number of trained entries of the code.
    temporal
        Whether to append :class:`TemporalScores`, which are fitted beforehand and not trained.
    width
        Width of the correction's hidden layer.
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


class JointNetwork(GuessedLatent):
    """Code y = E_φ(x_0), a linear prediction of z_0, and the denoiser of the rest.

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
        histograms = HistogramEncoder(**encoder)
        super().__init__(shape, histograms.dim_y)
        self.architecture: dict[str, Any] = {
            "encoder": dict(encoder),
            "shape": list(shape),
            "unet": dict(unet),
        }
        self.encoder = histograms
        self.denoiser = NoiseUNet(in_channels=shape[0], dim_y=histograms.dim_y, **unet)


def save_joint_network(path: Path, network: JointNetwork) -> None:
    """Write the weights and architecture of the network."""
    save_weights(path, network.state_dict(), network.architecture)


def load_joint_encoder(path: Path, device: torch.device) -> HistogramEncoder:
    """Semantic encoder of a trained network, frozen, in eval mode, on `device`."""
    return load_joint_network(path, device).encoder


def load_joint_network(path: Path, device: torch.device) -> JointNetwork:
    """Trained network, frozen, in eval mode, on `device`."""
    return load_network(path, JointNetwork, device)
