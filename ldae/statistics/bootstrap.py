"""Confidence intervals from a bootstrap over subjects, and over seeds where there are several.

People are drawn with replacement, never scans: a person's scans resemble each other, and an
interval that treats them as independent is too narrow.  A replicate is a vector of integer weights,
one per row, so every statistic here is a weighted statistic and all replicates are computed at
once.

Seeds are trainings of the same models on the same people.  A number over seeds is the mean of each
seed's own number; a replicate draws people once for all seeds, and seeds too.  With few seeds the
second draw is coarse (three seeds have ten distinct draws), so such an interval shows the order of
the spread between trainings, not its exact size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

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
    return _draws(len(names), n, np.random.default_rng(seed))[:, inverse]


def _draws(n_units: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `n_units` is drawn in each of `n` replicates, (n, n_units) float64."""
    share = np.full(n_units, 1 / n_units)
    return rng.multinomial(n_units, share, size=n).astype(np.float64)


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
    runs: Sequence[int] | np.ndarray | None = None,
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
    runs
        Seed of the training that each row comes from, (N,).  With more than one the statistic is
        the mean over them, and the interval is over seeds and subjects.  None is one.

    Returns
    -------
    tuple of float
        Replicates in which the statistic is undefined (a sample without patients has no AUC) are
        left out; with a single subject the interval is NaN, because nothing can be said about
        others.
    """
    values = np.asarray(values, dtype=np.float64)
    names = np.asarray(subjects, dtype=str)
    if len(values) != len(names):
        raise ValueError(f"{len(values)} values for {len(names)} subjects")
    if len(values) == 0:
        return float("nan"), float("nan"), float("nan")
    labels = np.zeros(len(values)) if runs is None else np.asarray(runs)
    if len(labels) != len(values):
        raise ValueError(f"{len(values)} values for {len(labels)} runs")
    parts = [labels == run for run in np.unique(labels)]
    value = float(np.mean([statistic(values[p], np.ones((1, p.sum())))[0] for p in parts]))
    if len(np.unique(names)) < 2:
        return value, float("nan"), float("nan")
    weights = replicate_weights(names, n, seed)
    of_runs = np.stack([statistic(values[p], weights[:, p]) for p in parts], axis=1)  # (R, runs)
    if len(parts) > 1:
        # A stream of its own: the people drawn must not depend on how many seeds there are.
        drawn = _draws(len(parts), n, np.random.default_rng([seed, len(parts)]))
        replicates = np.where(drawn > 0, of_runs * drawn, 0).sum(axis=1) / len(parts)
    else:
        replicates = of_runs[:, 0]
    replicates = replicates[np.isfinite(replicates)]
    if not np.isfinite(value) or len(replicates) == 0:
        return value, float("nan"), float("nan")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return value, float(low), float(high)


def widen_unanimous(share: float, n_subjects: int, low: float, high: float) -> tuple[float, float]:
    """Interval of a share of people; exact where all of them agree.

    There every replicate agrees too, and the bootstrap's interval is a point, however few they are:
    six people of six cannot show that it is true of 95 in a hundred.

    Parameters
    ----------
    share
        Share in [0, 1].
    n_subjects
        Number of people.
    low, high
        Interval of the bootstrap.

    Returns
    -------
    tuple of float
        The binomial interval of Clopper & Pearson (1934) for a share of 0 or 1; else the given one.
    """
    if n_subjects == 0 or share not in (0.0, 1.0):
        return low, high
    exact = binomtest(round(share * n_subjects), n_subjects).proportion_ci(CONFIDENCE, "exact")
    return float(exact.low), float(exact.high)


def summarise_scores(
    scores: pd.DataFrame,
    conditions: Sequence[str],
    n_bootstrap: int,
    seed: int,
    shares: Collection[str] = (),
) -> pd.DataFrame:
    """Mean of each metric in each condition, with intervals over subjects.

    Parameters
    ----------
    scores
        One row per measured number: subject, scan, metric, value, note and the `conditions`; also
        `seed`, where there are several trainings.  NaN values are left out; a cell without any
        number keeps its note.
    conditions
        Columns to group by; missing entries form a group of their own.
    n_bootstrap, seed
        Replicates and their seed.
    shares
        Metrics that are shares of people, see :func:`widen_unanimous`.

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
            known["value"].to_numpy(),
            known["subject"].to_numpy(str),
            n=n_bootstrap,
            seed=seed,
            runs=known["seed"].to_numpy() if "seed" in known else None,
        )
        n_subjects = known["subject"].nunique()
        if names[-1] in shares:
            low, high = widen_unanimous(value, n_subjects, low, high)
        notes = [note for note in cell["note"].drop_duplicates() if note]
        rows.append(
            {
                **dict(zip(keys, names, strict=True)),
                "value": value,
                "ci_low": low,
                "ci_high": high,
                "n_subjects": n_subjects,
                "n_scans": known["scan"].nunique(),
                "note": "; ".join(notes),
            }
        )
    columns = [*keys, "value", "ci_low", "ci_high", "n_subjects", "n_scans", "note"]
    return pd.DataFrame(rows, columns=columns)
