"""Figures of the linear probes: ROC curves and predicted age."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ldae.evaluation.probes.tables import roc_curve
from ldae.figures import captions
from ldae.figures.numbers import forest, interval_words
from ldae.figures.theme import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    REFERENCE,
    SKY,
    VERMILION,
    color_of,
    new_figure,
    panel_letters,
    theme,
)
from ldae.methods import Methods, Role
from ldae.statistics.measures import AD_VS_CN, AGE
from ldae.statistics.tables import scored_split

OTHER_DIAGNOSES = (ORANGE, GREEN, PURPLE, SKY)
"""Colours of diagnoses beside those of controls and patients, in turn."""

AGE_MARGIN = 2.0
"""Space around the ages, years."""


def plot_roc(
    predictions: Mapping[str, pd.DataFrame],
    table: pd.DataFrame,
    methods: Methods,
    diagnoses: Mapping[str, Any],
) -> tuple[Figure, pd.DataFrame]:
    """ROC curves of patients against controls on the left, areas with intervals on the right.

    Parameters
    ----------
    predictions
        Predictions of the probes by method; curves are those of the first training seed.
    table
        Table ``probes``.
    methods
        The study's methods.
    diagnoses
        Words for diagnoses (:class:`ldae.data.diagnoses.Diagnoses`).

    Returns
    -------
    tuple
        Figure, and the curves: method, training_seed, false_positive_rate, sensitivity; roc_auc,
        ci_low, ci_high, n_subjects, n_scans, seed as in the table.
    """
    areas = _of_task(table, "roc_auc", AD_VS_CN, methods).sort_values("value", ascending=False)
    curves = [_roc_of(predictions[str(row["method"])], row) for _, row in areas.iterrows()]
    with theme():
        figure = new_figure(3.1)
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.05])
        for curve in curves:
            _draw_roc(left, curve, methods)
        left.plot([0, 1], [0, 1], **REFERENCE)
        left.set_xlabel("1 − specificity")
        left.set_ylabel(f"sensitivity ({diagnoses['patient']} detected)")
        left.set_aspect("equal")
        left.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        forest(right, areas, methods, decimals=2)
        right.axvline(0.5, **REFERENCE)
        right.set_xlim(right=1.02)
        right.set_xlabel(f"area under the curve{interval_words(areas)}")
        panel_letters([left, right])
    data = pd.concat(curves, ignore_index=True)
    return figure, data[["method", *[c for c in data.columns if c != "method"]]]


def _of_task(table: pd.DataFrame, metric: str, task: str, methods: Methods) -> pd.DataFrame:
    """Rows of the shown split about one number and task, one for each method.

    Harmonised codes stand in the table only.
    """
    table = table[table["split"] == scored_split(table)]
    wanted = (table["metric"] == metric) & (table["task"] == task)
    return table[wanted & ~table["method"].isin(methods.select(Role.HARMONISED))]


def _roc_of(predictions: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    """ROC curve of one method, beside the area in its row of the table."""
    frame = _of_first_seed(predictions)
    frame = frame[(frame["split"] == row["split"]) & (frame["task"] == AD_VS_CN)]
    rates = roc_curve(frame["target"].to_numpy(float), frame["prediction"].to_numpy(float))
    columns = ["ci_low", "ci_high", "n_subjects", "n_scans", "seed", "cohort", "split"]
    return rates.assign(
        method=row["method"], training_seed=frame["seed"].iloc[0], roc_auc=row["value"],
        **{column: row[column] for column in columns},
    )  # fmt: skip


def _draw_roc(axis: Axes, curve: pd.DataFrame, methods: Methods) -> None:
    """One method's curve; models under test are drawn above the others, the main one thicker."""
    name = str(curve["method"].iloc[0])
    axis.step(
        curve["false_positive_rate"], curve["sensitivity"], where="post",
        color=color_of(methods, name), linestyle=methods.look(name).line,
        linewidth=2 if name == methods.main.name else 1.1,
        zorder=3 if methods.is_(name, Role.MODEL) else 2,
    )  # fmt: skip


