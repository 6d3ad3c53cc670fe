"""Confidence intervals of areas under the ROC curve (AUC), and of their paired differences.

A percentile bootstrap of a high AUC covers too little: an AUC cannot exceed 1, and a sample that is
separated well has nothing but well separated replicates. The intervals here are analytic. They
start from the components of DeLong et al. (1988), added up over the scans of a subject (Obuchowski
1997), so that scans of one subject are not counted as independent. ``benchmarks/auc_coverage.py``
simulates the coverage of these intervals and of their alternatives (docs/explanation/evaluation.md,
with the results).

* One AUC: the variance is taken to the logit scale, where the interval stays within 0 and 1, with
  a quantile of Student's t (degrees of freedom of Welch and Satterthwaite). Where this variance is
  zero or unknown (perfect separation, or a class of one subject), the interval is the score-type
  one of Newcombe (2006, method 5), with subjects for scans.
* A difference of two AUCs on the same subjects: recovered from both single intervals and their
  correlation (MOVER; Zou & Donner 2008), which keeps their skewness.

With several training seeds, the components are means over the seeds, and the variance between the
seeds, divided by their number, is added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student

from ldae.statistics.bootstrap import CONFIDENCE, subject_bootstrap
from ldae.statistics.measures import weighted_auc

UPPER_TAIL = (1 + CONFIDENCE) / 2
NEAR = 1e-9
"""Distance from the ends of a bracket, where the functions whose roots are sought vanish."""

Interval = tuple[float, float, float]
"""Value, lower and upper limit."""


@dataclass(frozen=True)
class _Components:
    """What an AUC's variance is made of.

    Attributes
    ----------
    value
        The AUC, mean over the seeds.
    of_cases, of_controls
        Deviation of each subject's scans of either class, (n_subjects,); 0 without such scans. The
        AUC deviates from the population's by their sums.
    n_cases, n_controls
        Number of subjects with scans of either class.
    of_seeds
        AUC of each seed, (n_seeds,).
    """

    value: float
    of_cases: np.ndarray
    of_controls: np.ndarray
    n_cases: int
    n_controls: int
    of_seeds: np.ndarray

    def covariance(self, other: _Components) -> float:
        """Covariance of two AUCs of the same subjects and seeds; NaN with one subject of a class.

        A subject with scans of both classes adds to both sums, hence the products between them.
        """
        if min(self.n_cases, self.n_controls) < 2:
            return float("nan")
        case, control, between = self._terms(other)
        crossed = self.of_cases @ other.of_controls + self.of_controls @ other.of_cases
        return float(case + control + between + crossed)

    def degrees_of_freedom(self) -> float:
        """Of the variance, by Welch and Satterthwaite."""
        terms = np.array(self._terms(self))
        free = np.array([self.n_cases - 1, self.n_controls - 1, max(len(self.of_seeds) - 1, 1)])
        return float(terms.sum() ** 2 / (terms**2 / free).sum())

    def _terms(self, other: _Components) -> tuple[float, float, float]:
        """Shares of cases, controls and seeds in a covariance."""
        n_seeds = len(self.of_seeds)
        between = 0.0
        if n_seeds > 1:
            between = float(np.cov(self.of_seeds, other.of_seeds)[0, 1] / n_seeds)
        case, control = self.n_cases, self.n_controls
        return (
            float(case / (case - 1) * (self.of_cases @ other.of_cases)),
            float(control / (control - 1) * (self.of_controls @ other.of_controls)),
            between,
        )


def measure_interval(
    values: np.ndarray,
    subjects: Sequence[str] | np.ndarray,
    measure: Callable[[np.ndarray, np.ndarray], np.ndarray],
    n_bootstrap: int,
    seed: int,
    runs: np.ndarray | None = None,
) -> Interval:
    """Value and 95 % interval of any measure of predictions (:mod:`ldae.statistics.measures`).

    The AUC has the interval of this module, every other measure that of
    :func:`ldae.statistics.bootstrap.subject_bootstrap`.

    Parameters
    ----------
    values, subjects, runs
        As for :func:`auc_interval`.
    measure
        One of ``MEASURES``.
    n_bootstrap, seed
        Replicates, and their seed.
    """
    if measure is weighted_auc:
        return auc_interval(values, subjects, runs)
    return subject_bootstrap(values, subjects, measure, n_bootstrap, seed, runs)


def auc_interval(
    values: np.ndarray, subjects: Sequence[str] | np.ndarray, runs: np.ndarray | None = None
) -> Interval:
    """AUC and its 95 % interval over subjects (and training seeds): (value, low, high).

    Parameters
    ----------
    values
        Pairs of target (1 for a case, else 0) and prediction, (N, 2).
    subjects
        Subject of each row, (N,).
    runs
        Training seed of each row, (N,); None for a single seed.

    Returns
    -------
    tuple of float
        All NaN if a class is absent.
    """
    part = _components(np.asarray(values, float), subjects, runs)
    return part.value, *_limits(part)


def auc_difference(
    values: np.ndarray, subjects: Sequence[str] | np.ndarray, runs: np.ndarray | None = None
) -> Interval:
    """Difference of two AUCs of the same scans, the first minus the second, with its interval.

    Parameters
    ----------
    values
        Target, first and second prediction, (N, 3).
    subjects, runs
        As for :func:`auc_interval`.
    """
    values = np.asarray(values, float)
    ours = _components(values[:, [0, 1]], subjects, runs)
    theirs = _components(values[:, [0, 2]], subjects, runs)
    low, high = _limits(ours)
    other_low, other_high = _limits(theirs)
    both = ours.covariance(ours) * theirs.covariance(theirs)
    correlation = ours.covariance(theirs) / np.sqrt(both) if both > 0 else 0.0
    value = ours.value - theirs.value

    def reach(one: float, other: float) -> float:
        """Distance of a limit, from the distances of the single limits that it is made of."""
        squared = one**2 + other**2 - 2 * correlation * one * other
        return float(np.sqrt(np.maximum(squared, 0)))

    return (
        value,
        value - reach(ours.value - low, other_high - theirs.value),
        value + reach(high - ours.value, theirs.value - other_low),
    )


def _components(
    values: np.ndarray, subjects: Sequence[str] | np.ndarray, runs: np.ndarray | None
) -> _Components:
    """Components of an AUC, summed over the scans of a subject and averaged over the seeds."""
    names, index = np.unique(np.asarray(subjects, str), return_inverse=True)
    labels = np.zeros(len(values)) if runs is None else np.asarray(runs)
    positive = values[:, 0] == 1
    if len(values) == 0 or positive.all() or not positive.any():
        nothing = np.zeros(len(names))
        return _Components(float("nan"), nothing, nothing, 0, 0, np.array([np.nan]))
    of_seeds, cases, controls = [], [], []
    for run in np.unique(labels):
        rows, at = values[labels == run], index[labels == run]
        is_case = rows[:, 0] == 1
        auc = float(weighted_auc(rows, np.ones((1, len(rows))))[0])
        case, control = rows[is_case, 1], rows[~is_case, 1]
        wins = (case[:, None] > control) + 0.5 * (case[:, None] == control)
        won, lost = wins.mean(1) - auc, wins.mean(0) - auc
        cases.append(np.bincount(at[is_case], won, len(names)) / len(case))
        controls.append(np.bincount(at[~is_case], lost, len(names)) / len(control))
        of_seeds.append(auc)
    return _Components(
        float(np.mean(of_seeds)),
        np.mean(cases, axis=0),
        np.mean(controls, axis=0),
        len(np.unique(index[positive])),
        len(np.unique(index[~positive])),
        np.array(of_seeds),
    )


def _limits(part: _Components) -> tuple[float, float]:
    """Limits of one AUC."""
    if not np.isfinite(part.value):
        return float("nan"), float("nan")
    variance = part.covariance(part)
    if not 0 < part.value < 1 or not variance > 0:
        return _score_limits(part.value, part.n_cases, part.n_controls)
    error = np.sqrt(variance) / (part.value * (1 - part.value))  # on the logit scale
    reach = student.ppf(UPPER_TAIL, part.degrees_of_freedom()) * error
    centre = logit(part.value)
    return float(expit(centre - reach)), float(expit(centre + reach))


def _score_limits(auc: float, n_cases: int, n_controls: int) -> tuple[float, float]:
    """AUCs from which the observed one is just as far as their own standard error allows.

    The standard error is that of Hanley & McNeil (1982), with both group sizes replaced by their
    mean in its second-order terms (Newcombe 2006).
    """
    size = (n_cases + n_controls) / 2 - 1

    def excess(true: float) -> float:
        second = size * (1 - true) / (2 - true) + size * true / (1 + true)
        variance = true * (1 - true) * (1 + second) / (n_cases * n_controls)
        return float(abs(auc - true) - norm.ppf(UPPER_TAIL) * np.sqrt(variance))

    low = brentq(excess, 0, auc - NEAR) if auc > NEAR else 0.0
    high = brentq(excess, auc + NEAR, 1) if auc < 1 - NEAR else 1.0
    return float(low), float(high)
