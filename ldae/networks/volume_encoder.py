"""A semantic encoder in three dimensions, on local intensity histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from monai.networks.nets.regressor import Regressor
from torch import Tensor, nn

from ldae.networks.histograms import LocalHistograms, window_grid
from ldae.networks.standard import CohortStandard

if TYPE_CHECKING:
    pass


class VolumeEncoder(nn.Module):
    """y = E_φ(x) by a 3-D network on cohort-relative local intensity histograms.

    Beside the paper's encoder of slices, not in its place.  That one folds patches of voxels
    linearly, so that each voxel's place in a fold of the cortex enters; the share of each intensity
    in a window does not know where in it (:mod:`ldae.networks.histograms`).  The windows are the
    voxels of MONAI's ``Regressor``: a convolution per level, of which every one but the first
    halves the resolution, and a linear layer that knows the place.

    Parameters
    ----------
    shape
        (H, W, D) of a scan.
    window, stride
        Edge of the cubic windows and distance of their centres, voxels.
    n_bins
        Intensities told apart.
    channels
        Width of each level.
    dim_y
        Length of the code.

    Raises
    ------
    ValueError
        If there are more levels than the grid of windows can be halved.
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
        super().__init__()
        self.grid = window_grid(shape, window, stride)
        if min(self.grid) < 2 ** (len(channels) - 1):
            raise ValueError(
                f"{len(channels)} levels are too many for a grid of {self.grid} windows"
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
