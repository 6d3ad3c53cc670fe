"""The bootstrap draws people, is reproducible, and is paired."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from ldae.bootstrap import replicate_weights, subject_bootstrap, summarise_scores
from ldae.probes import weighted_auc


def test_rows_of_a_subject_are_drawn_together() -> None:
    weights = replicate_weights(["a", "a", "b", "c"], 50, seed=1)
    assert weights.shape == (50, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, [0, 2, 3]].sum(1), 3)


def test_same_seed_same_interval_other_seed_another() -> None:
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


def test_interval_covers_the_mean_as_often_as_it_says() -> None:
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


def test_summary_counts_people_and_keeps_the_reason_of_an_empty_cell() -> None:
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
