"""Where the jointly trained LDAE starts: principal components, and scores of the order of visits.

Both are closed forms of the training latents.  What the gradient adds starts at zero, so a short
training can only add to them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from torch import nn

from ldae.latents import LatentStore
from ldae.networks.joint import JointNetwork
from ldae.provenance.fitted import note_fitted

MONTHS_PER_YEAR = 12


def visit_pairs(index: pd.DataFrame) -> pd.DataFrame:
    """Pairs of training visits of one person: rows ``earlier`` and ``later``, and ``years`` apart.

    Parameters
    ----------
    index
        Index of the packed scans, with subject, months and split.
    """
    train = index[index["split"] == "train"].dropna(subset=["months"])
    visits = pd.DataFrame(
        {"subject": train["subject"], "row": train.index, "months": train["months"]}
    )
    pairs = visits.merge(visits, on="subject", suffixes=("_a", "_b"))
    pairs = pairs[pairs["months_a"] < pairs["months_b"]]
    years = (pairs["months_b"] - pairs["months_a"]) / MONTHS_PER_YEAR
    return pd.DataFrame(
        {"earlier": pairs["row_a"], "later": pairs["row_b"], "years": years}
    ).reset_index(drop=True)


def fit_joint_start(network: JointNetwork, latents: LatentStore, seed: int) -> None:
    """Set the linear code to whitened principal components, the guess to their inverse.

    Parameters
    ----------
    network
        Its standard must be measured already; changed in place.
    latents
        The encoded scans; only rows of the training split are read.
    seed
        Of the randomised solver (Halko et al. 2011).
    """
    rows = latents.rows("train")
    note_fitted("joint start", latents.index["subject"].iloc[rows])
    z = network.standard(latents.mean(rows)).flatten(1).numpy()
    encoder = network.encoder
    n_components = encoder.linear.out_features
    kept = min(n_components, len(rows) - 1, z.shape[1])
    pca = PCA(kept, svd_solver="randomized", random_state=seed).fit(z)
    deviation = np.sqrt(pca.explained_variance_)[:, None]
    to_code = np.zeros((n_components, z.shape[1]), np.float32)
    to_code[:kept] = pca.components_ / deviation
    to_latent = np.zeros((z.shape[1], encoder.dim_y), np.float32)
    to_latent[:, :kept] = (pca.components_ * deviation).T
    mean = pca.mean_.astype(np.float32)
    _set(encoder.linear, to_code, -to_code @ mean)
    _set(network.guess, to_latent, mean)
    correction = encoder.correction[-1]
    nn.init.zeros_(correction.weight)  # type: ignore[arg-type]
    nn.init.zeros_(correction.bias)  # type: ignore[arg-type]
    if encoder.scores is not None:
        weight = fit_temporal_scores(network, latents)
        encoder.scores.weight.copy_(torch.from_numpy(weight))


def fit_temporal_scores(network: JointNetwork, latents: LatentStore) -> np.ndarray:
    """Fisher's discriminant of later against earlier visits, at each place of the latent.

    With d = z_B - z_A the change of one person's latent at a place over Δ years, c = Σ Δ·d/Σ Δ² its
    mean rate, and S the covariance of d - Δ·c (Ledoit & Wolf 2004): w = S⁻¹·c, scaled so that w·z
    has unit deviation.  It needs the order of visits only; with diagnoses or ages it would be a
    supervised code.

    Parameters
    ----------
    network
        Its standard must be measured already.
    latents
        The encoded scans; only people of the training split with two visits are read.

    Returns
    -------
    numpy.ndarray
        Weights, (h·w·d, C) float32.
    """
    pairs = visit_pairs(latents.index)
    note_fitted("temporal scores", latents.index["subject"].iloc[pairs["earlier"]])
    z_a, z_b = (
        network.standard(latents.mean(pairs[name].to_numpy())).flatten(2).numpy()
        for name in ("earlier", "later")
    )
    years = pairs["years"].to_numpy(np.float32)
    change = z_b - z_a
    weights = np.empty((change.shape[2], change.shape[1]), np.float32)
    for place in range(len(weights)):
        d = change[:, :, place]
        rate = years @ d / (years @ years)
        covariance, _ = ledoit_wolf(d - years[:, None] * rate, assume_centered=True)
        weight = np.linalg.solve(covariance, rate)
        score = np.concatenate([z_a[:, :, place], z_b[:, :, place]]) @ weight
        weights[place] = weight / score.std()
    return weights


def _set(linear: nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    linear.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
