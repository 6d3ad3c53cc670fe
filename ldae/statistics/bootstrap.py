"""Confidence intervals from a bootstrap over subjects and, if there are several, training seeds.

Subjects, not scans, are drawn with replacement: scans of a subject resemble each other, and an
interval that treats them as independent is too narrow. A replicate is a vector of integer weights,
one per row. Every statistic is therefore a weighted statistic, and all replicates are computed at
once.

Seeds are repeated trainings of a model on the same subjects. A result over several seeds is the
mean of the results of the seeds. Each replicate draws subjects, the same for all seeds, and draws
seeds. With few seeds the second draw is coarse (three seeds have ten distinct draws), so the
interval shows only the order of magnitude of the variation between trainings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

CONFIDENCE = 0.95
"""Coverage of the percentile interval (Efron & Tibshirani 1993, chapter 13)."""

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Function of values (N,) or (N, k) and weights (R, N) with a number per replicate, (R,)."""


def replicate_weights(subjects: Sequence[str] | np.ndarray, n: int, seed: int) -> np.ndarray:
    """Weight of each row in each replicate, (n, N) float64: how often its subject was drawn.

    Parameters
    ----------
    subjects
        Subject of each row, (N,); all rows of one subject are drawn together.
    n
        Number of replicates, at least 1.
    seed
        Seed of the draws. The weights depend only on the set of subjects and on this seed, so that
        two methods evaluated on the same subjects are compared on the same replicates (a paired
        bootstrap).

    Raises
    ------
    ValueError
        If there are no replicates or no subjects.
    """
    names, inverse = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    if n < 1 or len(names) == 0:
        raise ValueError(f"need replicates and subjects, got {n} and {len(names)}")
    return _draws(len(names), n, np.random.default_rng(seed))[:, inverse]


def _draws(n_units: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Counts (n, n_units), float64, of how often each unit is drawn in each of n replicates."""
    share = np.full(n_units, 1 / n_units)
    return rng.multinomial(n_units, share, size=n).astype(np.float64)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean (R,) of `values` (N,) for each row of `weights` (R, N); NaN if all weights are zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weights @ values) / weights.sum(axis=1))


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
        One entry per row, (N,), or several, (N, k). For a paired difference, pass the differences,
        or both columns and a statistic of both.
    subjects
        Subject of each row, (N,).
    statistic
        Weighted statistic; it is called with unit weights for the value itself.
    n, seed
        See :func:`replicate_weights`.
    runs
        Training seed of each row, (N,). With several seeds, the value is the mean over the seeds,
        and the interval is over seeds and subjects. None for a single seed.

    Returns
    -------
    tuple of float
        Value and interval. Replicates in which the statistic is undefined are left out (for
        example, the AUC of a sample without patients). The interval is NaN if there is only one
        subject, which allows no statement about others.

    Raises
    ------
    ValueError
        If the lengths of the arguments differ.
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
        # A separate random stream: the draw of subjects must not depend on the number of seeds.
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
    """Interval of a share of subjects; exact if all subjects have the same outcome.

    If every subject has the same outcome, so has every replicate, and the bootstrap interval
    collapses to a point. The exact interval does not: with 6 of 6 subjects its lower limit is 0.54.

    Parameters
    ----------
    share
        Share in [0, 1].
    n_subjects
        Number of subjects.
    low, high
        Bootstrap interval.

    Returns
    -------
    tuple of float
        The binomial interval of Clopper & Pearson (1934) for a share of 0 or 1; else `low, high`.
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
    """Mean of each metric for each condition, with intervals over subjects.

    Parameters
    ----------
    scores
        One row per score: subject, scan, metric, value, note and the `conditions`; also `seed` if
        there are several trainings. NaN values are left out; a group without any value keeps its
        note.
    conditions
        Columns to group by; missing entries form a separate group.
    n_bootstrap, seed
        Number of replicates, and their seed.
    shares
        Metrics that are shares of subjects, see :func:`widen_unanimous`.

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
