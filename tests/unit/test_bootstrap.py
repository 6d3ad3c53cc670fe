"""The bootstrap draws subjects, is reproducible, and is paired."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from ldae.statistics.bootstrap import replicate_weights, subject_bootstrap, summarise_scores
from ldae.statistics.measures import weighted_auc


def test_rows_of_a_subject_are_drawn_together() -> None:
    weights = replicate_weights(["a", "a", "b", "c"], 50, seed=1)
    assert weights.shape == (50, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, [0, 2, 3]].sum(1), 3)


def test_interval_depends_on_the_seed_alone() -> None:
    values = np.random.default_rng(0).normal(size=40)
    subjects = np.repeat(np.arange(20), 2).astype(str)
    first = subject_bootstrap(values, subjects, n=200, seed=3)
    assert first == subject_bootstrap(values, subjects, n=200, seed=3)
    assert first[1:] != subject_bootstrap(values, subjects, n=200, seed=4)[1:]
    assert first[1] < first[0] < first[2]


def test_duplicated_scans_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(0).normal(size=30)
    subjects = np.arange(30).astype(str)
    once = subject_bootstrap(values, subjects, seed=0)
    tenfold = subject_bootstrap(np.repeat(values, 10), np.repeat(subjects, 10), seed=0)
    np.testing.assert_allclose(once, tenfold)


def test_interval_has_its_nominal_coverage() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for repeat in range(200):
        _, low, high = subject_bootstrap(
            rng.normal(size=60), np.arange(60).astype(str), n=400, seed=repeat
        )
        covered += low <= 0 <= high
    assert 0.89 <= covered / 200 <= 0.99


def test_auc_of_a_hundred_scans_is_fast_and_bounded() -> None:
    rng = np.random.default_rng(0)
    target = np.repeat([0.0, 1.0], 50)
    values = np.column_stack([target, target + rng.normal(size=100)])
    start = time.process_time()
    value, low, high = subject_bootstrap(values, np.arange(100).astype(str), weighted_auc, 1000, 0)
    assert time.process_time() - start < 1
    assert 0.5 < low < value < high <= 1


def test_one_subject_has_no_interval_and_no_rows_no_value() -> None:
    value, low, high = subject_bootstrap(np.array([1.0, 3.0]), ["a", "a"])
    assert value == 2 and np.isnan(low) and np.isnan(high)
    assert np.isnan(subject_bootstrap(np.array([]), [])[0])


def test_summary_counts_subjects_and_keeps_the_note_of_an_empty_group() -> None:
    scores = pd.DataFrame(
        {
            "subject": ["a", "a", "b", "a"],
            "scan": ["a1", "a2", "b1", "a1"],
            "steps": [10, 10, 10, 10],
            "metric": ["mse", "mse", "mse", "lpips"],
            "value": [1.0, 2.0, 6.0, np.nan],
            "note": ["", "", "", "no weights"],
        }
    )
    summary = summarise_scores(scores, ["steps"], 100, 0).set_index("metric")
    assert summary.loc["mse", "value"] == 3
    assert summary.loc["mse", ["n_subjects", "n_scans"]].tolist() == [2, 3]
    assert np.isnan(summary.loc["lpips", "value"])
    assert summary.loc["lpips", "note"] == "no weights"


def test_seeds_are_averaged_and_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    subjects = np.arange(40).astype(str)
    by_subject = rng.normal(size=40)
    values, names, runs = [], [], []
    for seed, shift in ((0, -1.0), (1, 0.0), (2, 1.0)):
        values.append(by_subject + shift)
        names.append(subjects)
        runs.append(np.full(40, seed))
    many = subject_bootstrap(
        np.concatenate(values), np.concatenate(names), runs=np.concatenate(runs), seed=0
    )
    one = subject_bootstrap(by_subject, subjects, seed=0)
    assert many[0] == pytest.approx(one[0])
    assert many[2] - many[1] > 1.5 * (one[2] - one[1])
    # Seeds with equal results do not widen the interval, and neither does a single seed.
    same = subject_bootstrap(
        np.tile(by_subject, 3), np.tile(subjects, 3), runs=np.repeat([0, 1, 2], 40), seed=0
    )
    np.testing.assert_allclose(same, one)
    assert subject_bootstrap(by_subject, subjects, runs=np.full(40, 7), seed=0) == one


def test_an_interval_over_seeds_covers_the_mean_over_trainings() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for repeat in range(150):
        by_subject, trainings = rng.normal(size=30), rng.normal(size=8)
        values = (by_subject[None] + trainings[:, None]).ravel()
        _, low, high = subject_bootstrap(
            values, np.tile(np.arange(30).astype(str), 8), n=300, seed=repeat,
            runs=np.repeat(np.arange(8), 30),
        )  # fmt: skip
        covered += low <= 0 <= high
    assert 0.84 <= covered / 150 <= 1.0


def test_value_over_seeds_is_the_mean_of_their_values() -> None:
    target = np.tile([0.0, 1.0], 20)
    good, bad = target.copy(), 1 - target
    values = np.column_stack([np.tile(target, 2), np.concatenate([good, bad])])
    subjects = np.tile(np.arange(40).astype(str), 2)
    value, low, high = subject_bootstrap(
        values, subjects, weighted_auc, 200, 0, runs=np.repeat([0, 1], 40)
    )
    # Pooled scores would give an AUC of 0.5 too, but without variation between the seeds.
    assert (value, low, high) == (0.5, 0.0, 1.0)
