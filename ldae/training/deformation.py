"""The deformation that follows from a code, in closed form: registrations regressed on codes."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d

from ldae.data.registration import register
from ldae.data.volumes import VolumeStore
from ldae.leakage import note_fitted
from ldae.networks.deformation import CodeDeformation

WORKING_MM = 4.0
"""Scans are registered at about this voxel edge: finer ones take longer, and the displacements are
averaged over more than that anyway."""

LEAST_SIZE = 4
"""Voxels along an axis that the smoothing of a displacement needs."""


@dataclass(frozen=True)
class Registrations:
    """Training scans, one of each participant, registered to their average.

    Attributes
    ----------
    rows
        Their rows of the index, (N,).
    displacement
        From points of the average to those of each scan, voxels of the scans, (N, 3, h, w, d).
    """

    rows: NDArray[np.int64]
    displacement: Tensor


def coarse_shape(
    shape: tuple[int, ...], spacing_mm: float, coarse_mm: float
) -> tuple[int, int, int]:
    """Size of the grid of `coarse_mm` that covers that of a scan, at most as large as it."""
    h, w, d = (min(n, math.ceil(n * spacing_mm / coarse_mm)) for n in shape)
    return h, w, d


def register_participants(
    store: VolumeStore, spacing_mm: float, coarse: tuple[int, int, int], n_most: int
) -> Registrations:
    """Register the first visits of training participants to their average.

    Parameters
    ----------
    store
        The packed scans.
    spacing_mm
        Voxel edge of the scans.
    coarse
        Size of the grid on which displacements are returned, (h, w, d).
    n_most
        Participants that are registered, evenly spread over the index.
    """
    train = store.index.iloc[store.rows("train")]
    first = train.sort_values("months", kind="stable").groupby("subject", sort=False).head(1)
    rows = np.sort(first.index.to_numpy())
    n = min(n_most, len(rows))
    rows = rows[np.arange(n) * len(rows) // n]
    note_fitted("deformation", store.index["subject"].iloc[rows])
    step = max(1, round(WORKING_MM / spacing_mm))
    h, w, d = (max(LEAST_SIZE, math.ceil(n / step)) for n in store.shape)
    working = h, w, d
    scans = [adaptive_avg_pool3d(store.batch([row])[0], working)[0].numpy() for row in rows]
    average = np.stack(scans).mean(0, dtype=np.float64).astype(np.float32)

    def displacement(scan: NDArray[np.float32]) -> Tensor:
        found = torch.from_numpy(register(average, _alike(scan, average)))
        return adaptive_avg_pool3d(found, coarse)

    with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        found = torch.stack(list(pool.map(displacement, scans)))
    voxels = torch.tensor([n / m for n, m in zip(store.shape, working, strict=True)])
    return Registrations(rows, found * voxels.reshape(3, 1, 1, 1))


def _alike(scan: NDArray[np.float32], average: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scan with the intensities of the average, by least squares where it has any."""
    inside = scan > 0
    if not inside.any() or np.ptp(scan[inside]) == 0:
        return scan
    slope, level = np.polyfit(scan[inside], average[inside], 1)
    return np.where(inside, slope * scan + level, 0).astype(np.float32)


def fit_deformation(
    deformation: CodeDeformation, codes: Tensor, displacement: Tensor, penalty: float
) -> None:
    """Set the deformation to the ridge regression of displacements on standardised codes.

    Parameters
    ----------
    deformation
        Changed in place.
    codes
        Codes of the registered scans, (N, dim_y).
    displacement
        Their displacements, (N, 3, h, w, d).
    penalty
        λ of ‖U - S·A‖² / N + λ·‖A‖² with standardised codes S. Chosen on validation participants of
        the default study (docs/tried/edits.md).
    """
    y = codes.double().numpy()
    mean, std = y.mean(0), y.std(0)
    std = np.where(std > 1e-6, std, 1.0)
    ridge = Ridge(penalty * len(y)).fit((y - mean) / std, displacement.flatten(1).double().numpy())
    slope = ridge.coef_.T / std[:, None]
    correlations = np.cov(((y - mean) / std).T, bias=True)
    penalised = correlations + penalty * np.eye(len(std))
    shrinkage = np.linalg.lstsq(penalised, correlations, rcond=None)[0] * std / std[:, None]
    deformation.shrinkage.copy_(torch.from_numpy(shrinkage))
    deformation.slope.copy_(torch.from_numpy(slope).reshape(deformation.slope.shape))
    offset = torch.from_numpy(ridge.intercept_ - mean @ slope)
    deformation.offset.copy_(offset.reshape(deformation.offset.shape))
