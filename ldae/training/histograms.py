"""Local intensity histograms of scans: brain mask, windows, standardisation, components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from ldae.data.volumes import VolumeStore, batches
from ldae.leakage import note_fitted
from ldae.networks.histograms import (
    LEAST_BRAIN,
    SCANS_AT_ONCE,
    LocalHistograms,
    window_means,
)
from ldae.networks.standard import CohortStandard, standardise_samples

LEAST_HISTOGRAM_SHARE = 0.05
"""Lower limit of the SD of a histogram bin, as a fraction of the mean SD over all bins."""


def training_brain(store: VolumeStore) -> Tensor:
    """Mask of voxels that are brain in at least half of the training scans, (1, 1, H, W, D)."""
    rows = store.rows("train")
    note_fitted("brain of the histograms", store.index["subject"].iloc[rows])
    total = np.zeros(store.shape)
    for row in rows:
        total += store.masks[row]
    return torch.from_numpy(total / len(rows) >= 0.5)[None, None].float()


def histogram_layer(
    store: VolumeStore, settings: Mapping[str, Any], spacing_mm: float
) -> LocalHistograms:
    """Histogram layer with all windows that contain enough brain in the training scans.

    Parameters
    ----------
    store
        The packed scans; only masks of the training split are read.
    settings
        ``window_mm``, ``stride_mm`` and ``n_bins``.
    spacing_mm
        Voxel size.
    """
    window = max(1, round(settings["window_mm"] / spacing_mm))
    stride = max(1, round(settings["stride_mm"] / spacing_mm))
    inside = training_brain(store)
    places = torch.nonzero(window_means(inside, window, stride)[0] >= LEAST_BRAIN)[:, 0]
    layer = LocalHistograms(store.shape, window, stride, settings["n_bins"], len(places))
    layer.inside.copy_(inside)
    layer.places.copy_(places)
    return layer


@torch.no_grad()
def histograms_of(layer: LocalHistograms, store: VolumeStore, rows: np.ndarray) -> Tensor:
    """Local intensity histograms of the scans in `rows`, (N, n_places, n_bins)."""
    return torch.cat([layer(store.batch(piece)) for piece in batches(rows, SCANS_AT_ONCE)])


def histogram_standard(histograms: Tensor) -> CohortStandard:
    """Mean and SD of training histograms (N, n_places, n_bins)."""
    return standardise_samples(histograms, LEAST_HISTOGRAM_SHARE)


def histogram_components(flat: np.ndarray, n_components: int, seed: int) -> PCA:
    """Principal components of standardised training histograms (N, n_places·n_bins).

    At most N - 1 components are computed, by a randomised solver (Halko et al. 2011).
    """
    n_components = min(n_components, len(flat) - 1, flat.shape[1])
    return PCA(n_components, svd_solver="randomized", random_state=seed).fit(flat)
