"""Scores survive their file, and comparisons and claims say what the scores say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ldae.conclusions.claims import tabulate_claims
from ldae.conclusions.comparison import compare_methods
from ldae.errors import InputError
from ldae.methods import METHODS, Methods, Role
from ldae.statistics.scores import (
    BEST_IN_TRAINING,
    mean_ratio,
    read_scores,
    score_columns,
    tabulate_scores,
    write_scores,
)
from ldae.statistics.tables import table_columns, tidy
from ldae.workflow.config import complete_config

STUDY = Methods(METHODS)


def interpolation_scores(seed: int = 0, gain: float = 0.002) -> pd.DataFrame:
    """Squared errors of 20 participants' middle visits; the model's are smaller by `gain`."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(20):
        base = 0.01 + 0.004 * rng.normal()
        common = {
            "subject": f"p{i}", "scan": f"s{i}", "triple": i, "metric": "mse", "target": "real",
            "region": "mask", "window": 0, "gap_months": 12, "nearest_months": 6, "note": "",
        }  # fmt: skip
        for method, value in (
            ("ldae", base - gain), ("nearest_visit", base + 0.002), ("voxel_average", base),
            ("latent_average", base + 0.001), ("smoothed_average", base + 0.001),
            ("halfway_registration", base + 0.001),
        ):  # fmt: skip
            steps = 20 if method == "ldae" else 0
            rows.append(common | {"method": method, "steps": steps, "value": value})
    return pd.DataFrame(rows)


def written(folder: Path, scores: pd.DataFrame, seed: int = 0) -> Path:
    path = folder / f"interpolation-{seed}.tsv.gz"
    write_scores(scores, "interpolation", seed, "test", path)
    return path


def test_scores_are_read_back_and_equal_scores_give_equal_bytes(tmp_path: Path) -> None:
    scores = interpolation_scores()
    path = written(tmp_path, scores)
    first = path.read_bytes()
    read = read_scores([path], "interpolation")
    assert list(read.columns) == score_columns("interpolation")
    np.testing.assert_allclose(read["value"], scores["value"])
    assert read["window"].isna().all() and (read["seed"] == 0).all()
    assert read.loc[read["method"] == "ldae", "steps"].eq(20).all()
    assert read.loc[read["method"] != "ldae", "steps"].isna().all()
    assert written(tmp_path, scores).read_bytes() == first
    with pytest.raises(ValueError, match="unknown"):
        write_scores(scores.assign(colour=1), "interpolation", 0, "test", path)


def test_a_seed_is_counted_once(tmp_path: Path) -> None:
    path = written(tmp_path, interpolation_scores())
    with pytest.raises(InputError, match="another file holds"):
        read_scores([path, path], "interpolation")


def test_table_over_seeds_is_the_mean_of_theirs(tmp_path: Path) -> None:
    gains = (0.001, 0.002, 0.003)
    paths = [written(tmp_path, interpolation_scores(0, g), s) for s, g in enumerate(gains)]
    options = {"cohort": "toy", "n_bootstrap": 300, "seed": 0}
    many = tabulate_scores(read_scores(paths, "interpolation"), "interpolation", STUDY, **options)  # type: ignore[arg-type]
    one = tabulate_scores(
        read_scores(paths[1:2], "interpolation"), "interpolation", STUDY, **options
    )  # type: ignore[arg-type]
    assert list(many.columns) == table_columns("interpolation")
    trivial = many["method"].isin(list(STUDY.select(Role.TRIVIAL)))
    assert set(many.loc[~trivial, "seed"]) == {"0 1 2"} and set(one["seed"]) == {"1", "shared"}
    assert trivial.any() and set(many.loc[trivial, "seed"]) == {"shared"}

    def skill(table: pd.DataFrame) -> pd.Series:
        chosen = table["gap_months"].isna() & table["nearest_months"].isna()
        return table[chosen & (table["metric"] == "skill")].iloc[0]

    assert skill(many)["value"] == pytest.approx(skill(one)["value"], rel=1e-3)
    assert skill(many)["n_subjects"] == 20 and skill(many)["steps"] == 20
    width = [row["ci_high"] - row["ci_low"] for row in (skill(many), skill(one))]
    assert width[0] > width[1]  # three trainings that differ are worth more doubt than one


