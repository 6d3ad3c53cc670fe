"""Gradient estimator that fills the posterior-mean gap of a frozen prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ldae.networks.unet import NoiseUNet, decode_features


class GradientEstimator(nn.Module):
    """G_ψ(z_t, y, t) ≈ ∇_{z_t} log p(y | z_t) (Zhang et al. 2022, section 3.2).

    Uses the time embedding and the encoder features of the frozen prior. Its own middle block,
    output blocks and head have the architecture of the prior's and are modulated by y. They are
    initialised with the prior's weights, except the last layer of the head, which is zero: before
    training, ε̂ equals the prior's ε_θ.

    Parameters
    ----------
    prior
        The noise predictor that provides architecture and initial weights; it is not stored.
    dim_y
        Length of the semantic code.
    """

    def __init__(self, prior: NoiseUNet, dim_y: int) -> None:
        super().__init__()
        twin = NoiseUNet(**{**prior.architecture, "dim_y": dim_y})
        # all weights except the last layer's, which MONAI initialises to zero
        own = {k: v for k, v in prior.state_dict().items() if not k.startswith("out.2.")}
        twin.load_state_dict({**twin.state_dict(), **own})
        self.middle_block = twin.middle_block
        self.up_blocks = twin.up_blocks
        self.out = twin.out

    def forward(self, h: Tensor, skips: list[Tensor], emb: Tensor, y: Tensor) -> Tensor:
        """G_ψ (B, C, h, w, d) from the prior's features `h`, `skips` and embedding `emb`, and y."""
        emb = torch.cat([emb, y], dim=1)
        return decode_features(self.middle_block, self.up_blocks, self.out, h, skips, emb)
