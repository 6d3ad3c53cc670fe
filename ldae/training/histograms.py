"""Local intensity histograms of the training scans: where the brain is, and their z-scores."""

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
"""Least deviation of a histogram bin, as a share of the mean one: what varies less is rounding."""


def training_brain(store: VolumeStore) -> Tensor:
    """1 where at least half of the training scans have brain, float32 (1, 1, H, W, D)."""
    rows = store.rows("train")
    note_fitted("brain of the histograms", store.index["subject"].iloc[rows])
    total = np.zeros(store.shape)
    for row in rows:
        total += store.masks[row]
    return torch.from_numpy(total / len(rows) >= 0.5)[None, None].float()


def histogram_layer(
    store: VolumeStore, settings: Mapping[str, Any], spacing_mm: float
) -> LocalHistograms:
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
    layer = LocalHistograms(store.shape, window, stride, settings["n_bins"], len(places))
    layer.inside.copy_(inside)
    layer.places.copy_(places)
    return layer


@torch.no_grad()
def histograms_of(layer: LocalHistograms, store: VolumeStore, rows: np.ndarray) -> Tensor:
    """Local intensity histograms of the scans in `rows`, (N, n_places, n_bins)."""
    return torch.cat([layer(store.batch(piece)) for piece in batches(rows, SCANS_AT_ONCE)])


def histogram_standard(histograms: Tensor) -> CohortStandard:
    """The standard of training histograms (N, n_places, n_bins)."""
    return standardise_samples(histograms, LEAST_HISTOGRAM_SHARE)


def histogram_components(flat: np.ndarray, n_components: int, seed: int) -> PCA:
    """Principal components of standardised training histograms (N, n_places·n_bins).

    At most one fewer than there are scans; by a randomised solver (Halko et al. 2011).
    """
    n_components = min(n_components, len(flat) - 1, flat.shape[1])
    return PCA(n_components, svd_solver="randomized", random_state=seed).fit(flat)
