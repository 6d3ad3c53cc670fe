"""Probes of few labelled participants: who is labelled, who is predicted, and what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_probes import cohort

from ldae.data.diagnoses import Diagnoses
from ldae.evaluation.probes import labels
from ldae.evaluation.probes.labels import predict_with_few_labels, tabulate_labels
from ldae.figures.labels import plot_labels
from ldae.methods import METHODS, Methods
from ldae.statistics.tables import table_columns

STUDY = Methods(METHODS)
OPTIONS: dict[str, Any] = {
    "diagnoses": Diagnoses("AD", "CN"), "alpha_grid": [1.0, 10.0, 100.0], "n_folds": 4, "seed": 0,
    "scored": "val", "tasks": ("ad_vs_cn", "age"),
}  # fmt: skip
TABLED: dict[str, Any] = {"cohort": "toy", "seed": 0, "n_bootstrap": 50}


@pytest.fixture(scope="module")
def curve() -> pd.DataFrame:
    codes, index = cohort(n_subjects=120)
    return predict_with_few_labels(codes, index, counts=[8, 40, 9000], **OPTIONS)


def test_everyone_who_is_shown_is_predicted_once_at_every_number(curve: pd.DataFrame) -> None:
    _, index = cohort(n_subjects=120)
    shown = set(index["scan"][index["split"] != "test"])
    for (_, count), part in curve.groupby(["task", "n_labelled"]):
        assert set(part["scan"]) == shown and len(part) == len(shown)
        assert count in (8, 40), "a number that the folds do not have is left out"
    assert set(curve["task"]) == {"ad_vs_cn", "age"} and set(curve["split"]) == {"cv"}


def test_nobody_is_predicted_by_a_probe_that_saw_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so many participants are labelled, half of each class, smaller numbers first."""
    seen: list[tuple[int, float]] = []
    drawn: list[set[str]] = []
    draw = labels._draw

    def noted(names: np.ndarray, strata: np.ndarray, count: int, rng: Any) -> np.ndarray:
        found = draw(names, strata, count, rng)
        seen.append((len(found), float(strata[np.isin(names, found)].mean())))
        drawn.append(set(found))
        return found

    monkeypatch.setattr(labels, "_draw", noted)
    codes, index = cohort(n_subjects=120)
    codes = np.column_stack([np.arange(len(codes)), codes[:, 0]])
    options = OPTIONS | {"tasks": ("ad_vs_cn",)}
    found = predict_with_few_labels(codes, index, counts=[8, 40], **options)
    assert seen == [(8, 0.5)] * 4 + [(40, 0.5)] * 4
    assert all(few < many for few, many in zip(drawn[:4], drawn[4:], strict=True))
    everyone = set(found["subject"])
    assert all(labelled < everyone for labelled in drawn)


def test_more_labels_help_and_gains_over_the_start_are_paired(curve: pd.DataFrame) -> None:
    codes, index = cohort(n_subjects=120)
    noise = np.random.default_rng(1).normal(size=codes.shape)
    start = predict_with_few_labels(noise, index, counts=[8, 40], **OPTIONS)
    table = tabulate_labels({"ldae": curve, "untrained": start}, STUDY, **TABLED)
    assert list(table.columns) == table_columns("labels")
    ours = table[(table["method"] == "ldae")].set_index(["metric", "n_labelled"])["value"]
    assert ours["mae", 40] < ours["mae", 8] and ours["roc_auc", 40] > 0.85
    gains = table[table["metric"] == "roc_auc_gain"]
    assert set(gains["method"]) == {"ldae"} and set(gains["against"]) == {"untrained"}
    assert (gains["ci_low"] > 0).all()
    values = table[table["metric"] == "roc_auc"].pivot(
        index="n_labelled", columns="method", values="value"
    )
    np.testing.assert_allclose(
        gains.set_index("n_labelled")["value"], values["ldae"] - values["untrained"]
    )


def test_codes_from_labels_and_small_cohorts_have_no_rows() -> None:
    codes, index = cohort(n_subjects=20)
    for counts in ([], [500]):
        nothing = predict_with_few_labels(codes, index, counts=counts, **OPTIONS)
        assert nothing.empty and list(nothing.columns) == list(labels.COLUMNS)
    table = tabulate_labels({}, STUDY, **TABLED)
    assert table["note"].tolist() == ["too few labels"]
    figure, data = plot_labels(table, STUDY)
    assert data.empty and len(figure.axes) == 1
