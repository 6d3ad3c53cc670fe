"""How much of each tissue lies about each place of the brain, as in voxel-based morphometry.

Registered brains agree in their large structures and differ in every fold of the cortex, so that
one voxel says little of a person.  The share of dark, grey and bright voxels in a window of some
centimetres says how much fluid and grey matter is there, whatever the folds (Ashburner & Friston
2000), and needs no segmentation: intensities are sorted into a few soft bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d

from ldae.networks.standard import CohortStandard, standardise_samples
from ldae.provenance.fitted import note_fitted
from ldae.volumes import VolumeStore, batches

LEAST_BRAIN = 0.3
"""Share of a window that is brain in most people; windows with less are left out."""

LEAST_DENSITY_SHARE = 0.05
"""Least deviation of a density, as a share of the mean one: what varies less is rounding."""

SCANS_AT_ONCE = 16


class TissueDensities(nn.Module):
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
        """Densities (B, n_places, n_bins), of sum 1 in the brain, of scans x (B, 1, H, W, D)."""
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


def training_brain(store: VolumeStore) -> Tensor:
    """1 where at least half of the training scans have brain, float32 (1, 1, H, W, D)."""
    rows = store.rows("train")
    note_fitted("brain of the densities", store.index["subject"].iloc[rows])
    total = np.zeros(store.shape)
    for row in rows:
        total += store.masks[row]
    return torch.from_numpy(total / len(rows) >= 0.5)[None, None].float()


def measure_densities(
    store: VolumeStore, settings: Mapping[str, Any], spacing_mm: float
) -> TissueDensities:
    """The layer, with the windows that hold brain of the training people.

    Parameters
    ----------
    store
        The packed scans; only masks of the training split are read.
    settings
        Holds ``window_mm``, ``stride_mm`` and ``n_bins``.
    spacing_mm
        Edge of a voxel.
    """
    window = max(1, round(settings["window_mm"] / spacing_mm))
    stride = max(1, round(settings["stride_mm"] / spacing_mm))
    inside = training_brain(store)
    places = torch.nonzero(window_means(inside, window, stride)[0] >= LEAST_BRAIN)[:, 0]
    layer = TissueDensities(store.shape, window, stride, settings["n_bins"], len(places))
    layer.inside.copy_(inside)
    layer.places.copy_(places)
    return layer


@torch.no_grad()
def densities_of(layer: TissueDensities, store: VolumeStore, rows: np.ndarray) -> Tensor:
    """Tissue densities of the scans in `rows`, (N, n_places, n_bins)."""
    return torch.cat([layer(store.batch(piece)) for piece in batches(rows, SCANS_AT_ONCE)])


def fit_density_pca(
    store: VolumeStore,
    settings: Mapping[str, Any],
    spacing_mm: float,
    n_components: int,
    seed: int,
) -> np.ndarray:
    """Codes of every scan on the components of the training densities, (N, k) float32.

    What the joint variant's encoder sees, without a network: the baseline that says what is owed to
    the densities alone.

    Parameters
    ----------
    store
        The packed scans.
    settings, spacing_mm
        As for :func:`measure_densities`.
    n_components
        Components asked for.
    seed
        Of the solver.
    """
    rows = store.rows("train")
    note_fitted("density PCA", store.index["subject"].iloc[rows])
    layer = measure_densities(store, settings, spacing_mm)
    densities = densities_of(layer, store, store.rows())
    standard = density_standard(densities[rows])
    flat = standard(densities).flatten(1).numpy()
    pca = density_components(flat[rows], n_components, seed)
    return pca.transform(flat).astype(np.float32)


def density_standard(densities: Tensor) -> CohortStandard:
    """The standard of training densities (N, n_places, n_bins)."""
    return standardise_samples(densities, LEAST_DENSITY_SHARE)


def density_components(flat: np.ndarray, n_components: int, seed: int) -> PCA:
    """Principal components of standardised training densities (N, n_places·n_bins).

    At most one fewer than there are scans; by a randomised solver (Halko et al. 2011).
    """
    n_components = min(n_components, len(flat) - 1, flat.shape[1])
    return PCA(n_components, svd_solver="randomized", random_state=seed).fit(flat)
