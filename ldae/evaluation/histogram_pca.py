"""Principal components of local intensity histograms: a baseline without a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ldae.data.volumes import VolumeStore
from ldae.leakage import note_fitted
from ldae.statistics.rotation import rotate_to_equal_variance
from ldae.training.histograms import (
    histogram_components,
    histogram_layer,
    histogram_standard,
    histograms_of,
)


def fit_histogram_pca(
    store: VolumeStore,
    settings: Mapping[str, Any],
    spacing_mm: float,
    n_components: int,
    seed: int,
) -> np.ndarray:
    """Codes of every scan on the components of the training histograms, (N, k) float32.

    What the recommended model's encoder starts from, without a network: the baseline that says what
    is owed to the histograms alone. The components are rotated to equal variance
    (:mod:`ldae.statistics.rotation`).

    Parameters
    ----------
    store
        The packed scans.
    settings, spacing_mm
        As for :func:`histogram_layer`.
    n_components
        Components asked for.
    seed
        Of the solver.
    """
    rows = store.rows("train")
    note_fitted("histogram PCA", store.index["subject"].iloc[rows])
    layer = histogram_layer(store, settings, spacing_mm)
    histograms = histograms_of(layer, store, store.rows())
    standard = histogram_standard(histograms[rows])
    flat = standard(histograms).flatten(1).numpy()
    pca = histogram_components(flat[rows], n_components, seed)
    return rotate_to_equal_variance(pca.transform(flat), rows)
