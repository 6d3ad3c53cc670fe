"""Orthogonal rotations of principal components to entries of equal variance.

Probes standardise every entry of a code. For principal components that is a whitening: it gives the
last of them, mostly noise, the weight of the first, and a penalised probe is worse for it. Rotated
so that all entries have the same variance, the same components keep their geometry when they are
standardised.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def equal_variance_rotation(variances: NDArray[np.floating]) -> NDArray[np.float64]:
    """Orthogonal R for which all diagonal elements of R diag(v) Rᵀ are the mean of v.

    It exists by the theorem of Schur and Horn, and is made of n - 1 plane rotations: each mixes the
    entries of the smallest and the largest variance so that one of them gets the mean (Bendel &
    Mickey 1978, *Communications in Statistics B* 7, 163-182).

    Parameters
    ----------
    variances
        v, (n,), not negative.

    Returns
    -------
    numpy.ndarray
        R, (n, n).
    """
    covariance = np.diag(np.asarray(variances, float))
    rotation = np.eye(len(covariance))
    mean = np.trace(covariance) / len(covariance)
    unequal = list(range(len(covariance)))
    while len(unequal) > 1:
        diagonal = covariance[unequal, unequal]
        low, high = unequal[int(diagonal.argmin())], unequal[int(diagonal.argmax())]
        plane = _plane_rotation(covariance, low, high, mean)
        pair = [low, high]
        covariance[pair] = plane @ covariance[pair]
        covariance[:, pair] = covariance[:, pair] @ plane.T
        rotation[pair] = plane @ rotation[pair]
        unequal.remove(low)
    return rotation


def _plane_rotation(
    covariance: NDArray[np.float64], low: int, high: int, mean: float
) -> NDArray[np.float64]:
    """Rotation (2, 2) of two entries after which the first one has the variance `mean`."""
    below, above = covariance[low, low] - mean, covariance[high, high] - mean
    shared = covariance[low, high]
    if above <= 0:  # all are equal, up to rounding
        return np.eye(2)
    # below + 2·shared·t + above·t² = 0 for the tangent t of the angle; below ≤ 0 ≤ above
    tangent = (-shared + np.sqrt(max(shared**2 - below * above, 0))) / above
    cosine = 1 / np.sqrt(1 + tangent**2)
    sine = tangent * cosine
    return np.array([[cosine, sine], [-sine, cosine]])


def rotate_to_equal_variance(
    codes: NDArray[np.floating], rows: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Principal components of scans, rotated to entries of equal variance, (N, k) float32.

    Parameters
    ----------
    codes
        Components of every scan, (N, k), uncorrelated over `rows`.
    rows
        Training scans, whose variances count.
    """
    rotation = equal_variance_rotation(codes[rows].var(0))
    return np.asarray(codes @ rotation.T, np.float32)
