"""Noise predictor: MONAI's diffusion U-Net, divided so that the gradient estimator can join it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets.diffusion_model_unet import (
    DiffusionModelUNet,
    DiffusionUNetResnetBlock,
    get_timestep_embedding,
)
from torch import Tensor, nn

from ldae.diffusion.schedule import NoiseSchedule, per_sample


class ResnetBlock(DiffusionUNetResnetBlock):
    """MONAI's residual block with dropout, modulated by the timestep t and by a semantic code y.

    Adaptive group normalisation (Dhariwal & Nichol 2021), first by t, then by y (Zhang et al.
    2022): h ← (1 + scale_y)·((1 + scale_t)·norm2(h) + shift_t) + shift_y. MONAI's block only adds
    a shift by t before the normalisation, and has neither dropout nor a code.

    Parameters
    ----------
    block
        MONAI's block, whose widths and resampling are used.
    spatial_dims
        2 or 3.
    dropout
        Dropout probability, in [0, 1).
    dim_y
        Length of the semantic code that modulates the block; 0 for none.

    Notes
    -----
    MONAI passes a single embedding to its blocks. Here it is the time embedding, concatenated along
    the channel axis with y if `dim_y` > 0.
    """

    def __init__(
        self, block: DiffusionUNetResnetBlock, spatial_dims: int, dropout: float, dim_y: int
    ) -> None:
        super().__init__(
            spatial_dims=spatial_dims,
            in_channels=block.channels,
            temb_channels=block.emb_channels,
            out_channels=block.out_channels,
            up=block.up,
            down=block.down,
            norm_num_groups=block.norm1.num_groups,
            norm_eps=block.norm1.eps,
        )
        self.dropout = nn.Dropout(dropout)
        self.time_emb_proj = nn.Linear(self.emb_channels, 2 * self.out_channels)
        self.modulation = nn.Linear(dim_y, 2 * self.out_channels) if dim_y else None

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Output (B, C', …) for x (B, C, …) and emb (B, time [+ dim_y])."""
        h = self.nonlinearity(self.norm1(x))
        resample = self.upsample if self.upsample is not None else self.downsample
        if resample is not None:
            x, h = resample(x), resample(h)
        t_emb, y = emb[:, : self.emb_channels], emb[:, self.emb_channels :]
        h = scale_shift(self.norm2(self.conv1(h)), self.time_emb_proj(self.nonlinearity(t_emb)))
        if self.modulation is not None:
            h = scale_shift(h, self.modulation(y))
        h = self.conv2(self.dropout(self.nonlinearity(h)))
        result: Tensor = self.skip_connection(x) + h
        return result


def scale_shift(h: Tensor, parameters: Tensor) -> Tensor:
    """(1 + scale)·h + shift for h (B, C, …) and parameters (B, 2·C) = (scale, shift)."""
    scale, shift = parameters.reshape(len(h), -1, *[1] * (h.ndim - 2)).chunk(2, dim=1)
    return (1 + scale) * h + shift


def rebuild_resnet_blocks(module: nn.Module, dropout: float, dim_y: int) -> None:
    """Replace MONAI's residual blocks inside `module` by :class:`ResnetBlock`, in place."""
    for name, child in module.named_children():
        if type(child) is DiffusionUNetResnetBlock:
            setattr(module, name, ResnetBlock(child, child.spatial_dims, dropout, dim_y))
        else:
            rebuild_resnet_blocks(child, dropout, dim_y)


