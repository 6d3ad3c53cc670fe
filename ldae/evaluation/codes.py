"""Codes: one row of numbers per scan, from the model, from baselines, from the simulated truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldae.data.volumes import HELD_BYTES, ROWS_AT_A_TIME, batches
from ldae.errors import InputError
from ldae.evaluation.regions import RegionAtlas, measure_regions
from ldae.leakage import note_fitted
from ldae.statistics.rotation import rotate_to_equal_variance

if TYPE_CHECKING:
    from ldae.data.volumes import VolumeStore

PIECE_COMPONENTS = 8
"""Scans of a piece of an incremental fit, for each component."""

POOL_CELLS = 2
"""Cells per axis over which autoencoder latents are pooled: octants, so that front and back, left
and right, top and bottom of the brain stay apart."""


@torch.inference_mode()
def encode_semantics(
    encode: Callable[[Tensor], Tensor | None],
    store: VolumeStore,
    batch_size: int,
    device: torch.device,
) -> np.ndarray:
    """Semantic code of every scan, (N, dim) float32, in the order of the store's index.

    Parameters
    ----------
    encode
        y = E(x) for scans (B, 1, H, W, D): an encoder, or a model's ``semantic_code``.
    store
        The packed scans.
    batch_size
        Scans per forward pass; changes speed and memory only.
    device
        Where `encode` expects its scans.

    Raises
    ------
    ValueError
        If the model has no semantic code (the prior).
    """
    parts = []
    for rows in batches(store.rows(), batch_size):
        y = encode(store.batch(rows).to(device))
        if y is None:
            raise ValueError("the model has no semantic code")
        parts.append(y.float().cpu().numpy())
    return np.concatenate(parts)


@dataclass(frozen=True)
class VoxelPCA:
    """Principal components of the intensities inside a fixed mask.

    Attributes
    ----------
    inside
        Voxels used, bool (H, W, D).
    mean
        Mean intensity of the training scans, (V,).
    components
        Orthonormal rows, (k, V).
    """

    inside: np.ndarray
    mean: np.ndarray
    components: np.ndarray

    def transform(self, volumes: np.ndarray) -> np.ndarray:
        """Codes (N, k) float32 of scans (N, H, W, D)."""
        values = np.asarray(volumes)[:, self.inside].astype(np.float32)
        codes: np.ndarray = ((values - self.mean) @ self.components.T).astype(np.float32)
        return codes

    def codes(self, store: VolumeStore, rows: np.ndarray) -> np.ndarray:
        """Codes (N, k) float32 of the scans in `rows`."""
        pieces = batches(rows, ROWS_AT_A_TIME)
        return np.concatenate([self.transform(store.volumes[piece]) for piece in pieces])


def learn_voxel_pca(store: VolumeStore, rows: np.ndarray, n_components: int, seed: int) -> VoxelPCA:
    """Principal components of the scans in `rows`, over voxels in at least half of their masks.

    Parameters
    ----------
    store
        The packed scans.
    rows
        Training rows; no other scan is read.
    n_components
        Components asked for; at most one fewer than there are scans.
    seed
        Seed of the randomised solver (Halko et al. 2011). Intensities of more than ``HELD_BYTES``
        are not held at a time: their components are found incrementally (Ross et al. 2008), without
        random numbers, and are approximate.
    """
    from sklearn.decomposition import PCA

    rows = np.asarray(rows)
    if len(rows) < 2:
        raise ValueError(f"need at least two training scans, got {len(rows)}")
    note_fitted("voxel PCA", store.index["subject"].iloc[rows])
    inside = store.common_mask(rows)
    n_voxels = int(inside.sum())
    n_components = min(n_components, len(rows) - 1, n_voxels)
    if len(rows) * n_voxels * np.dtype(np.float32).itemsize > HELD_BYTES:
        return _learn_incrementally(store, rows, inside, n_components)
    values = store.intensities(rows, inside)
    pca = PCA(n_components, copy=False, svd_solver="randomized", random_state=seed).fit(values)
    return VoxelPCA(inside, pca.mean_.astype(np.float32), pca.components_.astype(np.float32))


def _learn_incrementally(
    store: VolumeStore, rows: np.ndarray, inside: np.ndarray, n_components: int
) -> VoxelPCA:
    """Principal components of more scans than are held at a time."""
    from sklearn.decomposition import IncrementalPCA

    pca = IncrementalPCA(n_components, copy=False)
    # pieces of nearly equal size: the last one, too, needs as many scans as there are components
    for piece in np.array_split(rows, max(1, len(rows) // (PIECE_COMPONENTS * n_components))):
        pca.partial_fit(store.intensities(piece, inside))
    return VoxelPCA(inside, pca.mean_.astype(np.float32), pca.components_.astype(np.float32))


def fit_voxel_pca(store: VolumeStore, n_components: int, seed: int) -> np.ndarray:
    """Codes of every scan on the principal components of the training split, (N, k) float32.

    The components are rotated to equal variance (:mod:`ldae.statistics.rotation`).
    """
    rows = store.rows("train")
    pca = learn_voxel_pca(store, rows, n_components, seed)
    return rotate_to_equal_variance(pca.codes(store, store.rows()), rows)


def pool_latents(mu: np.ndarray, cells: int = POOL_CELLS) -> np.ndarray:
    """Pooled autoencoder latents: mean and SD of each channel in each octant.

    Parameters
    ----------
    mu
        Posterior means, (N, C, h, w, d).
    cells
        Cells per axis; axes shorter than this are one cell per voxel.

    Returns
    -------
    numpy.ndarray
        (N, 2·C·cells³) float32; the means of all cells first, then the SDs.
    """
    if mu.ndim != 5:
        raise ValueError(f"need latents (N, C, h, w, d), got shape {mu.shape}")
    axes = [np.array_split(np.arange(n), min(cells, n)) for n in mu.shape[2:]]
    means, deviations = [], []
    for i in axes[0]:
        for j in axes[1]:
            for k in axes[2]:
                cell = np.asarray(mu[:, :, i[0] : i[-1] + 1, j[0] : j[-1] + 1, k[0] : k[-1] + 1])
                flat = cell.reshape(*mu.shape[:2], -1).astype(np.float64)
                means.append(flat.mean(-1))
                deviations.append(flat.std(-1))
    return np.concatenate([*means, *deviations], axis=1).astype(np.float32)


def true_volume_codes(truth_tsv: Path, index: pd.DataFrame) -> np.ndarray:
    """True volumes of the simulated cohort, (N, k) float32 in ml, in the order of the index.

    Parameters
    ----------
    truth_tsv
        Table with a column `scan` and one column per volume, their names ending in ``_ml``.
    index
        Index of the packed scans.

    Raises
    ------
    InputError
        If a scan has no row, or there is no volume.
    """
    truth = pd.read_csv(truth_tsv, sep="\t")
    volumes = [c for c in truth.columns if c.endswith("_ml")]
    if "scan" not in truth or not volumes:
        raise InputError(truth_tsv, "needs a column scan and columns *_ml", "Simulate again.")
    missing = set(index["scan"]) - set(truth["scan"])
    if missing:
        raise InputError(
            truth_tsv, f"lacks {len(missing)} scans, first {min(missing)}", "Simulate again."
        )
    return truth.set_index("scan").loc[index["scan"], volumes].to_numpy(np.float32)


REGION_COLUMNS = (
    "ventricles", "hippocampus_left", "hippocampus_right", "grey", "white", "fluid",
)  # fmt: skip
"""Structures whose volumes are the code; the others are their sums."""


def measure_region_volumes(
    store: VolumeStore, atlas: RegionAtlas, scale: pd.Series, batch_size: int = 32
) -> pd.DataFrame:
    """Volumes of structures in every scan, in the order of the store's index.

    Parameters
    ----------
    store
        The packed scans.
    atlas
        Regions on the study's grid.
    scale
        Mean stretch of each scan's affine to the template, by scan (``scale`` of ``qc.tsv``); its
        cube brings volumes back to the subject's head.
    batch_size
        Scans at a time.

    Returns
    -------
    pandas.DataFrame
        scan, subject, and ``<structure>_ml`` of ``REGION_COLUMNS``, ``hippocampi_ml`` and
        ``brain_ml`` in the subject's head, ``head_ml``, the volume inside the mask, and
        ``to_head``, the factor from volumes in template space.

    Raises
    ------
    InputError
        If a scan has no scale.
    """
    missing = set(store.index["scan"]) - set(scale.dropna().index)
    if missing:
        raise InputError(
            "qc.tsv", f"lacks the scale of {len(missing)} scans, first {min(missing)}",
            "Preprocess again.",
        )  # fmt: skip
    parts = []
    for rows in batches(store.rows(), batch_size):
        volumes = measure_regions(store.volumes[rows], store.masks[rows], atlas)
        volumes["head"] = store.masks[rows].sum((1, 2, 3)) * atlas.voxel_ml
        parts.append(pd.DataFrame(volumes))
    to_head = scale.loc[store.index["scan"]].to_numpy(float) ** -3
    table = pd.concat(parts, ignore_index=True).mul(to_head, axis=0).add_suffix("_ml")
    table["to_head"] = to_head
    table.insert(0, "scan", store.index["scan"].to_numpy())
    table.insert(1, "subject", store.index["subject"].to_numpy())
    return table


def template_volumes(table: pd.DataFrame) -> np.ndarray:
    """Volumes in template space (N, 6), ml, of ``REGION_COLUMNS``: the subject's head taken out."""
    columns = [f"{name}_ml" for name in REGION_COLUMNS]
    to_head = table["to_head"].to_numpy(float)
    volumes: np.ndarray = table[columns].to_numpy(float) / to_head[:, None]
    return volumes


def region_volume_codes(table: pd.DataFrame) -> np.ndarray:
    """Codes (N, 7) float32, ml, of :func:`measure_region_volumes`: the structures and the head."""
    columns = [f"{name}_ml" for name in (*REGION_COLUMNS, "head")]
    return table[columns].to_numpy(np.float32)
