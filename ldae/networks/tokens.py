"""Denoiser of small latents as a transformer: matrix products instead of small 3-D convolutions.

On a CPU, 3×3×3 convolutions with few channels run far below the speed of matrix products. A latent
of a few hundred places is therefore cut into patches (tokens), and every layer is a matrix product.
The blocks are those of the diffusion transformer (Peebles & Xie 2023): their scale, shift and gate
depend on the timestep and on the semantic code, and each block starts as the identity.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ldae.diffusion.schedule import NoiseSchedule, per_sample
from ldae.networks.autoencoder import depth_to_space, space_to_depth

MLP_RATIO = 2
"""Width of a block's hidden layer, as a multiple of the width of the tokens."""


class TokenBlock(nn.Module):
    """Attention and a two-layer network, both modulated by a condition and zero at the start.

    Parameters
    ----------
    width
        Width of the tokens.
    n_heads
        Heads of the attention; divides `width`.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, MLP_RATIO * width), nn.SiLU(), nn.Linear(MLP_RATIO * width, width)
        )
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        """Tokens (B, N, width) for tokens h of that shape and a condition (B, width)."""
        parts = self.modulation(condition)[:, None].chunk(6, -1)
        h = h + parts[2] * self._attend((1 + parts[0]) * self.norms[0](h) + parts[1])
        result: Tensor = h + parts[5] * self.mlp((1 + parts[3]) * self.norms[1](h) + parts[4])
        return result

    def _attend(self, h: Tensor) -> Tensor:
        b, n, width = h.shape
        q, k, v = self.qkv(h).reshape(b, n, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, width)
        result: Tensor = self.attended(mixed)
        return result


class TokenDenoiser(nn.Module):
    """ε̂(z_t, t, y) by v-prediction; before training v̂ = 0.

    Parameters
    ----------
    shape
        (C, h, w, d) of a latent.
    patch_size
        Edge of a token's patch, elements of the latent; divides h, w and d.
    width, depth, n_heads
        Width of the tokens, number of blocks, heads of their attention.
    dim_y
        Length of the semantic code.
    schedule
        Settings of :class:`NoiseSchedule`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        patch_size: int,
        width: int,
        depth: int,
        n_heads: int,
        dim_y: int,
        schedule: dict[str, float],
    ) -> None:
        super().__init__()
        channels, *axes = shape
        self.patch_size = patch_size
        self.axes = tuple(size // patch_size for size in axes)
        self.width = width
        self.schedule = NoiseSchedule(**schedule)  # type: ignore[arg-type]
        n_tokens = self.axes[0] * self.axes[1] * self.axes[2]
        size = channels * patch_size**3
        self.embed = nn.Linear(size, width)
        self.place = nn.Parameter(torch.randn(1, n_tokens, width) * width**-0.5)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.code = nn.Linear(dim_y, width)
        self.blocks = nn.ModuleList(TokenBlock(width, n_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, z_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """ε̂ (B, C, h, w, d) for z_t of that shape, int64 t (B,) and codes y (B, dim_y)."""
        # Here: who only encodes with the network saves the seconds that MONAI takes.
        from monai.networks.nets.diffusion_model_unet import get_timestep_embedding

        condition = self.time(get_timestep_embedding(t, self.width)) + self.code(y)
        condition = nn.functional.silu(condition)
        h = self.embed(space_to_depth(z_t, self.patch_size).flatten(2).transpose(1, 2)) + self.place
        for block in self.blocks:
            h = block(h, condition)
        patches = self.out(self.norm(h)).transpose(1, 2).unflatten(2, self.axes)
        v = depth_to_space(patches, self.patch_size)
        alpha_bar = per_sample(self.schedule.alpha_bar[t], z_t)
        return (1 - alpha_bar).sqrt() * z_t + alpha_bar.sqrt() * v