def _of_first_seed(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions of the first training, with a column ``seed``, NaN where there is none."""
    if "seed" not in predictions:
        return predictions.assign(seed=np.nan)
    first: pd.DataFrame = predictions[predictions["seed"] == predictions["seed"].iloc[0]]
    return first


def describe_roc(data: pd.DataFrame, diagnoses: Mapping[str, Any]) -> str:
    """Caption of :func:`plot_roc`."""
    return (
        f"Linear probes of each code for {diagnoses['patient']} (positive class) against "
        f"{diagnoses['control']}: (a) ROC curves, (b) areas under them. "
        f"{captions.shown(data, 'Curves')}{captions.intervals(data)} {captions.facts(data)}"
    )


def plot_age(
    predictions: Mapping[str, pd.DataFrame],
    table: pd.DataFrame,
    index: pd.DataFrame,
    methods: Methods,
    diagnoses: Mapping[str, Any],
) -> tuple[Figure, pd.DataFrame]:
    """Predicted against true age of the model on the left, errors of all methods on the right.

    Parameters
    ----------
    predictions
        Predictions of the probes by method; points are the main model's, of the first training
        seed.
    table
        Table ``probes``.
    index
        Index of the packed scans, for the diagnosis that colours the points.
    methods
        The study's methods.
    diagnoses
        Words for diagnoses (:class:`ldae.data.diagnoses.Diagnoses`).

    Returns
    -------
    tuple
        Figure, and the points: scan, subject, training_seed, target, prediction, diagnosis; cohort,
        seed, n_subjects, n_scans, mae, ci_low, ci_high as in the table.
    """
    first = _of_first_seed(predictions[methods.main.name]).rename(columns={"seed": "training_seed"})
    part = first[(first["task"] == AGE) & (first["split"] == scored_split(table))]
    data = part[["scan", "subject", "training_seed", "target", "prediction"]].merge(
        index[["scan", "diagnosis"]], on="scan", how="left", validate="one_to_one"
    )
    errors = _of_task(table, "mae", AGE, methods).sort_values("value")
    own = errors[errors["method"] == methods.main.name]
    with theme():
        figure = new_figure(3.1)
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.05])
        _draw_ages(left, data, own, _diagnosis_colors(data["diagnosis"], diagnoses))
        forest(right, errors, methods, decimals=1)
        right.set_xlabel(f"mean absolute error (years){interval_words(errors)}")
        panel_letters([left, right])
    for _, row in (own if len(own) else errors).head(1).iterrows():
        data = data.assign(**row[["cohort", "split", "seed", "n_subjects", "n_scans"]])
        data = data.assign(mae=row["value"], ci_low=row["ci_low"], ci_high=row["ci_high"])
    return figure, data


def _diagnosis_colors(found: pd.Series, diagnoses: Mapping[str, Any]) -> dict[str, str]:
    """Colour of each diagnosis; black where none is known."""
    colors = {diagnoses["control"]: BLUE, diagnoses["patient"]: VERMILION, "": BLACK}
    others = sorted(set(found.dropna()) - set(colors))
    return colors | dict(zip(others, cycle(OTHER_DIAGNOSES)))


def _draw_ages(
    axis: Axes, data: pd.DataFrame, errors: pd.DataFrame, colors: Mapping[str, str]
) -> None:
    """Predicted over true age, one point per scan; above it the row of its error, if any."""
    ages = data[["target", "prediction"]]
    low, high = float(ages.min().min()) - AGE_MARGIN, float(ages.max().max()) + AGE_MARGIN
    axis.plot([low, high], [low, high], **REFERENCE)
    for diagnosis, group in data.groupby(data["diagnosis"].fillna("").astype(str)):
        name = f"{diagnosis or 'all'} ({group['subject'].nunique()} participants)"
        axis.scatter(
            group["target"], group["prediction"], s=13, alpha=0.75, linewidth=0,
            color=colors[str(diagnosis)], label=name,
        )  # fmt: skip
    for _, row in errors.iterrows():
        interval = (
            f" [{row['ci_low']:.1f}, {row['ci_high']:.1f}]" if pd.notna(row["ci_low"]) else ""
        )
        axis.set_title(f"MAE {row['value']:.1f}{interval} years", fontsize=8)
    axis.set(xlim=(low, high), ylim=(low, high))
    axis.set_aspect("equal")
    axis.set_xlabel("age (years)")
    axis.set_ylabel("predicted age (years)")
    axis.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.1)


def describe_age(data: pd.DataFrame, methods: Methods) -> str:
    """Caption of :func:`plot_age`."""
    return (
        f"(a) Age predicted by a ridge probe of the {methods.main.look.label}'s semantic code, one "
        f"point per scan. {captions.shown(data, 'Points')}(b) Mean absolute error of the same "
        f"probe on every code. {captions.intervals(data)} {captions.facts(data)}"
    )
