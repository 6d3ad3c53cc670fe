"""Probes learn from training participants only, and their measures are scikit-learn's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from ldae.data.diagnoses import Diagnoses
from ldae.evaluation.probes.fitting import (
    Probe,
    fit_probe,
    fit_probes,
    resample_probe,
)
from ldae.evaluation.probes.groups import subject_weights
from ldae.evaluation.probes.tables import roc_curve, tabulate_probes
from ldae.methods import METHODS, Methods
from ldae.statistics.measures import AD_VS_CN, AGE, MEASURES, SEX

STUDY = Methods(METHODS)

GRIDS: dict[str, Any] = {
    "c_grid": [0.01, 0.1, 1.0], "alpha_grid": [1.0, 10.0, 100.0], "n_folds": 4, "seed": 0,
    "outer_folds": None, "diagnoses": Diagnoses("AD", "CN"),
}  # fmt: skip


def cohort(seed: int = 0, n_subjects: int = 90) -> tuple[np.ndarray, pd.DataFrame]:
    """Codes whose first entries carry diagnosis and age, two scans per participant."""
    rng = np.random.default_rng(seed)
    sick = np.arange(n_subjects) % 2
    age = rng.uniform(55, 90, n_subjects)
    split = np.array(["train", "train", "train", "val", "test"])[np.arange(n_subjects) // 2 % 5]
    index = pd.DataFrame(
        {
            "subject": [f"sub-{i:03d}" for i in range(n_subjects)],
            "diagnosis": np.where(sick, "AD", "CN"),
            "age": age,
            "sex": np.array(["F", "M"])[np.arange(n_subjects) // 2 % 2],
            "split": split,
        }
    )
    index = index.loc[index.index.repeat(2)].reset_index(drop=True)
    index["scan"] = [f"{s}_{i % 2}" for i, s in enumerate(index["subject"])]
    codes = rng.normal(size=(len(index), 6))
    codes[:, 0] += 2 * np.repeat(sick, 2)
    codes[:, 1] = (np.repeat(age, 2) - 70) / 8 + 0.3 * codes[:, 1]
    codes[:, 5] = 3.0  # a dead unit
    return codes, index


def test_probes_find_what_is_there() -> None:
    codes, index = cohort()
    probes, predictions = fit_probes(codes, index, **GRIDS)
    assert set(probes) == {AD_VS_CN, AGE, SEX}
    table = tabulate_probes({"ldae": predictions}, cohort="toy", seed=0, n_bootstrap=200)
    test = table[table["split"] == "test"].set_index(["task", "metric"])
    assert test.loc[(AD_VS_CN, "roc_auc"), "value"] > 0.85
    assert test.loc[(AGE, "mae"), "value"] < 4
    assert (test["ci_low"] <= test["value"]).all() and (test["value"] <= test["ci_high"]).all()
    # Patients are the positive class: a higher response is a sicker scan.
    assert probes[AD_VS_CN]["weights"][0] > 0
    assert json.loads(json.dumps(probes)) == probes


def test_locked_test_participants_are_neither_predicted_nor_in_a_fold() -> None:
    codes, index = cohort(n_subjects=40)
    options = GRIDS | {"n_folds": 2, "outer_folds": 2}
    probes, every = fit_probes(codes, index, **options)
    locked, shown = fit_probes(codes, index, **options, scored="val")
    assert locked == probes, "the probes learn from training participants in any case"
    test = set(index["subject"][index["split"] == "test"])
    assert test <= set(every["subject"]) and not test & set(shown["subject"])
    assert set(shown["split"]) == {"train", "val", "cv"}
    both = [f[f["split"] == "val"].reset_index(drop=True) for f in (every, shown)]
    pd.testing.assert_frame_equal(*both)


@pytest.mark.parametrize("task", [AD_VS_CN, AGE])
def test_resampled_probes_scatter_around_the_probe(task: str) -> None:
    """Less with more participants."""
    spread = []
    for n_subjects in (60, 240):
        codes, index = cohort(n_subjects=n_subjects)
        subjects = index["subject"].to_numpy(str)
        target = (index["diagnosis"] == "AD").to_numpy(float)
        target = target if task == AD_VS_CN else index["age"].to_numpy(float)
        grid = [0.1] if task == AD_VS_CN else [1.0]
        probe = fit_probe(codes, target, subjects, task, grid, 3, 0)
        rng = np.random.default_rng(0)
        fitted = resample_probe(codes, target, subjects, probe, 40, rng)
        assert fitted.shape == (40, 7)
        own = np.append(probe.weights, probe.intercept)
        error = fitted.std(0).max()
        assert np.abs(fitted.mean(0) - own).max() < error
        spread.append(error / np.linalg.norm(probe.weights))
    assert spread[1] < 0.7 * spread[0]


def test_no_test_or_validation_row_changes_any_fitted_statistic() -> None:
    codes, index = cohort()
    reference_probes, _ = fit_probes(codes, index, **GRIDS)
    held_out = (index["split"] != "train").to_numpy()
    codes[held_out] = 1e6
    index.loc[held_out, "age"] = 20.0
    index.loc[held_out, "diagnosis"] = "AD"
    changed, _ = fit_probes(codes, index, **GRIDS)
    assert changed == reference_probes


def test_a_subject_in_two_splits_stops() -> None:
    codes, index = cohort()
    index.loc[0, "split"] = "test"
    with pytest.raises(ValueError, match="two splits"):
        fit_probes(codes, index, **GRIDS)


def test_probe_survives_json_and_scores_by_its_weights() -> None:
    codes, index = cohort()
    probes, predictions = fit_probes(codes, index, **GRIDS)
    probe = Probe.from_dict(json.loads(json.dumps(probes[AGE])))
    standardised = (codes - probe.mean) / probe.std
    np.testing.assert_allclose(probe.predict(codes), standardised @ probe.weights + probe.intercept)
    age = predictions[predictions["task"] == AGE]
    np.testing.assert_allclose(age["prediction"], probe.predict(codes))


def test_scans_of_a_participant_count_once() -> None:
    codes, index = cohort()
    target = index["age"].to_numpy()
    subjects = index["subject"].to_numpy(str)
    copies = np.append(np.arange(len(index)), np.zeros(50, int))
    # both scans of the first participant, 50 times more
    copies = np.append(copies, np.ones(50, int))
    weights = subject_weights(subjects[copies])
    assert weights[subjects[copies] == subjects[0]].sum() == pytest.approx(1)
    args = (AGE, [10.0], 3, 0)
    once = fit_probe(codes, target, subjects, *args)
    often = fit_probe(codes[copies], target[copies], subjects[copies], *args)
    # Only the standardisation sees the copies, not the solution it describes.
    assert abs(once.predict(codes) - often.predict(codes)).mean() < 0.5


def test_measures_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 80).astype(float)
    score = np.round(np.clip(target * 0.3 + rng.uniform(0, 0.7, 80), 0, 1), 1)  # with ties
    ones = np.ones((1, 80))
    called = score >= 0.5
    expected = {
        "roc_auc": reference.roc_auc_score(target, score),
        "accuracy": reference.accuracy_score(target, called),
        "balanced_accuracy": reference.balanced_accuracy_score(target, called),
        "sensitivity": reference.recall_score(target, called),
        "specificity": reference.recall_score(target, called, pos_label=0),
        "precision": reference.precision_score(target, called),
        "f1": reference.f1_score(target, called),
        "precision_cn_positive": reference.precision_score(target, called, pos_label=0),
        "recall_cn_positive": reference.recall_score(target, called, pos_label=0),
        "f1_cn_positive": reference.f1_score(target, called, pos_label=0),
        "mcc": reference.matthews_corrcoef(target, called),
    }
    values = np.column_stack([target, score])
    for name, measure in MEASURES[AD_VS_CN].items():
        assert measure(values, ones)[0] == pytest.approx(expected[name]), name
    years = rng.uniform(50, 90, 80)
    guess = years + rng.normal(size=80)
    values = np.column_stack([years, guess])
    assert MEASURES[AGE]["r2"](values, ones)[0] == pytest.approx(reference.r2_score(years, guess))
    assert MEASURES[AGE]["rmse"](values, ones)[0] == pytest.approx(
        reference.root_mean_squared_error(years, guess)
    )


def test_weighted_measures_equal_repeated_rows() -> None:
    rng = np.random.default_rng(1)
    values = np.column_stack([np.repeat([0.0, 1.0], 10), rng.uniform(size=20)])
    counts = rng.integers(0, 4, 20)
    repeated = values[np.repeat(np.arange(20), counts)]
    for measure in MEASURES[AD_VS_CN].values():
        assert measure(values, counts[None].astype(float))[0] == pytest.approx(
            measure(repeated, np.ones((1, len(repeated))))[0]
        )


def test_roc_curve_ends_in_the_corners_and_has_its_area() -> None:
    rng = np.random.default_rng(2)
    target = np.repeat([0.0, 1.0], 30)
    score = target + rng.normal(size=60)
    curve = roc_curve(target, score)
    assert curve.iloc[0].tolist() == [0, 0] and curve.iloc[-1].tolist() == [1, 1]
    area = np.trapezoid(curve["sensitivity"], curve["false_positive_rate"])
    assert area == pytest.approx(reference.roc_auc_score(target, score))


def test_everyone_is_predicted_once_by_probes_of_others() -> None:
    codes, index = cohort()
    _, predictions = fit_probes(codes, index, **(GRIDS | {"outer_folds": 5}))
    crossed = predictions[(predictions["split"] == "cv") & (predictions["task"] == AGE)]
    assert sorted(crossed["scan"]) == sorted(index["scan"])
    # A code that is each participant's own label, and noise to others, must not help.
    own = np.zeros((len(index), len(index) // 2))
    own[np.arange(len(index)), np.arange(len(index)) // 2] = 1
    _, leaking = fit_probes(own, index, **(GRIDS | {"outer_folds": 5}))
    rows = leaking[(leaking["split"] == "cv") & (leaking["task"] == AGE)]
    error = np.abs(rows["target"] - rows["prediction"]).mean()
    assert error > 0.9 * np.abs(index["age"] - index["age"].mean()).mean()


def test_cohort_without_patients_has_the_age_task_only() -> None:
    codes, index = cohort()
    index["diagnosis"] = ""
    probes, predictions = fit_probes(codes, index, **GRIDS)
    assert set(probes) == {AGE, SEX} and set(predictions["task"]) == {AGE, SEX}
