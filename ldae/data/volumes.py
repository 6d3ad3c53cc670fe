"""The study's preprocessed scans as two arrays in files with one index.

Training and evaluation read random rows of one array; opening one NIfTI file per scan and step
would cost more than the step itself.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike

from ldae.data.addresses import Derivative, find_derivative
from ldae.data.digests import trusted_digest
from ldae.data.manifest import LABEL_COLUMNS, read_scans
from ldae.data.rows import RowFile, RowWriter
from ldae.data.splits import check_split
from ldae.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

INDEX_COLUMNS = ["row", "scan", "subject", "session", "months", "split"]

# Scans read at a time where something is gathered from many.
ROWS_AT_A_TIME = 64

# Most bytes of intensities that are held at a time; of more, pieces are. It does not follow the
# machine's memory, so that a study has the same numbers on every machine.
HELD_BYTES = 32 * 10**9

logger = logging.getLogger(__name__)


def read_index(path: Path, scans: Path | None = None) -> pd.DataFrame:
    """Index of the packed arrays: one row per scan, in the order of the arrays.

    Parameters
    ----------
    path
        ``index.tsv`` as :func:`pack_volumes` writes it. It has no labels, so that what does not
        learn from them stands when one is corrected.
    scans
        ``manifest/scans.tsv``, where the labels are wanted.

    Returns
    -------
    pandas.DataFrame
        Columns ``INDEX_COLUMNS``, with `scans` also ``LABEL_COLUMNS``; `months` since the first
        visit, `age` in years at the scan.

    Raises
    ------
    InputError
        If a column is missing, or `scans` lacks a scan of the index.
    """
    text = ["scan", "subject", "session", "split"]
    index = pd.read_csv(path, sep="\t", dtype=dict.fromkeys(text, str), keep_default_na=False)
    missing = set(INDEX_COLUMNS) - set(index.columns)
    if missing:
        raise InputError(path, f"lacks the columns {sorted(missing)}", "Run rule pack_volumes.")
    index["months"] = pd.to_numeric(index["months"], errors="coerce")
    return index if scans is None else _with_labels(index, scans)


def _with_labels(index: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The index with ``LABEL_COLUMNS`` from a table of scans."""
    labels = read_scans(path).set_index("scan")[list(LABEL_COLUMNS)]
    missing = set(index["scan"]) - set(labels.index)
    if missing:
        raise InputError(path, f"lacks the scan {min(missing)}", "Run rule read_bids.")
    return index.join(labels, on="scan")


def pack_volumes(
    scans: pd.DataFrame,
    split: pd.DataFrame,
    qc: pd.DataFrame,
    preprocessed: Path,
    shape: Sequence[int],
    volumes_path: Path,
    masks_path: Path,
    index_path: Path,
) -> None:
    """Pack every scan that passed quality control into two arrays and their index.

    Parameters
    ----------
    scans, split, qc
        Tables of ``manifest/visits.tsv``, ``split/split.tsv`` and ``qc/qc.tsv``.
    preprocessed
        Data set of the preprocessed scans.
    shape
        The study's grid, (H, W, D) in RAS order.
    volumes_path, masks_path, index_path
        Written: float16 intensities in [0, 1] of shape (N, H, W, D); uint8 masks of the same shape;
        the index with columns ``INDEX_COLUMNS``.

    Raises
    ------
    InputError
        If a subject is in two splits or in none, no scan passed, a file is missing, or its shape
        is not the grid's.
    """
    index = _index_passed(scans, split, qc)
    for kind, path, dtype in (
        (Derivative.VOLUME, volumes_path, np.float16),
        (Derivative.MASK, masks_path, np.uint8),
    ):
        with RowWriter(path, (len(index), *shape), dtype) as packed:
            for scan in index["scan"]:
                packed.write(_read_image(find_derivative(preprocessed, scan, kind), shape)[None])
    index[INDEX_COLUMNS].to_csv(index_path, sep="\t", index=False)
    logger.info("packed %d of %d scans", len(index), len(scans))