def test_skill_is_held_to_the_answer_that_was_best_in_training(tmp_path: Path) -> None:
    scores = interpolation_scores()
    scores.loc[scores["method"] == "latent_average", "note"] = BEST_IN_TRAINING
    read = read_scores([written(tmp_path, scores)], "interpolation")
    table = tabulate_scores(read, "interpolation", STUDY, cohort="toy", n_bootstrap=20, seed=0)
    row = table[(table["metric"] == "skill") & (table["gap_months"] == 12)].iloc[0]
    mse = scores.groupby("method")["value"].mean()
    assert row["value"] == pytest.approx(1 - mse["ldae"] / mse["latent_average"])
    assert row["note"] == "best trivial answer: latent_average"


def test_there_is_no_skill_where_copying_makes_no_error(tmp_path: Path) -> None:
    """Three visits that are one scan: no answer can be better, and none is judged."""
    scores = interpolation_scores()
    scores.loc[scores["method"] == "nearest_visit", "value"] = 0.0
    read = read_scores([written(tmp_path, scores)], "interpolation")
    table = tabulate_scores(read, "interpolation", STUDY, cohort="toy", n_bootstrap=20, seed=0)
    skill = table[(table["metric"] == "skill") & (table["method"] == "ldae")]
    assert len(skill) and skill[["value", "ci_low", "ci_high"]].isna().all(axis=None)
    assert set(skill["note"]) == {
        "the trivial answer nearest_visit makes no error: are visits the same scan?"
    }


def predictions() -> dict[str, pd.DataFrame]:
    """Probes of 60 participants: one method right, one at chance, one a little right."""
    rng = np.random.default_rng(0)
    target = np.tile([0.0, 1.0], 30)
    scans = {"scan": [f"s{i}" for i in range(60)], "subject": [f"p{i}" for i in range(60)]}

    def of(signal: float) -> pd.DataFrame:
        guess = signal * target + rng.normal(size=60)
        disease = pd.DataFrame(scans | {"target": target, "prediction": guess, "task": "ad_vs_cn"})
        years = 70 + 5 * rng.normal(size=60)
        guess = years + (3 - signal) * 2 * rng.choice([-1, 1], 60)
        age = pd.DataFrame(scans | {"target": years, "prediction": guess, "task": "age"})
        return pd.concat([disease, age]).assign(split="test")

    frames = {"ldae": of(2.0), "untrained": of(0.0), "voxel_pca": of(2.0)}
    for frame in frames.values():  # the targets are the participants', not the method's
        frame["prediction"] += frames["ldae"]["target"] - frame["target"]
        frame["target"] = frames["ldae"]["target"].to_numpy()
    return frames


def test_gains_are_positive_where_the_model_is_better(tmp_path: Path) -> None:
    scores = read_scores([written(tmp_path, interpolation_scores())], "interpolation")
    table = compare_methods(
        predictions(), {"interpolation": scores}, STUDY, cohort="toy", seed=0, n_bootstrap=300
    )
    assert list(table.columns) == table_columns("comparisons")
    assert set(table["method"]) == {"ldae"}
    gain = table.set_index(["metric", "against"])
    better = gain.loc[("roc_auc_gain", "untrained")]
    assert better["ci_low"] > 0 and better["n_subjects"] == 60
    equal = gain.loc[("roc_auc_gain", "voxel_pca")]
    assert equal["ci_low"] < 0 < equal["ci_high"]
    # Errors of 2 years against 6: a gain of 4.
    assert gain.loc[("mae_gain", "untrained"), "value"] == pytest.approx(4)
    assert gain.loc[("mse_gain", "voxel_average"), "value"] == pytest.approx(0.002)
    # Paired: every participant gains the same, so nothing is left to chance.
    low, high = gain.loc[("mse_gain", "voxel_average"), ["ci_low", "ci_high"]]
    assert low == pytest.approx(0.002) and high == pytest.approx(0.002)


