"""Three visits of one subject, of which the middle one is predicted from the other two."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

BIN_MONTHS = 6
"""Gaps are tabulated in bins of half a year, the interval at which such studies plan visits."""


@dataclass(frozen=True)
class Triple:
    """Three visits of one subject: rows of A, M and B in time order, and their months."""

    subject: str
    rows: tuple[int, int, int]
    months: tuple[float, float, float]

    @property
    def alpha(self) -> float:
        """Position of M between A (0) and B (1)."""
        a, m, b = self.months
        return (m - a) / (b - a)

    @property
    def gap(self) -> float:
        """t_B - t_A, months."""
        return self.months[2] - self.months[0]

    @property
    def nearest(self) -> float:
        """Distance of M to the nearer of A and B, months."""
        a, m, b = self.months
        return min(m - a, b - m)


def find_triples(
    index: pd.DataFrame, split: str, max_triples: int | None = None, seed: int = 0
) -> list[Triple]:
    """Triples (A, M, B) of one subject's visits in a split, in the order of the index.

    Parameters
    ----------
    index
        Index of the packed scans.
    split
        Split to look in.
    max_triples
        Upper bound; if there are more, they are drawn in turn from each combination of gap and
        distance, so that rare ones are not lost. None keeps all.
    seed
        Seed of that draw.
    """
    part = index[index["split"] == split]
    triples = []
    for subject, visits in part.groupby("subject", sort=True):
        visits = visits.dropna(subset=["months"]).sort_values("months")
        rows, months = visits.index.to_numpy(), visits["months"].to_numpy(float)
        for a in range(len(rows)):
            for m in range(a + 1, len(rows)):
                for b in range(m + 1, len(rows)):
                    if months[a] < months[m] < months[b]:
                        triples.append(
                            Triple(
                                str(subject),
                                (int(rows[a]), int(rows[m]), int(rows[b])),
                                (float(months[a]), float(months[m]), float(months[b])),
                            )
                        )
    if max_triples is None or len(triples) <= max_triples:
        return triples
    order = np.random.default_rng(seed).permutation(len(triples))
    taken: dict[tuple[int, int], int] = {}
    keys = []
    for i in order:
        cell = (bin_months(triples[i].gap), bin_months(triples[i].nearest))
        keys.append((taken.get(cell, 0), cell, int(i)))
        taken[cell] = taken.get(cell, 0) + 1
    return [triples[i] for i in sorted(i for *_, i in sorted(keys)[:max_triples])]


def bin_months(months: float) -> int:
    """Months rounded to the bin, halves up, at least one bin."""
    return max(1, math.floor(months / BIN_MONTHS + 0.5)) * BIN_MONTHS
