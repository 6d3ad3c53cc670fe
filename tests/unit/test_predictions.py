"""Predictions of several trainings: their files, and the numbers over seeds and subjects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ldae.conclusions.ablations import UNCHANGED, tabulate_ablations
from ldae.conclusions.comparison import compare_methods
from ldae.errors import InputError
from ldae.evaluation.probes.fitting import CROSS_VALIDATED
from ldae.evaluation.probes.tables import paired_predictions, tabulate_probes
from ldae.methods import METHODS, Methods, study_methods
from ldae.statistics.measures import weighted_auc
from ldae.statistics.predictions import read_predictions, write_predictions
from ldae.statistics.tables import readable, table_columns

STUDY = Methods(METHODS)


N = 80
TARGET = np.tile([0.0, 1.0], N // 2)
SEEDS = (0, 2, 5)
GAINS = (0.2, 1.0, 1.8)
OPTIONS = {"cohort": "toy", "seed": 0, "n_bootstrap": 400}


def predicted(signal: float, seed: int) -> pd.DataFrame:
    """Predictions of disease and age of as many participants, better with more signal."""
    rng = np.random.default_rng(seed)
    scans = {"scan": [f"s{i}" for i in range(N)], "subject": [f"0{i}" for i in range(N)]}
    disease = {"task": "ad_vs_cn", "target": TARGET}
    years = 60 + np.arange(N) / 4
    frames = [
        pd.DataFrame(scans | disease | {"prediction": signal * TARGET + rng.normal(size=N)}),
        pd.DataFrame(
            scans | {"task": "age", "target": years}
            | {"prediction": years + 6 / (1 + signal) * rng.normal(size=N)}
        ),
    ]  # fmt: skip
    return pd.concat(frames).assign(split="test", label="")


def seeded(signal: float, offset: int = 0) -> pd.DataFrame:
    """Three trainings of one method."""
    return pd.concat([predicted(signal, offset + s).assign(seed=s) for s in SEEDS])


def auc(frame: pd.DataFrame) -> float:
    part = frame[frame["task"] == "ad_vs_cn"]
    values = part[["target", "prediction"]].to_numpy(float)
    return float(weighted_auc(values, np.ones((1, len(part))))[0])


def test_trainings_are_read_back_by_method(tmp_path: Path) -> None:
    paths = [tmp_path / "ldae-1", tmp_path / "ldae-0", tmp_path / "pca"]
    write_predictions(predicted(1, 1), "ldae", 1, paths[0])
    write_predictions(predicted(1, 0), "ldae", 0, paths[1])
    write_predictions(predicted(1, 2), "voxel_pca", None, paths[2])
    found = read_predictions(paths)
    assert list(found) == ["ldae", "voxel_pca"]
    assert found["ldae"]["seed"].unique().tolist() == [1, 0]
    assert "seed" not in found["voxel_pca"] and len(found["voxel_pca"]) == 2 * N
    assert found["voxel_pca"]["subject"].iloc[3] == "03", "labels are no numbers"
    np.testing.assert_allclose(found["voxel_pca"]["prediction"], predicted(1, 2)["prediction"])
    for again in (paths[0], paths[2]):
        with pytest.raises(InputError, match="again"):
            read_predictions([*paths, again])
    write_predictions(predicted(1, 1), "ldae", None, paths[2])
    with pytest.raises(InputError, match="again"):
        read_predictions(paths)


def test_a_number_over_seeds_is_the_mean_of_theirs_with_more_doubt() -> None:
    many, one = seeded(1.0), predicted(1.0, 0).assign(seed=0)
    rows = {}
    for name, frame in (("many", many), ("one", one)):
        table = tabulate_probes({"ldae": frame, "voxel_pca": predicted(1.0, 9)}, **OPTIONS)  # type: ignore[arg-type]
        cell = table[(table["method"] == "ldae") & (table["metric"] == "roc_auc")]
        rows[name] = cell[cell["task"] == "ad_vs_cn"].iloc[0]
    each = [auc(many[many["seed"] == s]) for s in SEEDS]
    assert np.ptp(each) > 0.01, "the trainings differ"
    assert rows["many"]["value"] == pytest.approx(np.mean(each))
    assert rows["one"]["value"] == pytest.approx(each[0])
    assert rows["many"]["seed"] == "0 2 5" and rows["one"]["seed"] == "0"
    assert rows["many"]["n_subjects"] == N and rows["many"]["n_scans"] == N


def test_the_spread_between_trainings_widens_the_interval() -> None:
    """Trainings that agree are worth one; trainings that do not leave more doubt."""
    alike = pd.concat([predicted(1.0, 0).assign(seed=s) for s in SEEDS])
    apart = pd.concat([predicted(x, 0).assign(seed=s) for s, x in zip(SEEDS, GAINS, strict=True)])
    width = {}
    for name, frame in (("one", predicted(1.0, 0)), ("alike", alike), ("apart", apart)):
        table = tabulate_probes({"ldae": frame}, **OPTIONS)  # type: ignore[arg-type]
        row = table[(table["metric"] == "roc_auc")].iloc[0]
        width[name] = row["ci_high"] - row["ci_low"]
    assert width["alike"] == pytest.approx(width["one"])
    assert width["apart"] > 1.3 * width["one"]


def test_a_method_without_seeds_meets_every_seed_of_the_other() -> None:
    many, shared = seeded(1.0), predicted(0.0, 9)
    both = paired_predictions(many, shared, "test", "ad_vs_cn")
    assert len(both) == 3 * N and sorted(both["seed"].unique()) == list(SEEDS)
    of_scan = both.groupby("scan")["other"].nunique()
    assert (of_scan == 1).all()
    turned = paired_predictions(shared, many, "test", "ad_vs_cn")
    assert len(turned) == 3 * N and sorted(turned["seed"].unique()) == list(SEEDS)
    merged = both.merge(turned, on=["scan", "seed"])
    np.testing.assert_array_equal(merged["prediction_x"], merged["other_y"])
    np.testing.assert_array_equal(merged["other_x"], merged["prediction_y"])


def test_trainings_of_one_seed_meet_each_other_and_no_others() -> None:
    ours, theirs = seeded(1.0), seeded(0.0, offset=20)
    both = paired_predictions(ours, theirs, "test", "age")
    assert len(both) == 3 * N
    expected = theirs[(theirs["seed"] == 2) & (theirs["task"] == "age")]["prediction"]
    np.testing.assert_array_equal(both.loc[both["seed"] == 2, "other"], expected)
    with pytest.raises(ValueError, match="different training seeds"):
        paired_predictions(ours, theirs[theirs["seed"] != 5], "test", "age")


def test_gains_over_seeds_are_means_of_each_seeds_gain() -> None:
    frames = {"ldae": seeded(1.5), "untrained": seeded(0.0, offset=20)}
    frames["voxel_pca"] = predicted(0.5, 40)
    table = compare_methods(frames, {}, STUDY, **OPTIONS)  # type: ignore[arg-type]
    gain = table[table["metric"] == "roc_auc_gain"].set_index("against")["value"]
    ours, theirs = (
        np.array([auc(frames[name].query(f"seed == {s}")) for s in SEEDS])
        for name in ("ldae", "untrained")
    )
    assert gain["untrained"] == pytest.approx((ours - theirs).mean())
    assert gain["voxel_pca"] == pytest.approx(ours.mean() - auc(frames["voxel_pca"]))
    assert set(table["seed"]) == {"0 2 5"}


def test_a_method_that_was_not_cross_validated_is_compared_on_other_participants_alone() -> None:
    crossed = {"ldae": 1.5, "voxel_pca": 0.5}
    frames = {m: predicted(s, 3) for m, s in crossed.items()} | {"supervised": predicted(0.0, 9)}
    for method in crossed:
        again = frames[method].assign(split=CROSS_VALIDATED)
        frames[method] = pd.concat([frames[method], again], ignore_index=True)
    table = compare_methods(frames, {}, STUDY, **OPTIONS)  # type: ignore[arg-type]
    splits = table.groupby("against")["split"].unique()
    assert set(splits["voxel_pca"]) == {"test", CROSS_VALIDATED}
    assert set(splits["supervised"]) == {"test"}


def test_an_ablation_stands_below_what_it_changes_with_its_gain() -> None:
    frames = {"ldae": seeded(1.5), "ldae_small_code": seeded(0.0, 20), "voxel_pca": predicted(1, 9)}
    frames |= {"untrained": seeded(0.0, 30), "untrained_wide": seeded(0.0, 40)}
    small = {"network": "ldae", "change": {"encoder": {"dim_y": 4}}}
    wide_one = {"network": "untrained", "change": {"encoder": {"widths": [8, 16]}}}
    ablations = {"ldae_small_code": small, "untrained_wide": wide_one}
    settings = {"encoder": {"dim_y": 96, "widths": [4, 8]}, "ablations": ablations}
    table = tabulate_ablations(frames, study_methods(settings), **OPTIONS)  # type: ignore[arg-type]
    assert list(table.columns) == table_columns("ablations")
    assert list(dict.fromkeys(table["method"])) == [
        "ldae", "ldae_small_code", "untrained", "untrained_wide",
    ]  # fmt: skip
    change = table.set_index("method")["change"]
    assert set(change["ldae"]) == {UNCHANGED}
    assert set(change["ldae_small_code"]) == {"encoder.dim_y 96 → 4"}
    gain = table[(table["metric"] == "roc_auc_gain")].set_index("method")
    assert gain.loc["ldae_small_code", "network"] == "ldae"
    assert gain.loc["ldae_small_code", "ci_high"] < 0
    assert gain.loc["untrained_wide", "network"] == "untrained"
    wide = readable(table)
    assert len(wide) == 4 and (wide.loc[[1, 3]] != "").all(axis=None), "a line for each change"
    whole = tabulate_probes(frames, **OPTIONS)  # type: ignore[arg-type]
    same = (whole["method"] == "ldae") & (whole["metric"] == "mae") & (whole["task"] == "age")
    kept = (table["method"] == "ldae") & (table["metric"] == "mae")
    columns = ["value", "ci_low", "ci_high"]
    np.testing.assert_array_equal(whole.loc[same, columns], table.loc[kept, columns])
