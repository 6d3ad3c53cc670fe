"""Confidence intervals from a bootstrap over subjects.

People are drawn with replacement, never scans: a person's scans resemble each other, and an
interval that treats them as independent is too narrow.  A replicate is a vector of integer weights,
one per row, so every statistic here is a weighted statistic and all replicates are computed at
once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
"""Coverage of the percentile interval (Efron & Tibshirani 1993, chapter 13)."""

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Maps values (N,) or (N, k) and weights (R, N) to one number per replicate, (R,)."""


def replicate_weights(subjects: Sequence[str] | np.ndarray, n: int, seed: int) -> np.ndarray:
    """How often each row counts in each replicate, (n, N) float64.

    Parameters
    ----------
    subjects
        Subject of each row, (N,); all rows of one subject are drawn together.
    n
        Number of replicates, at least 1.
    seed
        The weights depend on the set of subjects and on the seed only, so that two methods measured
        on the same people are compared on the same replicates (a paired bootstrap).
    """
    names, inverse = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    if n < 1 or len(names) == 0:
        raise ValueError(f"need replicates and subjects, got {n} and {len(names)}")
    rng = np.random.default_rng(seed)
    share = np.full(len(names), 1 / len(names))
    return rng.multinomial(len(names), share, size=n).astype(np.float64)[:, inverse]


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of `values` (N,) under each row of `weights` (R, N); NaN where all weights are zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ values) / weights.sum(axis=1)


def subject_bootstrap(
    values: np.ndarray,
    subjects: Sequence[str] | np.ndarray,
    statistic: Statistic = weighted_mean,
    n: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Statistic and its 95 % percentile interval over subjects: (value, low, high).

    Parameters
    ----------
    values
        One entry per row, (N,), or one row of entries, (N, k).  For a paired difference pass the
        differences, or both columns and a statistic of both.
    subjects
        Subject of each row, (N,).
    statistic
        Weighted statistic; called with weights of ones for the value itself.
    n, seed
        As for :func:`replicate_weights`.

    Returns
    -------
    tuple of float
        Replicates in which the statistic is undefined (a sample without patients has no AUC) are
        left out; with a single subject the interval is NaN, because nothing can be said about
        others.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) != len(subjects):
        raise ValueError(f"{len(values)} values for {len(subjects)} subjects")
    if len(values) == 0:
        return float("nan"), float("nan"), float("nan")
    value = float(statistic(values, np.ones((1, len(values))))[0])
    if len(set(subjects)) < 2:
        return value, float("nan"), float("nan")
    replicates = statistic(values, replicate_weights(subjects, n, seed))
    replicates = replicates[np.isfinite(replicates)]
    if not np.isfinite(value) or len(replicates) == 0:
        return value, float("nan"), float("nan")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return value, float(low), float(high)


def summarise_scores(
    scores: pd.DataFrame, conditions: Sequence[str], n_bootstrap: int, seed: int
) -> pd.DataFrame:
    """Mean of each metric in each condition, with intervals over subjects.

    Parameters
    ----------
    scores
        One row per measured number: subject, scan, metric, value, note and the `conditions`.
        NaN values are left out; a cell without any number keeps its note.
    conditions
        Columns to group by; missing entries form a group of their own.

    Returns
    -------
    pandas.DataFrame
        conditions, metric, value, ci_low, ci_high, n_subjects, n_scans, note; in order of
        appearance.
    """
    keys = [*conditions, "metric"]
    rows = []
    for names, cell in scores.groupby(keys, sort=False, dropna=False):
        known = cell[cell["value"].notna()]
        value, low, high = subject_bootstrap(
            known["value"].to_numpy(), known["subject"].to_numpy(str), n=n_bootstrap, seed=seed
        )
        notes = [note for note in cell["note"].drop_duplicates() if note]
        rows.append(
            {
                **dict(zip(keys, names, strict=True)),
                "value": value,
                "ci_low": low,
                "ci_high": high,
                "n_subjects": known["subject"].nunique(),
                "n_scans": known["scan"].nunique(),
                "note": "; ".join(notes),
            }
        )
    columns = [*keys, "value", "ci_low", "ci_high", "n_subjects", "n_scans", "note"]
    return pd.DataFrame(rows, columns=columns)