class NoiseUNet(DiffusionModelUNet):
    """ε_θ(z_t, t), optionally conditioned on a semantic code y in every block.

    Parameters
    ----------
    in_channels
        C of z, or of the scan after the space-to-depth transform.
    channels
        Width at each resolution level; every level but the last halves the resolution.
    n_res_blocks
        Residual blocks per resolution level.
    attention_levels
        For each resolution level, whether it has spatial self-attention, with a single head.
    dropout
        Dropout probability in the residual blocks, in [0, 1).
    norm_groups
        Groups of the group normalisation; divides every width.
    dim_y
        Length of the semantic code; 0 for an unconditional network.
    schedule
        Settings of :class:`NoiseSchedule` for v-prediction: the layers return the velocity v̂
        (Salimans & Ho 2022), and ε̂ = √(1-ᾱ_t)·z_t + √ᾱ_t·v̂. Near t = T a small error of ε̂ is a
        large error of z_0 (more than hundredfold at ᾱ_T = 4e-5); v-prediction keeps the error of ε̂
        small there. The loss is still the one on ε̂. None if the layers return ε̂ itself, as in the
        paper.

    Raises
    ------
    ValueError
        In `forward`, if an axis cannot be halved at every resolution level.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        n_res_blocks: int,
        attention_levels: Sequence[bool],
        dropout: float,
        norm_groups: int,
        dim_y: int = 0,
        schedule: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            spatial_dims=3,
            in_channels=in_channels,
            out_channels=in_channels,
            num_res_blocks=n_res_blocks,
            channels=channels,
            attention_levels=attention_levels,
            norm_num_groups=norm_groups,
            resblock_updown=True,
            num_head_channels=list(channels),
        )
        self.architecture: dict[str, Any] = {
            "in_channels": in_channels,
            "channels": list(channels),
            "n_res_blocks": n_res_blocks,
            "attention_levels": list(attention_levels),
            "dropout": dropout,
            "norm_groups": norm_groups,
            "dim_y": dim_y,
            "schedule": schedule,
        }
        self.schedule = None if schedule is None else NoiseSchedule(**schedule)
        self.dim_y = dim_y
        self.granularity = 2 ** (len(channels) - 1)
        rebuild_resnet_blocks(self, dropout, dim_y)

    def embed(self, z_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """Embedding (B, time [+ dim_y]) of the timestep t (B,) and the code y (B, dim_y)."""
        if any(size % self.granularity for size in z_t.shape[2:]):
            raise ValueError(
                f"every axis of {tuple(z_t.shape[2:])} must be a multiple of {self.granularity}"
            )
        emb: Tensor = self.time_embed(get_timestep_embedding(t, self.block_out_channels[0]))
        return emb if y is None else torch.cat([emb, y], dim=1)

    def down(self, z_t: Tensor, emb: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features at the lowest resolution, and all skip features in order of computation."""
        h = self.conv_in(z_t)
        skips = [h]
        for block in self.down_blocks:
            h, states = block(hidden_states=h, temb=emb)
            skips.extend(states)
        return h, skips

    def decode(self, h: Tensor, skips: list[Tensor], emb: Tensor) -> Tensor:
        """Output of the last layer for the features of :meth:`down` and the embedding."""
        return decode_features(self.middle_block, self.up_blocks, self.out, h, skips, emb)

    def to_noise(self, output: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """ε̂ for the output of the last layer, z_t of the same shape and timesteps t (B,)."""
        if self.schedule is None:
            return output
        alpha_bar = per_sample(self.schedule.alpha_bar[t], z_t)
        return (1 - alpha_bar).sqrt() * z_t + alpha_bar.sqrt() * output

    def to_gradient(self, output: Tensor, t: Tensor) -> Tensor:
        """G_ψ for the output of an estimator: multiplied by √ᾱ_t if the prior uses v-prediction.

        ∇ log p(y | z_t) decreases with √ᾱ_t; this scaling gives the estimator the same decrease.
        """
        if self.schedule is None:
            return output
        return per_sample(self.schedule.alpha_bar[t].sqrt(), output) * output

    def forward(self, z_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """ε̂ (B, C, h, w, d) for z_t of that shape, timesteps t int64 (B,), codes y (B, dim_y)."""
        emb = self.embed(z_t, t, y)
        h, skips = self.down(z_t, emb)
        return self.to_noise(self.decode(h, skips, emb), z_t, t)


def decode_features(
    middle: nn.Module,
    up_blocks: nn.ModuleList,
    out: nn.Module,
    h: Tensor,
    skips: list[Tensor],
    emb: Tensor,
) -> Tensor:
    """Output of the second half of a diffusion U-Net for the features of its first half.

    Parameters
    ----------
    middle, up_blocks, out
        The parts of MONAI's U-Net after its down blocks.
    h, skips
        Features from :meth:`NoiseUNet.down`.
    emb
        Embedding for the residual blocks of these parts, (B, time [+ dim_y]).
    """
    h = middle(hidden_states=h, temb=emb)
    remaining = list(skips)
    for block in up_blocks:
        n = len(list(block.resnets.children()))  # type: ignore[union-attr]
        states, remaining = remaining[-n:], remaining[:-n]
        h = block(hidden_states=h, res_hidden_states_list=states, temb=emb)
    result: Tensor = out(h)
    return result