def test_methods_must_predict_the_same_scans() -> None:
    frames = predictions()
    frames["untrained"] = frames["untrained"].iloc[1:]
    with pytest.raises(ValueError, match="different scans"):
        compare_methods(frames, {}, STUDY, cohort="toy", seed=0, n_bootstrap=10)


def test_reconstructions_meet_at_the_same_steps_and_the_autoencoder_at_all() -> None:
    rows = []
    for i in range(6):
        common = {"subject": f"p{i}", "scan": f"s{i}", "metric": "ssim", "region": "mask"}
        for steps, value in ((10, 0.8), (20, 0.9)):
            rows.append(common | {"method": "ldae", "steps": steps, "value": value})
        rows.append(common | {"method": "voxel_dae", "steps": 20, "value": 0.7})
        rows.append(common | {"method": "ldae_semantic", "steps": 20, "value": 0.1})
        rows.append(common | {"method": "autoencoder", "steps": np.nan, "value": 0.95})
    scores = pd.DataFrame(rows).assign(seed=0, split="test", window=11, note="")
    table = compare_methods(
        {}, {"reconstruction": scores}, STUDY, cohort="toy", seed=0, n_bootstrap=50
    )
    gain = table.set_index(["against", "steps"])["value"]
    assert gain["voxel_dae", 20] == pytest.approx(0.2)
    assert gain["autoencoder", 10] == pytest.approx(-0.15)
    assert gain["autoencoder", 20] == pytest.approx(-0.05)
    assert len(gain) == 3


def test_ratio_of_means_is_not_the_mean_of_ratios() -> None:
    values = np.array([[1.0, 1.0], [0.0, 3.0]])
    assert mean_ratio(values, np.ones((1, 2)))[0] == pytest.approx(0.25)
    # Only the first participant, then only one whose response falls.
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])
    ratios = mean_ratio(np.array([[-1.0, 2.0], [1.0, -3.0]]), weights)
    assert ratios[0] == pytest.approx(0.5) and np.isnan(ratios[1])


def test_claims_stand_by_both_protocols() -> None:
    probes = [
        {"method": "ldae", "task": "ad_vs_cn", "split": "test", "metric": metric, "value": 0.7}
        for metric in ("roc_auc", "sensitivity", "recall_cn_positive")
    ]
    filled = [
        {"method": "ldae", "metric": "ssim", "value": value, "target": target, "region": region}
        | {"window": window, "gap_months": gap}
        for value, target, region, window in (
            (0.97, "autoencoder", "whole", 4), (0.8, "real", "mask", 11), (0.1, "real", "mask", 3),
        )
        for gap in (12, 24)
    ]  # fmt: skip
    edits = [
        {"method": "ldae", "task": "age", "metric": "off_target_ratio", "value": 0.1}
        | {"attribute": "sex", "judge": "code"},
        {"method": "ldae", "task": "age", "metric": "identity_kept", "value": 1.0, "amount": 0.5},
    ]
    table = tabulate_claims(
        {
            "probes": tidy(probes, "probes", cohort="toy", seeds={"ldae": [0, 1]}),
            "interpolation": tidy(filled, "interpolation", cohort="toy", seeds={"ldae": [0, 1]}),
            "manipulation": tidy(edits, "manipulation", cohort="toy", seeds={"ldae": [0, 1]}),
        },
        complete_config({})["verdicts"],
    )
    assert list(table.columns) == table_columns("claims")
    paper = table[table["protocol"] == "paper"]
    honest = table[table["protocol"] == "workflow"]
    assert set(paper["metric"]) == {"roc_auc", "recall_cn_positive", "ssim"}
    assert "sensitivity" in set(honest["metric"])
    assert paper.loc[paper["metric"] == "ssim", "value"].tolist() == [0.97, 0.97]
    assert honest.loc[honest["metric"] == "ssim", "value"].tolist() == [0.8, 0.8]
    ratio = honest[honest["metric"] == "off_target_ratio"].iloc[0]
    assert ratio["attribute"] == "sex" and ratio["judge"] == "code"
    assert "identity_kept" not in set(honest["metric"])  # of one amount only
    assert set(table["seed"]) == {"0 1"} and set(table["cohort"]) == {"toy"}
