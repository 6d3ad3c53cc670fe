"""Semantic encoder in three dimensions, on local intensity histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ldae.networks.histograms import LocalHistograms, window_grid
from ldae.networks.standard import CohortStandard


class VolumeEncoder(nn.Module):
    """y = E_φ(x) by a 3-D convolutional network on z-scored local intensity histograms.

    An alternative to the paper's encoder of slices, whose linear patch embedding depends on the
    exact position of each voxel, and so on the cortical folding. A histogram does not depend on
    positions within its window (:mod:`ldae.networks.histograms`). The windows are the voxels of
    MONAI's ``Regressor``: one convolution per resolution level, of which all but the first halve
    the resolution, and a linear layer.

    Parameters
    ----------
    shape
        (H, W, D) of a scan.
    window, stride
        Edge of the cubic windows and distance between their centres, voxels.
    n_bins
        Number of histogram bins.
    channels
        Width at each resolution level.
    dim_y
        Length of the code.

    Raises
    ------
    ValueError
        If the grid of windows cannot be halved at every resolution level.
    """

    def __init__(
        self,
        shape: Sequence[int],
        window: int,
        stride: int,
        n_bins: int,
        channels: Sequence[int],
        dim_y: int,
    ) -> None:
        # Here: the encoder of slices, in the same registry, saves the seconds that it takes.
        from monai.networks.nets.regressor import Regressor

        super().__init__()
        self.grid = window_grid(shape, window, stride)
        if min(self.grid) < 2 ** (len(channels) - 1):
            raise ValueError(
                f"{len(channels)} resolution levels are too many for a grid of {self.grid} windows"
            )
        self.dim_y = dim_y
        n_places = math.prod(self.grid)
        self.histograms = LocalHistograms(shape, window, stride, n_bins, n_places)
        self.histograms.places.copy_(torch.arange(n_places))
        self.standard = CohortStandard((n_places, n_bins))
        self.network = Regressor(
            in_shape=(n_bins, *self.grid),
            out_shape=(dim_y,),
            channels=tuple(channels),
            strides=(1, *[2] * (len(channels) - 1)),
            num_res_units=0,
            act="swish",
        )

    def forward(self, x: Tensor) -> Tensor:
        """Code y (B, dim_y) of scans x (B, 1, H, W, D) in [0, 1]."""
        d = self.standard(self.histograms(x))  # (B, places, bins)
        y: Tensor = self.network(d.transpose(1, 2).reshape(len(x), -1, *self.grid))
        return y