def _index_passed(scans: pd.DataFrame, split: pd.DataFrame, qc: pd.DataFrame) -> pd.DataFrame:
    """Rows of the scans that passed quality control, with split and row number."""
    check_split(scans, split)
    passed = qc.loc[qc["status"] == "pass", "scan"]
    index = scans[scans["scan"].isin(passed)].merge(split, on="subject", validate="many_to_one")
    index = index.reset_index(drop=True)
    if index.empty:
        raise InputError("qc.tsv", "no scan passed quality control", "Look through qc.html.")
    index.insert(0, "row", np.arange(len(index)))
    return index


def _read_image(path: Path, shape: Sequence[int]) -> np.ndarray:
    """Values of an image on the study's grid, (H, W, D)."""
    import nibabel as nib

    data = np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj)
    if data.shape != tuple(shape):
        raise InputError(
            path, f"has shape {data.shape}, the grid is {tuple(shape)}", "Preprocess again."
        )
    return data


class VolumeStore:
    """The packed scans, read lazily.

    Parameters
    ----------
    volumes_path, masks_path, index_path
        As written by :func:`pack_volumes`.
    scans_path
        ``manifest/scans.tsv``, where the labels are wanted.

    Attributes
    ----------
    index
        One row per scan, columns ``INDEX_COLUMNS``, with labels also ``LABEL_COLUMNS``.
    volumes
        (N, H, W, D) float16 in [0, 1]; what is indexed is read from the file.
    masks
        (N, H, W, D) uint8, likewise.
    """

    def __init__(
        self, volumes_path: Path, masks_path: Path, index_path: Path, scans_path: Path | None = None
    ) -> None:
        self.index = read_index(Path(index_path), None if scans_path is None else Path(scans_path))
        self.volumes = RowFile(volumes_path)
        self.masks = RowFile(masks_path)
        if not len(self.index) == len(self.volumes) == len(self.masks):
            raise InputError(
                volumes_path,
                f"has {len(self.volumes)} scans, its index {len(self.index)}",
                "Run rule pack_volumes again.",
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Grid (H, W, D)."""
        h, w, d = self.volumes.shape[1:]
        return int(h), int(w), int(d)

    def rows(self, split: str | None = None) -> np.ndarray:
        """Row numbers of one split (or of all scans), ascending int64."""
        if split is None:
            return np.arange(len(self.index))
        return np.flatnonzero(self.index["split"].to_numpy() == split)

    def digest(self) -> str:
        """Digest of scans, masks, split and labels if any, to recognise a checkpoint's data."""
        content = hashlib.sha256(self.index.to_csv(index=False).encode())
        for array in (self.volumes, self.masks):
            content.update(trusted_digest(array.path).encode())
        return content.hexdigest()[:16]

    def batch(self, rows: Sequence[int] | np.ndarray) -> Tensor:
        """Scans x, shape (B, 1, H, W, D), float32 in [0, 1]."""
        import torch  # here: readers of the index alone save the seconds that it takes

        return torch.from_numpy(self.volumes[np.asarray(rows)].astype(np.float32))[:, None]

    def mask_batch(self, rows: Sequence[int] | np.ndarray) -> Tensor:
        """Brain masks, shape (B, 1, H, W, D), bool."""
        import torch

        return torch.from_numpy(self.masks[np.asarray(rows)].astype(bool))[:, None]

    def common_mask(self, rows: np.ndarray) -> np.ndarray:
        """Voxels in at least half of the rows' masks, bool (H, W, D)."""
        count = np.zeros(self.shape, np.int64)
        for piece in batches(rows, ROWS_AT_A_TIME):
            count += self.masks[piece].sum(0, dtype=np.int64)
        return 2 * count >= len(rows)

    def intensities(
        self, rows: np.ndarray, inside: np.ndarray, dtype: DTypeLike = np.float32
    ) -> np.ndarray:
        """Intensities of scans at the voxels `inside` (bool, (H, W, D)), (N, V).

        Nothing else is held: of a large cohort the whole scans would take several times as much.
        """
        values = np.empty((len(rows), int(inside.sum())), dtype)
        for start in range(0, len(rows), ROWS_AT_A_TIME):
            part = slice(start, start + ROWS_AT_A_TIME)
            values[part] = self.volumes[rows[part]][:, inside]
        return values


def batches(rows: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Rows in consecutive pieces of at most `batch_size`."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
