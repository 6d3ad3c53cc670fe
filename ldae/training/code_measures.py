"""Whether a semantic code is alive: its effective rank, and the latent variance that it explains.

A loss can fall while the code collapses to one direction, because a denoiser does well without it.
Every training of a semantic encoder therefore logs both numbers at its last validation.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor

from ldae.networks.standard import standardise_samples
from ldae.training.standard import LEAST_LATENT_SHARE

PENALTIES = np.logspace(0, 5, 6)
"""Candidates for the ridge penalty, chosen by leave-one-out error."""


def effective_rank(y: Tensor) -> float:
    """Effective rank of codes: e to the entropy of the normalised eigenvalues of their covariance.

    (Roy & Vetterli 2007)

    Parameters
    ----------
    y
        Codes (N, dim), N ≥ 2.

    Returns
    -------
    float
        From 1, all variance in one direction, to min(N - 1, dim), the same in each; 0 for codes
        that do not vary.
    """
    centred = (y - y.mean(0)).double()
    values = torch.linalg.svdvals(centred).square()
    total = values.sum()
    if not total > 0:
        return 0.0
    shares = values[values > 0] / total
    return float((-(shares * shares.log()).sum()).exp())


def explained_variance(y: Tensor, z: Tensor, held_y: Tensor, held_z: Tensor) -> float:
    """Share of the variance of held-out latents that a ridge regression on the code explains.

    Parameters
    ----------
    y, z
        Codes (N, dim) and latents (N, …) of training scans, to fit on.
    held_y, held_z
        The same of other participants.

    Returns
    -------
    float
        1 - squared error / squared distance from the training mean, over latents that are z-scored
        by the training scans. Negative where the code misleads.
    """
    standard = standardise_samples(z, LEAST_LATENT_SHARE)
    z, held_z = (standard(values).flatten(1) for values in (z, held_z))
    deviation = y.std(0).clamp_min(torch.finfo(y.dtype).eps)
    scaled, held = ((values - y.mean(0)) / deviation for values in (y, held_y))
    predicted = RidgeCV(PENALTIES).fit(scaled.numpy(), z.numpy()).predict(held.numpy())
    error = np.square(predicted - held_z.numpy()).sum()
    return float(1 - error / held_z.square().sum())
