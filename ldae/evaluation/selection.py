"""Which scans are evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ldae.errors import InputError


def choose_rows(index: pd.DataFrame, split: str, n_scans: int | None, seed: int) -> np.ndarray:
    """Rows of a split to evaluate, ascending: all, or `n_scans` of as many subjects as possible.

    Subjects are shuffled once by `seed`; each gives one scan, drawn at random, before any of them
    gives a second one.

    Parameters
    ----------
    index
        Index of the packed scans.
    split
        Split to draw from.
    n_scans
        Scans wanted; None, or more than there are, is all of them.
    seed
        Seed of the draw.
    """
    rows = np.flatnonzero((index["split"] == split).to_numpy())
    if n_scans is None or n_scans >= len(rows):
        return rows
    rng = np.random.default_rng(seed)
    subjects = index["subject"].to_numpy(str)[rows]
    order = rng.permutation(len(rows))
    place = dict(zip(rng.permutation(np.unique(subjects)), range(len(rows)), strict=False))
    visits: dict[str, int] = {}
    keys = []
    for i in order:
        subject = subjects[i]
        keys.append((visits.get(subject, 0), place[subject], i))
        visits[subject] = visits.get(subject, 0) + 1
    return np.sort(rows[[i for *_, i in sorted(keys)[:n_scans]]])


def write_selection(index: pd.DataFrame, rows: np.ndarray, path: Path) -> None:
    """Write the names of chosen scans as a table with the one column ``scan``."""
    index.iloc[rows][["scan"]].to_csv(path, sep="\t", index=False, lineterminator="\n")


def read_selection(path: Path) -> list[str]:
    """Names of the scans that `write_selection` wrote, in their order."""
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)["scan"].tolist()


def rows_of(index: pd.DataFrame, scans: Sequence[str]) -> np.ndarray:
    """Rows of named scans, in their order.

    Raises
    ------
    InputError
        If a scan is not in the index.
    """
    rows = pd.Index(index["scan"]).get_indexer(list(scans))
    missing = [scan for scan, row in zip(scans, rows, strict=True) if row < 0]
    if missing:
        raise InputError(
            missing[0], "the scan is not in the index of packed scans", "Choose the scans again"
        )
    return np.asarray(rows)
