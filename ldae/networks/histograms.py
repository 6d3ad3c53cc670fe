"""How much of each tissue lies about each place of the brain, as in voxel-based morphometry.

Registered brains agree in their large structures and differ in every fold of the cortex, so that
one voxel says little of a person.  The share of dark, grey and bright voxels in a window of some
centimetres says how much fluid and grey matter is there, whatever the folds (Ashburner & Friston
2000), and needs no segmentation: intensities are sorted into a few soft bins.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d

LEAST_BRAIN = 0.3
"""Share of a window that is brain in most people; windows with less are left out."""


SCANS_AT_ONCE = 16


class LocalHistograms(nn.Module):
    """Share of each intensity in overlapping windows of the brain.

    Parameters
    ----------
    shape
        (H, W, D) of a scan.
    window, stride
        Edge of the cubic windows and distance of their centres, voxels.
    n_bins
        Intensities 0, 1/(n_bins - 1), …, 1 that a voxel's is divided between, linearly.
    n_places
        Windows kept.

    Attributes
    ----------
    inside
        (1, 1, H, W, D), 1 in the brain of most training people; 0 until set.
    places
        Numbers of the windows kept, (n_places,) int64.
    """

    inside: Tensor
    places: Tensor
    bins: Tensor

    def __init__(
        self, shape: Sequence[int], window: int, stride: int, n_bins: int, n_places: int
    ) -> None:
        super().__init__()
        self.window, self.stride = window, stride
        self.register_buffer("inside", torch.zeros(1, 1, *shape))
        self.register_buffer("places", torch.zeros(n_places, dtype=torch.int64))
        self.register_buffer("bins", torch.linspace(0, 1, n_bins), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Histograms (B, n_places, n_bins), of sum 1 in the brain, of scans x (B, 1, H, W, D)."""
        width = 1 / (len(self.bins) - 1)
        # at least: windows that hold less are kept only where a grid of all of them is wanted
        brain = self._about(self.inside).clamp_min(LEAST_BRAIN)
        shares = [
            self._about(self.inside * (1 - (x - level).abs() / width).clamp_min(0)) / brain
            for level in self.bins
        ]
        return torch.stack(shares, -1)

    def _about(self, maps: Tensor) -> Tensor:
        """Means (B, n_places) over the windows kept."""
        return window_means(maps, self.window, self.stride)[:, self.places]


def window_means(maps: Tensor, window: int, stride: int) -> Tensor:
    """Means (B, all windows) of maps (B, 1, H, W, D); beyond the border lies nothing."""
    return _pool(maps, window, stride).flatten(1)


def window_grid(shape: Sequence[int], window: int, stride: int) -> tuple[int, int, int]:
    """Number of windows along each axis of a scan of `shape` (H, W, D)."""
    h, w, d = _pool(torch.zeros(1, 1, *shape), window, stride).shape[2:]
    return h, w, d


def _pool(maps: Tensor, window: int, stride: int) -> Tensor:
    return avg_pool3d(maps, window, stride, (window - stride) // 2, ceil_mode=True)
