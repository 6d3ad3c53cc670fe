"""Semantic encoder of the paper: a 2-D backbone on axial slices with attention pooling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ldae.errors import InputError
from ldae.networks.standard import CohortStandard


class SemanticEncoder(nn.Module):
    """y = E_φ(x) (Lozupone et al., section 3.3).

    Every axial slice passes through the same ConvNeXt (Liu et al. 2022; implementation of Hugging
    Face). A learned position embedding is added, and a learned query attends over the slices. Small
    studies can stack several adjacent slices as channels of one image to reduce the cost.

    Parameters
    ----------
    n_slices
        D, number of axial slices of a scan.
    slab
        Number of adjacent slices per image; divides `n_slices`; 1 in the paper.
    dim_y
        Length of the code. If it differs from the backbone's width, a linear map follows the
        backbone.
    depths, widths
        Blocks and channels of each ConvNeXt stage; ConvNeXt-Small is (3, 3, 27, 3) and
        (96, 192, 384, 768).
    patch_size
        Patch size of the backbone's first layer, voxels.
    n_heads
        Heads of the pooling attention; divides `dim_y`.
    standard_shape
        Grid (H, W, D) if the encoder sees scans z-scored per voxel by the training cohort
        (:class:`CohortStandard`); None if it sees intensities, as in the paper.

    Raises
    ------
    ValueError
        If `dim_y` is not a multiple of `n_heads` or `n_slices` is not a multiple of `slab`; in
        `forward`, if the number of slices of a scan differs.
    """

    def __init__(
        self,
        n_slices: int,
        slab: int,
        dim_y: int,
        depths: Sequence[int],
        widths: Sequence[int],
        patch_size: int,
        n_heads: int,
        standard_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        # Imported here because it takes seconds and only some jobs need it.
        from transformers.models.convnext.configuration_convnext import ConvNextConfig
        from transformers.models.convnext.modeling_convnext import ConvNextModel

        if dim_y % n_heads:
            raise ValueError(f"dim_y ({dim_y}) must be a multiple of n_heads ({n_heads})")
        if n_slices % slab:
            raise ValueError(f"n_slices ({n_slices}) must be a multiple of slab ({slab})")
        self.standard = None if standard_shape is None else CohortStandard((1, *standard_shape))
        self.n_slices = n_slices
        self.slab = slab
        self.dim_y = dim_y
        self.backbone = ConvNextModel(
            ConvNextConfig(
                num_channels=slab,
                patch_size=patch_size,
                num_stages=len(depths),
                depths=list(depths),
                hidden_sizes=list(widths),
            )
        )
        width = widths[-1]
        self.project = nn.Linear(width, dim_y) if width != dim_y else nn.Identity()
        self.position = nn.Parameter(torch.zeros(1, n_slices // slab, dim_y))
        self.query = nn.Parameter(torch.zeros(1, 1, dim_y))
        nn.init.trunc_normal_(self.position, std=0.02)
        nn.init.trunc_normal_(self.query, std=0.02)
        self.attention = nn.MultiheadAttention(dim_y, n_heads, batch_first=True)
        self.norm = nn.LayerNorm(dim_y)

    def forward(self, x: Tensor) -> Tensor:
        """Code y (B, dim_y) of scans x (B, 1, H, W, D) in [0, 1], D the axial axis."""
        b, _, h, w, d = x.shape
        if d != self.n_slices:
            raise ValueError(f"the encoder takes {self.n_slices} axial slices, the scan has {d}")
        if self.standard is not None:
            x = self.standard(x)
        images = x.permute(0, 4, 1, 2, 3).reshape(-1, self.slab, h, w)  # (B·D/slab, slab, H, W)
        features = self.project(self.backbone(images).pooler_output)
        tokens = features.reshape(b, -1, self.dim_y) + self.position
        pooled, _ = self.attention(self.query.expand(b, -1, -1), tokens, tokens, need_weights=False)
        result: Tensor = self.norm(pooled[:, 0])
        return result


def load_imagenet_backbone(encoder: SemanticEncoder, path: Path) -> None:
    """Initialise the backbone with ImageNet weights, in place.

    The first convolution takes three colour channels; its weights are summed over them, so that a
    slice gives the response of a greyscale photograph. Requires a `slab` of 1.

    Parameters
    ----------
    encoder
        Encoder with the `depths` and `widths` of the weights.
    path
        ``model.safetensors`` of a Hugging Face ConvNeXt classifier (``convnext.*`` keys).

    Raises
    ------
    InputError
        If the tensors in the file do not match those of the backbone.
    """
    from safetensors.torch import load_file

    prefix = "convnext."
    tensors = {
        name.removeprefix(prefix): value
        for name, value in load_file(path).items()
        if name.startswith(prefix)
    }
    stem = "embeddings.patch_embeddings.weight"
    expected = encoder.backbone.state_dict()
    if stem in tensors and tensors[stem].shape[1] == 3:
        tensors[stem] = tensors[stem].sum(1, keepdim=True)
    if {k: v.shape for k, v in tensors.items()} != {k: v.shape for k, v in expected.items()}:
        raise InputError(
            path,
            "the file does not contain the weights of a ConvNeXt of this depth and width",
            "Set encoder.depths and encoder.widths to those of the weights (ConvNeXt-Small: "
            "[3, 3, 27, 3] and [96, 192, 384, 768]), or set encoder.pretrained to null.",
        )
    encoder.backbone.load_state_dict(tensors)
