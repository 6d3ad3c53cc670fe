"""Mean and SD of the training scans and latents, for their standardisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ldae.leakage import note_fitted

if TYPE_CHECKING:
    from ldae.data.latents import LatentStore
    from ldae.data.volumes import VolumeStore
from ldae.networks.standard import SCANS_AT_ONCE, CohortStandard, Standardised, standardise_samples

# Lower limit of the SD of intensities in [0, 1]; smaller SDs are due to noise and background.
LEAST_DEVIATION = 0.02
# Lower limit of the SD of latents, as a fraction of the mean SD over all elements. Elements with
# less variation hardly affect the decoded scan and would be noise for the model.
LEAST_LATENT_SHARE = 0.1


def measure_standard(store: VolumeStore) -> CohortStandard:
    """Voxelwise mean and SD of the training scans, with an SD of at least ``LEAST_DEVIATION``.

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
    """Elementwise mean and SD of the training latents s·μ, with a lower limit on the SD.

    Parameters
    ----------
    latents
        The encoded scans; only rows of the training split are read.
    """
    rows = latents.rows("train")
    note_fitted("latent standard", latents.index["subject"].iloc[rows])
    return standardise_samples(latents.mean(rows), LEAST_LATENT_SHARE)


def adopt_standard(network: Standardised, standard: CohortStandard) -> None:
    """Copy the measured mean and SD into `network`, if it standardises its input."""
    if network.standard is not None:
        network.standard.load_state_dict(standard.state_dict())
