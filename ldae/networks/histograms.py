"""Local intensity histograms of registered scans.

After registration, brains agree in their large structures but not in their cortical folding, so a
single voxel carries little information about a participant. The histogram of intensities in a
window of a few centimetres reflects the local amounts of fluid, grey and white matter and hardly
depends on the folding. In this it resembles the smoothed segmentations of voxel-based morphometry
(Ashburner & Friston 2000), but no segmentation is made: intensities are sorted into a few soft
bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d

LEAST_BRAIN = 0.3
"""Fraction of a window that must be brain in most participants; other windows are left out."""


SCANS_AT_ONCE = 16


class LocalHistograms(nn.Module):
    """Histograms of intensity in overlapping windows of the brain.

    Parameters
    ----------
    shape
        (H, W, D) of a scan.
    window, stride
        Edge of the cubic windows and distance between their centres, voxels.
    n_bins
        Number of bins, centred at 0, 1/(n_bins - 1), …, 1; each voxel is divided linearly between
        the two nearest bins.
    n_places
        Number of windows that are used.

    Attributes
    ----------
    inside
        (1, 1, H, W, D), 1 in the brain of most training participants; 0 until set.
    places
        Indices of the windows that are used, (n_places,) int64.
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

    @property
    def architecture(self) -> dict[str, Any]:
        """Arguments that make a layer like this one, for JSON."""
        return {
            "shape": list(self.inside.shape[2:]),
            "window": self.window,
            "stride": self.stride,
            "n_bins": len(self.bins),
            "n_places": len(self.places),
        }

    def forward(self, x: Tensor) -> Tensor:
        """Histograms (B, n_places, n_bins), each with sum 1, of scans x (B, 1, H, W, D)."""
        width = 1 / (len(self.bins) - 1)
        # Windows with less brain occur only where the full grid is used; their sum is below 1.
        brain = self._about(self.inside).clamp_min(LEAST_BRAIN)
        shares = [
            self._about(self.inside * (1 - (x - centre).abs() / width).clamp_min(0)) / brain
            for centre in self.bins
        ]
        return torch.stack(shares, -1)

    def _about(self, maps: Tensor) -> Tensor:
        """Means (B, n_places) over the windows that are used."""
        return window_means(maps, self.window, self.stride)[:, self.places]


def window_means(maps: Tensor, window: int, stride: int) -> Tensor:
    """Means (B, all windows) of maps (B, 1, H, W, D); the maps are padded with zeros."""
    return _pool(maps, window, stride).flatten(1)


def window_grid(shape: Sequence[int], window: int, stride: int) -> tuple[int, int, int]:
    """Number of windows along each axis of a scan of `shape` (H, W, D)."""
    h, w, d = _pool(torch.zeros(1, 1, *shape), window, stride).shape[2:]
    return h, w, d


def _pool(maps: Tensor, window: int, stride: int) -> Tensor:
    return avg_pool3d(maps, window, stride, (window - stride) // 2, ceil_mode=True)
