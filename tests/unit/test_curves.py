"""Learning curves: snapshots of a study, their table, and their figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ldae.conclusions.curves import tabulate_curves
from ldae.errors import InputError
from ldae.figures.curves import describe_curves, plot_curves
from ldae.methods import study_methods, study_snapshots
from ldae.statistics.scores import BEST_IN_TRAINING
from ldae.workflow.config import complete_config

VOLUME = "ldae_volume_encoder"
STUDY: dict[str, Any] = {
    "ablations": {VOLUME: {"network": "ldae", "change": {"encoder": {"backbone": "volume"}}}},
    "curves": {"networks": ["ldae", VOLUME, "ldae_anatomical"], "steps": [30, 10, 100]},
}


def with_curves(**changes: Any) -> dict[str, Any]:
    """Complete settings with learning curves."""
    return complete_config(STUDY | changes)


def skill_at(step: int, slope: float) -> float:
    """How well a toy network does after a step: it rises with its logarithm."""
    return slope * float(np.log10(step / 10))


def toy_predictions(good: float, rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Predictions of disease and age that are better the larger `good` is."""
    target = np.arange(n) % 2
    age = np.linspace(55, 90, n)
    parts = []
    for task, truth, noise, scale in (
        ("ad_vs_cn", target, 1.2 - good / 2, 1.0), ("age", age, 8 - 2 * good, 1.0),
    ):  # fmt: skip
        parts.append(
            pd.DataFrame(
                {
                    "scan": [f"s{i}" for i in range(n)], "subject": [f"p{i}" for i in range(n)],
                    "split": "val", "task": task, "target": truth, "label": "",
                    "prediction": truth + noise * rng.normal(size=n) * scale, "seed": 0,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def toy_scores(name: str, good: float, rng: np.random.Generator, n: int) -> dict[str, pd.DataFrame]:
    """Scores of one snapshot by evaluation, and those of what it is compared with."""
    scans = {"scan": [f"s{i}" for i in range(n)], "subject": [f"p{i}" for i in range(n)]}
    common = {"seed": 0, "split": "val", "note": ""}

    def rows(method: str, metric: str, mean: float, sd: float, **where: Any) -> pd.DataFrame:
        values = mean + sd * rng.normal(size=n)
        columns = scans | common | {"method": method, "metric": metric, "value": values}
        return pd.DataFrame(columns | where)

    inside = {"steps": 20, "region": "mask", "window": 11}
    edited = {"task": "ad_vs_cn", "attribute": "", "judge": "", "region": ""}
    middle = {"target": "real", "region": "mask", "window": np.nan, "gap_months": 12,
              "nearest_months": 6, "triple": range(n)}  # fmt: skip
    edits = [
        rows(name, metric, mean, 0.2, amount=a, steps=20, **edited)
        for a in (-0.6, 0.0, 0.6)
        for metric, mean in (
            ("ventricle_change_ml", 12 * good * a),
            ("truth_correlation", (0.3 + good / 6) * (a != 0)),
        )
    ]
    edits += [
        rows("group_difference", "truth_correlation", 0.4, 0.05, amount=np.nan, **edited),
        rows(name, "truth_ceiling", 0.75, 0.02, amount=np.nan, steps=20, **edited),
    ]
    best = rows("voxel_average", "mse", 1.0, 0.05, steps=np.nan, **middle)
    return {
        "reconstruction": pd.concat(
            [
                rows(name, "ssim", 0.9 + good / 40, 0.004, **inside),
                rows(name, "ssim", 0.5, 0.01, **inside | {"region": "whole"}),
                rows("autoencoder", "ssim", 0.95, 0.004, **inside | {"steps": np.nan}),
            ]
        ),
        "manipulation": pd.concat(edits),
        "interpolation": pd.concat(
            [
                rows(name, "mse", 1.6 - good / 2, 0.05, steps=20, **middle),
                best.assign(note=BEST_IN_TRAINING),
                rows("nearest_visit", "mse", 1.4, 0.05, steps=np.nan, **middle),
            ]
        ),
    }  # fmt: skip


def toy_table(config: dict[str, Any], n: int = 14, n_bootstrap: int = 30) -> pd.DataFrame:
    """Table of curves that rise, but for those of the ablation, which are flat."""
    rng, methods = np.random.default_rng(0), study_methods(config)
    predictions, scores, logs = {}, {}, {}
    for name, one in study_snapshots(config).items():
        network = one.variant.name
        slope = {"ldae": 0.4, VOLUME: 0.0, "ldae_anatomical": 0.7}[network]
        good = skill_at(one.step or 400, slope)
        predictions[name] = toy_predictions(good, rng, n)
        for evaluation, frame in toy_scores(name, good, rng, n).items():
            scores.setdefault(evaluation, {})[name] = frame
        logs[network] = pd.DataFrame({"step": [200, 400]})
    probes = pd.DataFrame(
        {
            "split": ["val", "val", "test"], "method": ["voxel_pca", "ldae", "histogram_pca"],
            "task": "age", "metric": "mae", "value": 7.0, "ci_low": 6.0, "ci_high": 8.0,
            "n_subjects": n, "n_scans": n, "note": "", "seed": "shared",
        }
    )  # fmt: skip
    return tabulate_curves(
        predictions, scores, logs, {"probes": probes}, methods,
        curves=config["curves"], window=11, cohort="toy", seed=0, n_bootstrap=n_bootstrap,
    )  # fmt: skip


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return with_curves()


@pytest.fixture(scope="module")
def table(config: dict[str, Any]) -> pd.DataFrame:
    return toy_table(config)


def test_a_study_follows_nothing_unless_it_is_asked_to() -> None:
    assert study_snapshots(complete_config({})) == {}


def test_snapshots_are_in_the_order_of_their_steps_and_end_with_the_network(
    config: dict[str, Any],
) -> None:
    found = study_snapshots(config)
    assert [(s.name, s.step) for s in found.values() if s.variant.name == VOLUME] == [
        (f"{VOLUME}_at_10", 10), (f"{VOLUME}_at_30", 30), (f"{VOLUME}_at_100", 100), (VOLUME, None),
    ]  # fmt: skip
    one = found[f"{VOLUME}_at_30"]
    assert one.method.network == "ldae", "it is loaded as the network that the ablation changes"
    assert one.method.evaluations == ("reconstruction", "manipulation", "interpolation")
    assert one.method.edit == "probe" and one.variant.change == {"encoder": {"backbone": "volume"}}


FAULTS = {
    "no network": ({"networks": ["ldea"]}, "curves.networks[0]: ldea is no network", "mean ldae?"),
    "no code": ({"networks": ["ldae", "prior"]}, "curves.networks[1]: prior is no", "Use some of"),
    "no diffusion": ({"networks": ["supervised"]}, "supervised is no network", "Use some of"),
    "twice": ({"networks": ["ldae", "ldae"]}, "ldae stands there twice", "Give every network once"),
    "too late": (
        {"networks": ["ldae"], "steps": [10, 130]},
        "curves.steps: 130 is not before the last step of ldae, 130", "raise ldae.n_steps",
    ),
    "no step": ({"networks": ["ldae"], "steps": []}, "curves.steps", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_what_cannot_be_followed_is_refused(case: str) -> None:
    curves, problem, remedy = FAULTS[case]
    with pytest.raises(InputError) as caught:
        with_curves(curves=curves)
    assert problem in str(caught.value) and remedy in str(caught.value)


def of_metric(table: pd.DataFrame, metric: str, method: str) -> pd.DataFrame:
    return table[(table["metric"] == metric) & (table["method"] == method)]


def test_each_measure_has_a_value_at_each_step(table: pd.DataFrame) -> None:
    for metric in ("roc_auc", "mae", "ventricle_change_ml", "truth_correlation", "ssim", "skill"):
        rows = of_metric(table, metric, "ldae")
        assert rows["training_steps"].tolist() == [10, 30, 100, 400], metric
        assert rows["ci_low"].notna().all() and rows["n_subjects"].eq(14).all(), metric
    assert of_metric(table, "ssim", "ldae")["value"].tolist() == pytest.approx(
        [0.9, 0.905, 0.91, 0.916], abs=0.004
    )
    assert of_metric(table, "ventricle_change_ml", "ldae")["amount"].unique().tolist() == [0.6]
    assert set(table["split"]) == {"val"}


def test_what_curves_are_compared_with_stands_once_and_without_a_step(table: pd.DataFrame) -> None:
    level = table[table["training_steps"].isna()].set_index(["method", "metric"])["value"]
    assert set(level.index) == {
        ("voxel_pca", "mae"), ("group_difference", "truth_correlation"),
        ("autoencoder", "truth_correlation"), ("autoencoder", "ssim"),
    }  # fmt: skip
    assert level["autoencoder", "ssim"] == pytest.approx(0.95, abs=0.004)
    assert level["autoencoder", "truth_correlation"] == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("metric", ["mae", "ventricle_change_ml", "ssim", "skill"])
def test_gains_are_since_the_first_step_and_the_one_before_the_last(
    table: pd.DataFrame, metric: str
) -> None:
    rows = of_metric(table, metric, "ldae_anatomical").set_index("training_steps")["value"]
    gains = of_metric(table, f"{metric}_gain", "ldae_anatomical")
    assert gains["since_steps"].tolist() == [10, 100] and gains["training_steps"].eq(400).all()
    sign = -1 if metric == "mae" else 1
    # a gain of skill is against the same trivial answers, which this toy draws for each step again
    if metric != "skill":
        expected = [sign * (rows[400] - rows[step]) for step in (10, 100)]
        assert gains["value"].tolist() == pytest.approx(expected, abs=1e-9)
    assert gains["ci_low"].gt(0).all() == (metric != "mae")
    flat = of_metric(table, f"{metric}_gain", VOLUME)
    assert (flat["ci_low"] < 0.05).all() and (flat["ci_high"] > -0.05).all()


def test_figure_has_a_panel_per_measure_and_a_line_per_network(
    config: dict[str, Any], table: pd.DataFrame
) -> None:
    methods = study_methods(config)
    figure, data = plot_curves(table, methods)
    axes = [axis for axis in figure.axes if axis.get_visible()]
    assert len(axes) == 6
    lines = axes[0].get_legend_handles_labels()
    assert lines[1] == [methods.label(name) for name in ("ldae", "ldae_anatomical", VOLUME)]
    assert len({line.get_color() for line in lines[0]}) == 3, "an ablation has a colour of its own"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()].count(methods.label("autoencoder")) == 1
    caption = describe_curves(data, methods)
    assert "a = 0.6" in caption and "Gaussian" in caption and "validation split" in caption
    assert "anatomical LDAE (steps 100 to 400): edits: ventricles" in caption


def test_a_study_without_edits_and_visits_has_the_other_panels(
    config: dict[str, Any], table: pd.DataFrame
) -> None:
    table = table[table["claim"].isin(["probes", "reconstruction"]) & (table["task"] != "ad_vs_cn")]
    figure, _ = plot_curves(table, study_methods(config))
    assert [axis.get_title() for axis in figure.axes if axis.get_visible()] == [
        "representation: age", "reconstruction",
    ]  # fmt: skip
