"""Scans and latents relative to the training cohort: the networks' view of registered brains.

Registered brains are nearly identical.  Minus the training mean and over the training deviation,
voxel by voxel, what differs between people is all that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ldae.provenance.fitted import note_fitted

if TYPE_CHECKING:
    from ldae.latents import LatentStore
    from ldae.volumes import VolumeStore

# Deviations below this (of an intensity range of 1) are noise and background, not anatomy.
LEAST_DEVIATION = 0.02
# The same for latents, as a share of their elements' mean deviation: what varies less than this
# hardly shows in the decoded scan and would be noise to model.
LEAST_LATENT_SHARE = 0.1
SCANS_AT_ONCE = 64


class CohortStandard(nn.Module):
    """(x - mean)/deviation, element by element, and back.

    Parameters
    ----------
    shape
        Shape of one sample: (1, H, W, D) of scans, (C, h, w, d) of latents, (places, bins) of
        densities.

    Attributes
    ----------
    mean, deviation
        Of the training samples, (1, *shape); 0 and 1 until measured.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, *shape))
        self.register_buffer("deviation", torch.ones(1, *shape))

    def forward(self, x: Tensor) -> Tensor:
        """Standardised samples, of the shape of x (B, *shape)."""
        return (x - self.mean) / self.deviation

    def invert(self, standardised: Tensor) -> Tensor:
        """Samples of standardised ones."""
        return self.mean + self.deviation * standardised


class Standardised(Protocol):
    """A network that may see scans relative to the cohort."""

    standard: CohortStandard | None


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


def standardise_samples(samples: Tensor, least_share: float) -> CohortStandard:
    """Mean and deviation of training samples (B, ...), the deviation at least a share of its mean.

    Parameters
    ----------
    samples
        Of training people only.
    least_share
        Least deviation of an element, as a share of the elements' mean one.
    """
    deviation = samples.std(0, correction=0)
    standard = CohortStandard(samples.shape[1:])
    standard.mean.copy_(samples.mean(0))
    standard.deviation.copy_(deviation.clamp_min(least_share * float(deviation.mean())))
    return standard


def adopt_standard(network: Standardised, standard: CohortStandard) -> None:
    """Give `network` the measured standard, if it was made to use one."""
    if network.standard is not None:
        network.standard.load_state_dict(standard.state_dict())
