"""Verdicts follow the intervals, and are passed on models alone."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from ldae.conclusions.verdicts import FAILS, HOLDS, OPEN, judge_claims, verdict
from ldae.methods import METHODS, Methods
from ldae.statistics.tables import table_columns, tidy
from ldae.workflow.config import complete_config

STUDY = Methods(METHODS)
CRITERIA = complete_config({})["verdicts"]


@pytest.mark.parametrize(
    ("low", "high", "bound", "above", "expected"),
    [
        (0.1, 0.3, 0.0, True, HOLDS),
        (-0.3, -0.1, 0.0, True, FAILS),
        (-0.1, 0.1, 0.0, True, OPEN),
        (0.95, 1.0, 0.95, True, HOLDS),  # "at least" counts the bound in
        (0.1, 0.19, 0.2, False, HOLDS),
        (0.3, 0.4, 0.2, False, FAILS),
        (0.1, 0.4, 0.2, False, OPEN),
        (math.nan, math.nan, 0.0, True, OPEN),
    ],
)
def test_a_verdict_is_the_side_of_the_whole_interval(
    low: float, high: float, bound: float, above: bool, expected: str
) -> None:
    assert verdict(low, high, bound, above) == expected


def table(name: str, rows: list[dict[str, object]]) -> pd.DataFrame:
    """A table of the study, each number 0.01 sure to either side."""
    for row in rows:
        value = float(row["value"])  # type: ignore[arg-type]
        row |= {"ci_low": value - 0.01, "ci_high": value + 0.01}
    return tidy(rows, name, cohort="toy", seeds={"ldae": [0, 1]}, split="test")


def judge(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Verdicts on what these tables have numbers of."""
    judged = judge_claims(tables, STUDY, CRITERIA, {})
    return judged[judged["value"].notna()]


def gain(against: str, value: float, **other: object) -> dict[str, object]:
    """A row of the comparisons."""
    row = {"method": "ldae", "claim": "probes", "metric": "roc_auc_gain", "task": "ad_vs_cn"}
    return row | {"split": "test", "against": against, "value": value} | other


def test_validation_participants_are_judged_where_there_are_no_others() -> None:
    rows = [gain("voxel_pca", 0.1, split="val"), gain("voxel_pca", 0.2, split="cv")]
    assert set(judge({"comparisons": table("comparisons", rows)})["split"]) == {"val", "cv"}


def test_models_are_judged_against_what_is_no_model_and_no_yardstick() -> None:
    rows = [
        gain("voxel_pca", 0.1),
        gain("untrained", -0.1),
        gain("true_volumes", -0.2),
        gain("ldae_joint", -0.2),
        gain("voxel_pca", 0.3, split="val"),
        gain("voxel_pca", 0.005, split="cv"),
    ]
    judged = judge({"comparisons": table("comparisons", rows)})
    assert list(judged.columns) == table_columns("verdicts")
    found = judged.set_index(["against", "split"])["verdict"].to_dict()
    assert found == {
        ("voxel_pca", "test"): HOLDS,
        ("untrained", "test"): FAILS,
        ("voxel_pca", "cv"): OPEN,
    }
    assert set(judged["seed"]) == {"0 1"}


@pytest.mark.parametrize(
    ("over_start", "expected"),
    [
        (0.2, "training of the code"),
        (0.005, "the code's start (PCA of local histograms), no clear gain from training"),
        (-0.3, "the code's start (PCA of local histograms), no clear gain from training"),
        (None, ""),
    ],
)
def test_what_holds_of_a_code_is_earned_by_its_training_or_by_its_start(
    over_start: float | None, expected: str
) -> None:
    rows = [
        gain("voxel_pca", 0.1, method="ldae_anatomical"),
        gain("untrained", -0.1, method="ldae_anatomical"),
        gain("histogram_pca", 0.9, method="ldae", split="cv"),
    ]
    if over_start is not None:
        rows.append(gain("histogram_pca", over_start, method="ldae_anatomical"))
    judged = judge({"comparisons": table("comparisons", rows)})
    judged = judged[judged["split"] == "test"].set_index("against")["earned_by"]
    assert judged["voxel_pca"] == expected and judged["untrained"] == ""
    if over_start == 0.2:
        assert judged["histogram_pca"] == expected


@pytest.mark.parametrize(
    ("method", "metric", "earned"),
    [
        ("ldae", "skill", "code and diffusion"),
        ("ldae_anatomical", "skill", "fill-in head: no code, no diffusion"),
        ("ldae", "speed_ratio", "latent space and sampler"),
        ("ldae", "speed_ratio_same_sampler", "latent space"),
    ],
)
def test_other_claims_are_earned_by_how_a_method_computes(
    method: str, metric: str, earned: str
) -> None:
    name = "interpolation" if metric == "skill" else "throughput"
    row = {"method": method, "metric": metric, "value": 5.0}
    row |= {"target": "real", "region": "mask"} if metric == "skill" else {"operation": "encode"}
    assert judge({name: table(name, [row])})["earned_by"].tolist() == [earned]


def test_reconstructions_are_judged_at_one_number_of_steps_and_against_three_methods() -> None:
    common = {"claim": "reconstruction", "metric": "ssim_gain", "task": None, "region": "mask"}
    rows = [
        gain(against, value, **common, steps=steps, window=window)
        for against, value in (
            ("autoencoder", 0.009),
            ("voxel_dae", -0.5),
            ("prior", 0.5),
            ("voxel_dae_multistep", 0),
        )
        for steps in (10, 20)
        for window in (3, 11)
    ]
    judged = judge({"comparisons": table("comparisons", rows)})
    assert judged["verdict"].tolist() == [HOLDS, FAILS, OPEN]


def test_edits_are_judged_over_all_amounts_and_by_disease_and_age() -> None:
    edit = {"method": "ldae", "task": "age", "metric": "off_target_ratio", "judge": "code"}
    rows = [
        edit | {"attribute": "ad_vs_cn", "value": 0.1},
        edit | {"attribute": "ad_vs_cn", "value": 0.9, "amount": 0.2},
        edit | {"attribute": "sex", "value": 0.9},
        edit | {"method": "group_difference", "attribute": "ad_vs_cn", "value": 0.9},
    ]
    judged = judge({"manipulation": table("manipulation", rows)})
    assert judged["verdict"].tolist() == [HOLDS]
