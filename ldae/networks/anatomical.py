"""The recommended latent diffusion autoencoder: one network for every claim.

It joins what had been separate variants (docs/tried/recommended-model.md has the measurements):

* The **semantic code** is read from local intensity histograms. It starts as their principal
  components and is trained to restore another visit of the same participant: the latent, by the
  diffusion, and the histograms themselves, by a linear map. Histograms as a second target keep in
  the code what differs between brains and hardly shows in a latent.
* Some entries of the code are **order scores**, which are zero before training: they are trained
  to grow by the time that lies between two visits of a participant. No diagnosis or age is used.
* The code predicts the latent linearly, and a **transformer on patches of the latent** denoises
  what the prediction leaves. The loss is that of v-prediction, which counts all timesteps alike.
* A **fill-in head** corrects the average of two visits at a time between them. It starts as the
  linear filter of the average that restores training visits best, is trained in the same steps and
  belongs to the same file.
* The code predicts where **anatomy** lies (:mod:`ldae.networks.deformation`), so that a scan whose
  code is edited can be deformed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ldae.networks.deformation import CodeDeformation
from ldae.networks.guess import GuessedLatent
from ldae.networks.histograms import LocalHistograms
from ldae.networks.residual import VisitResidual
from ldae.networks.standard import CohortStandard
from ldae.networks.tokens import TokenDenoiser
from ldae.networks.weights import load_network, save_weights


class AnatomicalEncoder(nn.Module):
    """Semantic code of a scan: trained components of its local histograms, and order scores.

    Parameters
    ----------
    shape
        (H, W, D) of a scan.
    window, stride, n_bins, n_places
        Parameters of :class:`LocalHistograms`.
    n_components
        Entries that start as principal components.
    n_scores
        Order scores; 0 where no training participant has two visits.
    width
        Width of the hidden layer of the order scores.
    dropout
        Probability that a bin of the histograms is dropped in training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        window: int,
        stride: int,
        n_bins: int,
        n_places: int,
        n_components: int,
        n_scores: int,
        width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        size = n_places * n_bins
        self.histograms = LocalHistograms(shape, window, stride, n_bins, n_places)
        self.standard = CohortStandard((n_places, n_bins))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(size, n_components)
        self.scores = _order_scores(size, width, n_scores) if n_scores else None
        self.dim_y = n_components + n_scores

    def forward(self, x: Tensor) -> Tensor:
        """Code y (B, dim_y) of scans x (B, 1, H, W, D) in [0, 1]."""
        return self.code(self.standard(self.histograms(x)))

    def code(self, d: Tensor) -> Tensor:
        """Code y (B, dim_y) of standardised histograms d (B, n_places, n_bins)."""
        flat = self.dropout(d.flatten(1))
        y: Tensor = self.linear(flat)
        return y if self.scores is None else torch.cat([y, self.scores(flat)], 1)

    def order(self, y: Tensor) -> Tensor:
        """Order scores (B, n_scores) of a code y (B, dim_y)."""
        return y[:, self.linear.out_features :]


def _order_scores(size: int, width: int, n_scores: int) -> nn.Sequential:
    last = nn.Linear(width, n_scores)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(size, width), nn.SiLU(), last)


class AnatomicalNetwork(GuessedLatent):
    """Encoder, linear predictions of latent and histograms, denoiser, and fill-in head.

    Parameters
    ----------
    encoder
        Settings of :class:`AnatomicalEncoder`.
    shape
        (C, h, w, d) of a latent.
    denoiser
        Settings of :class:`TokenDenoiser` without `shape` and `dim_y`.
    fill_in
        Settings of :class:`VisitResidual` without `shape` and `latent_channels`; None where no
        training participant has three visits to learn from.
    deformation
        (h, w, d) of the grid on which the displacements of anatomy are held.
    """

    def __init__(
        self,
        encoder: Mapping[str, Any],
        shape: Sequence[int],
        denoiser: Mapping[str, Any],
        fill_in: Mapping[str, Any] | None,
        deformation: Sequence[int],
    ) -> None:
        anatomy = AnatomicalEncoder(**encoder)
        super().__init__(shape, anatomy.dim_y)
        self.architecture: dict[str, Any] = {
            "encoder": dict(encoder),
            "shape": list(shape),
            "denoiser": dict(denoiser),
            "fill_in": None if fill_in is None else dict(fill_in),
            "deformation": list(deformation),
        }
        self.encoder = anatomy
        self.anatomy = nn.Linear(anatomy.dim_y, anatomy.linear.in_features)
        self.denoiser = TokenDenoiser(shape=shape, dim_y=anatomy.dim_y, **denoiser)
        self.fill_in: VisitResidual | None = None
        if fill_in is not None:
            self.fill_in = VisitResidual(encoder["shape"], shape[0], **fill_in)
        self.deformation = CodeDeformation(anatomy.dim_y, encoder["shape"], deformation)


def save_anatomical_network(path: Path, network: AnatomicalNetwork) -> None:
    """Write the weights and architecture of the network."""
    save_weights(path, network.state_dict(), network.architecture)


def load_anatomical_encoder(path: Path, device: torch.device) -> AnatomicalEncoder:
    """Semantic encoder of a trained network, frozen, in eval mode, on `device`."""
    return load_anatomical_network(path, device).encoder


def load_anatomical_network(path: Path, device: torch.device) -> AnatomicalNetwork:
    """Trained network, frozen, in eval mode, on `device`."""
    return load_network(path, AnatomicalNetwork, device)
