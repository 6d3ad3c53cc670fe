"""Claims are judged by the settings, and a statement that cannot be judged says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from ldae.conclusions.claims import tabulate_claims
from ldae.conclusions.verdicts import FAILS, HOLDS, OPEN, STATEMENTS, judge_claims
from ldae.figures.verdicts import plot_verdicts
from ldae.methods import METHODS, Methods, Role
from ldae.statistics.tables import tidy
from ldae.workflow.config import complete_config

STUDY = Methods(METHODS)
CRITERIA: dict[str, Any] = complete_config({})["verdicts"]
MODELS = sum(len(statement.models(STUDY)) for statement in STATEMENTS)
"""Pairs of a statement and a model that it is about."""


def changed(**values: Any) -> dict[str, Any]:
    """The default criteria with other values; those of `bounds` are merged."""
    bounds = {**CRITERIA["bounds"], **values.pop("bounds", {})}
    return {**CRITERIA, **values, "bounds": bounds}


def comparisons(steps: int = 20, window: int = 11) -> pd.DataFrame:
    """Reconstructions of every model against the autoencoder and a model in voxel space."""
    models = STUDY.select(Role.MODEL, evaluation="reconstruction")
    rows = [
        {"claim": "reconstruction", "metric": "ssim_gain", "method": model, "against": against}
        | {"steps": steps, "window": window, "region": "mask", "value": -0.004}
        | {"ci_low": -0.005, "ci_high": -0.003}
        for model in models
        for against in ("autoencoder", "voxel_dae")
    ]
    return tidy(rows, "comparisons", cohort="toy", seeds={}, split="test")


def of(judged: pd.DataFrame, words: str) -> pd.DataFrame:
    """Rows of the statements with these words."""
    return judged[judged["statement"].str.contains(words)]


def judge(
    tables: Mapping[str, pd.DataFrame],
    criteria: Mapping[str, Any] = CRITERIA,
    left_out: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Verdicts on all methods of the package."""
    return judge_claims(tables, STUDY, criteria, left_out or {})


@pytest.mark.parametrize(("loss", "expected"), [(0.002, FAILS), (0.01, HOLDS), (0.004, OPEN)])
def test_a_bound_of_the_settings_decides_and_is_named(loss: float, expected: str) -> None:
    judged = judge({"comparisons": comparisons()}, changed(bounds={"ssim_loss": loss}))
    rows = of(judged, f"SSIM is within {loss:g} of the autoencoder's")
    models = STUDY.select(Role.MODEL, evaluation="reconstruction")
    assert set(rows["verdict"]) == {expected} and len(rows) == len(models)


@pytest.mark.parametrize(("steps", "window"), [(20, 11), (7, 11), (20, 4)])
def test_other_steps_and_windows_keep_every_row(steps: int, window: int) -> None:
    tables = {"comparisons": comparisons(steps, window)}
    usual = judge({"comparisons": comparisons()})
    same = judge(tables, changed(n_steps=steps, ssim_window=window))
    pd.testing.assert_frame_equal(same, usual)
    judged = judge(tables)
    assert len(judged) == len(usual) == MODELS


def test_what_is_not_measured_is_open_and_says_so() -> None:
    judged = judge({"comparisons": comparisons(steps=7)})
    rows = of(judged, "SSIM is")
    assert set(rows["verdict"]) == {OPEN} and rows["value"].isna().all()
    assert set(rows["note"]) == {"ssim_gain was not measured with steps 20"}
    assert set(of(judged, "Spearman")["note"]) == {"there is no table manipulation"}
    assert set(of(judged, "AUC is above")["note"]) == {"roc_auc_gain was not measured"}


def test_a_model_that_was_not_measured_is_named() -> None:
    table = comparisons()
    judged = judge({"comparisons": table[table["method"] != "ldae_joint"]})
    rows = of(judged, "SSIM is within").set_index("method")
    assert rows.loc["ldae_joint", "verdict"] == OPEN
    assert "not measured of this model" in rows.loc["ldae_joint", "note"]
    assert rows.loc["ldae", "note"] == ""


def test_a_number_that_could_not_be_computed_is_open_and_says_so() -> None:
    table = comparisons()
    table.loc[table["method"] == "ldae", ["value", "ci_low", "ci_high"]] = float("nan")
    rows = of(judge({"comparisons": table}), "SSIM is within").set_index("method")
    assert rows.loc["ldae", ["verdict", "note"]].tolist() == [
        OPEN, "the number could not be computed",
    ]  # fmt: skip


def test_the_plans_reason_is_passed_on() -> None:
    why = {"task ad_vs_cn": "nobody is a patient", "interpolation": "nobody has three visits"}
    judged = judge({"comparisons": comparisons()}, left_out=why)
    assert set(of(judged, "AUC is above")["note"]) == {"nobody is a patient"}
    assert set(of(judged, "skill")["note"]) == {"nobody has three visits"}
    assert set(of(judged, "age error")["note"]) == {"mae_gain was not measured"}


def test_a_study_without_models_still_has_every_statement() -> None:
    nothing = Methods(m for m in STUDY.values() if m.role is not Role.MODEL)
    judged = judge_claims({}, nothing, CRITERIA, {})
    assert judged["statement"].nunique() == len(STATEMENTS)
    assert set(judged["method"]) == {"none"}


def test_the_figure_draws_what_is_open() -> None:
    judged = judge({"comparisons": comparisons()})
    figure, data = plot_verdicts(judged, STUDY)
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert len(data) == MODELS
    assert {"ventricles grow with the edit: Spearman at least 0.95", "–"} <= texts


def test_claims_are_gathered_in_the_windows_of_the_settings() -> None:
    rows = [
        {"method": "ldae", "metric": "ssim", "region": region, "window": window, "steps": 20}
        | {"value": float(window)}
        for region in ("whole", "mask")
        for window in (3, 7, 11)
    ]
    table = tidy(rows, "reconstruction", cohort="toy", seeds={}, split="test")
    criteria = changed(ssim_window=7, paper_windows={"reconstruction": 11, "interpolation": 3})
    claims = tabulate_claims({"reconstruction": table}, criteria)
    found = claims.set_index(["protocol", "region"])["value"].to_dict()
    assert found == {("paper", "whole"): 11.0, ("workflow", "mask"): 7.0}
