"""Standardisation (z-scores) of scans, latents and histograms by the training cohort.

Registered brains are nearly identical. Subtracting the mean of the training scans and dividing by
their SD, voxel by voxel, leaves the differences between participants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

SCANS_AT_ONCE = 64


class CohortStandard(nn.Module):
    """Elementwise z-score (x - mean) / SD, and its inverse.

    Parameters
    ----------
    shape
        Shape of one sample: (1, H, W, D) for scans, (C, h, w, d) for latents, (places, bins) for
        histograms.

    Attributes
    ----------
    mean, deviation
        Mean and SD of the training samples, (1, *shape); 0 and 1 until measured.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, *shape))
        self.register_buffer("deviation", torch.ones(1, *shape))

    def forward(self, x: Tensor) -> Tensor:
        """z-scores (B, *shape) of samples x (B, *shape)."""
        return (x - self.mean) / self.deviation

    def invert(self, standardised: Tensor) -> Tensor:
        """Samples (B, *shape) with the given z-scores (B, *shape)."""
        return self.mean + self.deviation * standardised


class Standardised(Protocol):
    """Network with an optional standardisation of its input; None if it has none."""

    standard: CohortStandard | None


def standardise_samples(samples: Tensor, least_share: float) -> CohortStandard:
    """Elementwise mean and SD of training samples, with a lower limit on the SD.

    Parameters
    ----------
    samples
        Samples (N, *shape) of training participants only.
    least_share
        Lower limit of the SD, as a fraction of its mean over all elements.
    """
    deviation = samples.std(0, correction=0)
    standard = CohortStandard(samples.shape[1:])
    standard.mean.copy_(samples.mean(0))
    standard.deviation.copy_(deviation.clamp_min(least_share * float(deviation.mean())))
    return standard
