"""Scans and latents relative to the training cohort: the networks' view of registered brains.

Registered brains are nearly identical.  Minus the training mean and over the training deviation,
voxel by voxel, what differs between people is all that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    pass

SCANS_AT_ONCE = 64


class CohortStandard(nn.Module):
    """(x - mean)/deviation, element by element, and back.

    Parameters
    ----------
    shape
        Shape of one sample: (1, H, W, D) of scans, (C, h, w, d) of latents, (places, bins) of
        histograms.

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
