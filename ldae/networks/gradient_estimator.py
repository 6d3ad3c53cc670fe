"""The gradient estimator that fills the posterior-mean gap of a frozen prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ldae.networks.unet import NoiseUNet, decode_features


class GradientEstimator(nn.Module):
    """G_ψ(z_t, y, t) ≈ ∇_{z_t} log p(y | z_t) (Zhang et al. 2022, section 3.2).

    Shares the frozen prior's time embedding and encoder features and owns a middle, output blocks
    and head of the same shape, modulated by y.  They start from the prior's weights, but for the
    head, which starts at zero: before training ε̂ is the prior's ε_θ.

    Parameters
    ----------
    prior
        The noise predictor whose shape (and, where given, weights) is taken; it is not kept.
    dim_y
        Length of the semantic code.
    """

    def __init__(self, prior: NoiseUNet, dim_y: int) -> None:
        super().__init__()
        twin = NoiseUNet(**{**prior.architecture, "dim_y": dim_y})
        # everything but the head, whose zeros the library sets and which must stay zero
        own = {k: v for k, v in prior.state_dict().items() if not k.startswith("out.2.")}
        twin.load_state_dict({**twin.state_dict(), **own})
        self.middle_block = twin.middle_block
        self.up_blocks = twin.up_blocks
        self.out = twin.out

    def forward(self, h: Tensor, skips: list[Tensor], emb: Tensor, y: Tensor) -> Tensor:
        """G_ψ of the latent's shape, from the prior's features `h`, `skips` and embedding `emb`."""
        emb = torch.cat([emb, y], dim=1)
        return decode_features(self.middle_block, self.up_blocks, self.out, h, skips, emb)
