"""Mean and standard deviation of the training scans and latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ldae.leakage import note_fitted

if TYPE_CHECKING:
    from ldae.data.latents import LatentStore
    from ldae.data.volumes import VolumeStore
from ldae.networks.standard import SCANS_AT_ONCE, CohortStandard, Standardised, standardise_samples

# Deviations below this (of an intensity range of 1) are noise and background, not anatomy.
LEAST_DEVIATION = 0.02


# The same for latents, as a share of their elements' mean deviation: what varies less than this
# hardly shows in the decoded scan and would be noise to model.
LEAST_LATENT_SHARE = 0.1


def measure_standard(store: VolumeStore) -> CohortStandard:
    """Mean and deviation of the training scans, the deviation at least ``LEAST_DEVIATION``.

    Parameters
    ----------
    store
        The packed scans; only rows of the training split are read.
    """
    rows = store.rows("train")
    note_fitted("cohort standard", store.index["subject"].iloc[rows])
    total = np.zeros(store.shape)
    squares = np.zeros(store.shape)
    for chunk in np.array_split(rows, -(-len(rows) // SCANS_AT_ONCE)):
        x = store.volumes[chunk].astype(np.float64)
        total += x.sum(0)
        squares += np.square(x).sum(0)
    mean = total / len(rows)
    deviation = np.sqrt(np.maximum(squares / len(rows) - mean**2, 0))
    standard = CohortStandard((1, *store.shape))
    standard.mean.copy_(torch.from_numpy(mean))
    standard.deviation.copy_(torch.from_numpy(np.maximum(deviation, LEAST_DEVIATION)))
    return standard


def measure_latent_standard(latents: LatentStore) -> CohortStandard:
    """Mean and deviation of the training latents s·μ, the deviation at least a share of its mean.

    Parameters
    ----------
    latents
        The encoded scans; only rows of the training split are read.
    """
    rows = latents.rows("train")
    note_fitted("latent standard", latents.index["subject"].iloc[rows])
    return standardise_samples(latents.mean(rows), LEAST_LATENT_SHARE)


def adopt_standard(network: Standardised, standard: CohortStandard) -> None:
    """Give `network` the measured standard, if it was made to use one."""
    if network.standard is not None:
        network.standard.load_state_dict(standard.state_dict())
