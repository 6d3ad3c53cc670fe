"""Initialisation of the jointly trained LDAE: principal components and temporal scores.

Both are closed-form statistics of the training scans. All further parts of the network are
initialised to zero, so that training starts from these statistics.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from torch import Tensor, nn

from ldae.data.latents import LatentStore
from ldae.leakage import note_fitted
from ldae.networks.anatomical import AnatomicalEncoder, AnatomicalNetwork
from ldae.networks.histograms import LocalHistograms
from ldae.networks.joint import HistogramEncoder, JointNetwork
from ldae.statistics.rotation import equal_variance_rotation
from ldae.training.histograms import histogram_components, histogram_standard
from ldae.training.standard import measure_latent_standard

MONTHS_PER_YEAR = 12
GUESS_PENALTIES = np.logspace(0, 4, 5)
"""Candidates for the ridge penalty of the linear prediction, chosen by leave-one-out error."""


def visit_pairs(index: pd.DataFrame, split: str = "train") -> pd.DataFrame:
    """All pairs of visits of the same participant of a split.

    Parameters
    ----------
    index
        Index of the packed scans, with subject, months and split.
    split
        Split to look in.

    Returns
    -------
    DataFrame
        Row numbers ``earlier`` and ``later``, and the time between both visits, ``years``.
    """
    part = index[index["split"] == split].dropna(subset=["months"])
    visits = pd.DataFrame({"subject": part["subject"], "row": part.index, "months": part["months"]})
    pairs = visits.merge(visits, on="subject", suffixes=("_a", "_b"))
    pairs = pairs[pairs["months_a"] < pairs["months_b"]]
    years = (pairs["months_b"] - pairs["months_a"]) / MONTHS_PER_YEAR
    return pd.DataFrame(
        {"earlier": pairs["row_a"], "later": pairs["row_b"], "years": years}
    ).reset_index(drop=True)


def set_measured(
    network: JointNetwork | AnatomicalNetwork, latents: LatentStore, layer: LocalHistograms
) -> None:
    """Set what is measured on training scans: standardisation of latents, histogram layer.

    Parameters
    ----------
    network
        Network to change in place.
    latents
        The encoded scans; only rows of the training split are read.
    layer
        From :func:`ldae.training.histograms.histogram_layer`.
    """
    network.standard.load_state_dict(measure_latent_standard(latents).state_dict())
    network.encoder.histograms.load_state_dict(layer.state_dict())


def fit_joint_start(
    network: JointNetwork, latents: LatentStore, histograms: Tensor, seed: int
) -> None:
    """Set the linear code to principal components, and regress the latents on the code.

    Parameters
    ----------
    network
        Network with the standardisation of latents already measured; changed in place.
    latents
        The encoded scans; only rows of the training split are read.
    histograms
        Histograms of all scans, (N, n_places, n_bins), in the order of `latents`.
    seed
        Seed of the solver of the principal components.
    """
    rows = latents.rows("train")
    note_fitted("joint start", latents.index["subject"].iloc[rows])
    encoder = network.encoder
    start_components(encoder, histograms[rows], seed)
    correction = encoder.correction[-1]
    nn.init.zeros_(correction.weight)  # type: ignore[arg-type]
    nn.init.zeros_(correction.bias)  # type: ignore[arg-type]
    standardised = encoder.standard(histograms)
    if encoder.scores is not None:
        weight = fit_temporal_scores(standardised.numpy(), latents.index)
        encoder.scores.weight.copy_(torch.from_numpy(weight))
    start_guess(network, latents, standardised[rows])


def start_components(
    encoder: HistogramEncoder | AnatomicalEncoder, histograms: Tensor, seed: int
) -> PCA:
    """Start the linear code at the principal components of training histograms.

    They are rotated so that every entry has the same variance (:mod:`ldae.statistics.rotation`),
    and scaled so that it is 1.

    Parameters
    ----------
    encoder
        Its standardisation and linear map are set in place.
    histograms
        Histograms of training scans, (N, n_places, n_bins).
    seed
        Seed of the solver.

    Returns
    -------
    PCA
        The components of the standardised histograms.
    """
    encoder.standard.load_state_dict(histogram_standard(histograms).state_dict())
    flat = encoder.standard(histograms).flatten(1).numpy()
    n_components = encoder.linear.out_features
    pca = histogram_components(flat, n_components, seed)
    to_code = np.zeros((n_components, flat.shape[1]), np.float32)
    to_code[: pca.n_components_] = _spread_components(pca) / _component_scale(pca)
    _set(encoder.linear, to_code, -to_code @ pca.mean_.astype(np.float32))
    return pca


def start_guess(
    network: JointNetwork | AnatomicalNetwork, latents: LatentStore, standardised: Tensor
) -> None:
    """Start the guess of the latents at their ridge regression on the code of training scans.

    Parameters
    ----------
    network
        Network whose encoder has been started; its guess is set in place.
    latents
        The encoded scans; only rows of the training split are read.
    standardised
        Standardised histograms of these rows, (N, n_places, n_bins).
    """
    with torch.no_grad():
        y = network.encoder.code(standardised).numpy()
    z = network.standard(latents.mean(latents.rows("train"))).flatten(1).numpy()
    ridge = RidgeCV(GUESS_PENALTIES).fit(y, z)
    _set(network.guess, ridge.coef_.astype(np.float32), ridge.intercept_.astype(np.float32))


def start_anatomy(network: AnatomicalNetwork, pca: PCA) -> None:
    """Start the restored histograms at the inverse of the principal components.

    Parameters
    ----------
    network
        Network whose linear map to the histograms is set in place.
    pca
        From :func:`start_components`.
    """
    weight = np.zeros(tuple(network.anatomy.weight.shape), np.float32)
    weight[:, : pca.n_components_] = _spread_components(pca).T * _component_scale(pca)
    _set(network.anatomy, weight, pca.mean_.astype(np.float32))


def _spread_components(pca: PCA) -> np.ndarray:
    """Orthonormal rows (k, K) that span the components and have equal variance."""
    return np.asarray(equal_variance_rotation(pca.explained_variance_) @ pca.components_)


def _component_scale(pca: PCA) -> float:
    """Common SD of these rows."""
    return float(np.sqrt(pca.explained_variance_.mean()))


def fit_temporal_scores(histograms: np.ndarray, index: pd.DataFrame) -> np.ndarray:
    """Weights of Fisher's linear discriminant between later and earlier visits, for each window.

    Let d = x_B - x_A be the change of a participant's histogram in a window over Δ years,
    c = Σ Δ·d/Σ Δ² its mean rate, and S the covariance of d - Δ·c (Ledoit & Wolf 2004). The weights
    are w = S⁻¹·c, scaled so that w·x has SD 1. Only the times of visits are used: with diagnoses or
    ages the code would be supervised.

    Parameters
    ----------
    histograms
        Standardised histograms of all scans, (N, n_places, n_bins).
    index
        Index of the packed scans; only participants of the training split with at least two visits
        are used.

    Returns
    -------
    numpy.ndarray
        Weights, (n_places, n_bins) float32; 0 in a window where no visit differs from another.
    """
    pairs = visit_pairs(index)
    note_fitted("temporal scores", index["subject"].iloc[pairs["earlier"]])
    earlier, later = (histograms[pairs[name].to_numpy()] for name in ("earlier", "later"))
    years = pairs["years"].to_numpy(np.float32)
    weights = np.empty(histograms.shape[1:], np.float32)
    for place in range(len(weights)):
        d = later[:, place] - earlier[:, place]
        rate = years @ d / (years @ years)
        if not rate.any():  # every visit is like the one before, and nothing tells them apart
            weights[place] = 0
            continue
        covariance, _ = ledoit_wolf(d - years[:, None] * rate, assume_centered=True)
        weight = np.linalg.solve(covariance, rate)
        score = np.concatenate([earlier[:, place], later[:, place]]) @ weight
        weights[place] = weight / score.std()
    return weights


def _set(linear: nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    linear.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
