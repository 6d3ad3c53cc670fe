"""Intervals of the AUC: coverage, clusters, differences, and the ends of the scale."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.auc_coverage import coverage, draw
from ldae.statistics.auc import auc_difference, auc_interval, measure_interval
from ldae.statistics.bootstrap import subject_bootstrap
from ldae.statistics.measures import weighted_auc

N_SAMPLES = 500
SLACK = 0.03
"""Three standard errors of a coverage of 0.95 over the samples."""


def values_of(seed: int, n: int = 40, visits: int = 1) -> tuple[np.ndarray, np.ndarray]:
    return draw(np.random.default_rng(seed), n, (0.85, 0.75), visits)


@pytest.mark.parametrize(
    ("aucs", "n_subjects", "visits"),
    [((0.95,), 40, 1), ((0.9,), 80, 4), ((0.9, 0.8), 40, 4)],
)
def test_intervals_cover_what_they_say(
    aucs: tuple[float, ...], n_subjects: int, visits: int
) -> None:
    """The percentile bootstrap covers 0.87 at the first point."""
    paired = len(aucs) == 2
    interval = auc_difference if paired else auc_interval
    found = coverage(
        lambda values, subjects: interval(values, subjects)[1:],
        aucs[0] - aucs[1] if paired else aucs[0],
        N_SAMPLES,
        seed=3,
        sample=lambda rng: draw(rng, n_subjects, aucs, visits),
    )
    assert 0.95 - SLACK <= found <= 0.95 + SLACK


def test_variance_is_delongs_with_one_scan_per_subject() -> None:
    values, subjects = values_of(0)
    value, low, high = auc_interval(values[:, :2], subjects)
    case, control = values[values[:, 0] == 1, 1], values[values[:, 0] == 0, 1]
    wins = case[:, None] > control
    variance = wins.mean(1).var(ddof=1) / len(case) + wins.mean(0).var(ddof=1) / len(control)
    centre, ends = np.log(value / (1 - value)), np.log([low / (1 - low), high / (1 - high)])
    error = np.sqrt(variance) / (value * (1 - value))
    np.testing.assert_allclose(ends.mean(), centre)
    assert 1.96 < (ends[1] - centre) / error < 2.09, "quantiles of t with 19 and more degrees"


def test_copies_of_scans_add_nothing() -> None:
    values, subjects = values_of(1)
    for interval, columns in ((auc_interval, [0, 1]), (auc_difference, [0, 1, 2])):
        once = interval(values[:, columns], subjects)
        again = interval(np.repeat(values[:, columns], 3, axis=0), np.repeat(subjects, 3))
        np.testing.assert_allclose(once, again)


def test_subjects_with_scans_of_both_classes_count_once() -> None:
    """Half of the controls become cases: the interval is near the bootstrap's over subjects."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(60), 2).astype(str)
    target = np.tile([0.0, 1.0], 60)
    target[:60] = 0
    score = np.repeat(rng.normal(size=60), 2) + target + 0.5 * rng.normal(size=120)
    values = np.column_stack([target, score])
    _, low, high = auc_interval(values, subjects)
    _, other_low, other_high = subject_bootstrap(values, subjects, weighted_auc, 2000, 0)
    assert (high - low) / (other_high - other_low) == pytest.approx(1, abs=0.1)


def test_perfect_separation_is_no_certainty() -> None:
    values = np.column_stack([np.repeat([0.0, 1.0], 10), np.arange(20.0), np.arange(20.0)])
    subjects = np.arange(20).astype(str)
    value, low, high = auc_interval(values[:, :2], subjects)
    assert value == high == 1 and 0.8 < low < 0.95
    mirrored = auc_interval(values[:, :2] * [1, -1], subjects)
    np.testing.assert_allclose(mirrored, (0, 1 - high, 1 - low), atol=1e-6)
    gain, low, high = auc_difference(values, subjects)
    assert gain == 0 and low < -0.05 and high > 0.05, "two perfect methods may still differ"


@pytest.mark.parametrize(
    ("target", "known"), [([0, 0, 0], False), ([1, 1, 1], False), ([0, 1, 1], True)]
)
def test_few_or_no_subjects_of_a_class(target: list[int], known: bool) -> None:
    found = auc_interval(np.column_stack([target, [0.1, 0.2, 0.3]]), ["a", "b", "c"])
    assert np.isfinite(found).all() == known
    assert np.isnan(found).all() != known


def test_trainings_that_differ_widen_the_interval_and_their_mean_is_the_value() -> None:
    values, subjects = values_of(2)
    runs = np.repeat([0, 1], len(subjects))
    alike = np.concatenate([values[:, :2], values[:, :2]])
    apart = np.concatenate([values[:, [0, 1]], values[:, [0, 2]]])
    both = np.concatenate([subjects, subjects])
    one = auc_interval(values[:, :2], subjects)
    np.testing.assert_allclose(auc_interval(alike, both, runs), one)
    found = auc_interval(apart, both, runs)
    assert found[0] == pytest.approx((one[0] + auc_interval(values[:, [0, 2]], subjects)[0]) / 2)
    assert found[2] - found[1] > one[2] - one[1]


def test_other_measures_keep_the_bootstrap() -> None:
    values, subjects = values_of(4)
    error = lambda v, w: (w @ np.abs(v[:, 0] - v[:, 1])) / w.sum(1)  # noqa: E731
    expected = subject_bootstrap(values[:, :2], subjects, error, 50, 0)
    assert measure_interval(values[:, :2], subjects, error, 50, 0) == expected
    assert measure_interval(values[:, :2], subjects, weighted_auc, 50, 0) == auc_interval(
        values[:, :2], subjects
    )
