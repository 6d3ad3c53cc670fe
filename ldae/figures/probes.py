"""Figures of the linear probes: ROC curves and predicted age."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ldae.evaluation.probes.tables import roc_curve
from ldae.figures.theme import (
    BLACK,
    BLUE,
    ORANGE,
    VERMILION,
    color_of,
    label_of,
    new_figure,
    panel_letters,
    theme,
)

LINE_STYLES = {
    "supervised": "-.",
    "untrained": ":",
    "true_volumes": "--",
    "region_volumes": "--",
    "histogram_pca": ":",
}


def plot_roc(
    predictions: Mapping[str, pd.DataFrame], table: pd.DataFrame, split: str = "test"
) -> tuple[Figure, pd.DataFrame]:
    """ROC curves of AD against CN on the left, areas with intervals on the right.

    Parameters
    ----------
    predictions
        Predictions of the probes by method; curves are those of the first training seed.
    table
        Table ``probes``.
    split
        Split shown.

    Returns
    -------
    tuple
        Figure, and the curves: method, training_seed, false_positive_rate, sensitivity; roc_auc,
        ci_low, ci_high, n_subjects, n_scans, seed as in the table.
    """
    areas = table[
        (table["metric"] == "roc_auc") & (table["split"] == split) & (table["task"] == "ad_vs_cn")
    ].sort_values("value", ascending=False)
    parts = []
    with theme():
        figure = new_figure(3.1)
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.05])
        for _, row in areas.iterrows():
            method = str(row["method"])
            frame = _of_first_seed(predictions[method])
            frame = frame[(frame["split"] == split) & (frame["task"] == "ad_vs_cn")]
            rates = roc_curve(frame["target"].to_numpy(float), frame["prediction"].to_numpy(float))
            left.step(
                rates["false_positive_rate"], rates["sensitivity"], where="post",
                color=color_of(method), linestyle=LINE_STYLES.get(method, "-"),
                linewidth=2 if method == "ldae" else 1.1, zorder=3 if method == "ldae" else 2,
            )  # fmt: skip
            columns = ["ci_low", "ci_high", "n_subjects", "n_scans", "seed", "cohort"]
            parts.append(
                rates.assign(
                    method=method, training_seed=frame["seed"].iloc[0], roc_auc=row["value"],
                    **{c: row[c] for c in columns},
                )
            )  # fmt: skip
        left.plot([0, 1], [0, 1], color="#b0b0b0", linewidth=0.8, linestyle=":")
        left.set_xlabel("1 - specificity")
        left.set_ylabel("sensitivity (AD found)")
        left.set_aspect("equal")
        left.set_xlim(-0.01, 1.01)
        left.set_ylim(-0.01, 1.01)
        place = np.arange(len(areas))[::-1]
        for y, (_, row) in zip(place, areas.iterrows(), strict=True):
            color = color_of(str(row["method"]))
            right.plot([row["ci_low"], row["ci_high"]], [y, y], color=color, linewidth=1.6)
            right.plot(row["value"], y, "o", color=color)
            right.annotate(
                f"{row['value']:.2f}", (row["value"], y), xytext=(0, 4), ha="center",
                textcoords="offset points", fontsize=7,
            )  # fmt: skip
        right.set_yticks(place, [label_of(str(m)) for m in areas["method"]])
        right.axvline(0.5, color="#b0b0b0", linewidth=0.8, linestyle=":")
        right.set_xlim(right=1.02)
        right.set_ylim(-0.6, len(areas) - 0.3)
        right.set_xlabel("area under the curve, 95 % interval")
        right.grid(visible=False, axis="y")
        panel_letters([left, right])
    data = pd.concat(parts, ignore_index=True)
    return figure, data[["method", *[c for c in data.columns if c != "method"]]]


def _of_first_seed(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions of the first training, with a column ``seed``, NaN where there is none."""
    if "seed" not in predictions:
        return predictions.assign(seed=np.nan)
    return predictions[predictions["seed"] == predictions["seed"].iloc[0]]


def plot_age(
    predictions: pd.DataFrame, table: pd.DataFrame, index: pd.DataFrame, split: str = "test"
) -> tuple[Figure, pd.DataFrame]:
    """Predicted against true age of the model on the left, errors of all methods on the right.

    Parameters
    ----------
    predictions
        Predictions of the model's probes; points are those of the first training seed.
    table
        Table ``probes``.
    index
        Index of the packed scans, for the diagnosis that colours the points.
    split
        Split shown.
    """
    first = _of_first_seed(predictions).rename(columns={"seed": "training_seed"})
    part = first[(first["task"] == "age") & (first["split"] == split)]
    data = part[["scan", "subject", "training_seed", "target", "prediction"]].merge(
        index[["scan", "diagnosis"]], on="scan", how="left", validate="one_to_one"
    )
    errors = table[
        (table["metric"] == "mae") & (table["split"] == split) & (table["task"] == "age")
    ]
    errors = errors.sort_values("value")
    colors = {"CN": BLUE, "MCI": ORANGE, "AD": VERMILION}
    with theme():
        figure = new_figure(3.1)
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.05])
        low = float(data[["target", "prediction"]].min().min()) - 2
        high = float(data[["target", "prediction"]].max().max()) + 2
        left.plot([low, high], [low, high], color="#b0b0b0", linewidth=0.9, linestyle=":")
        for diagnosis, group in data.groupby(data["diagnosis"].fillna("").astype(str)):
            name = f"{diagnosis or 'all'} ({group['subject'].nunique()} people)"
            left.scatter(
                group["target"], group["prediction"], s=13, alpha=0.75, linewidth=0,
                color=colors.get(str(diagnosis), BLACK), label=name,
            )  # fmt: skip
        own = errors[errors["method"] == "ldae"]
        if len(own):
            row = own.iloc[0]
            left.set_title(
                f"MAE {row['value']:.1f} [{row['ci_low']:.1f}, {row['ci_high']:.1f}] years",
                fontsize=8,
            )
        left.set_xlim(low, high)
        left.set_ylim(low, high)
        left.set_aspect("equal")
        left.set_xlabel("age (years)")
        left.set_ylabel("predicted age (years)")
        left.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.1)
        place = np.arange(len(errors))[::-1]
        for y, (_, row) in zip(place, errors.iterrows(), strict=True):
            color = color_of(str(row["method"]))
            right.plot([row["ci_low"], row["ci_high"]], [y, y], color=color, linewidth=1.6)
            right.plot(row["value"], y, "o", color=color)
            right.annotate(
                f"{row['value']:.1f}", (row["value"], y), xytext=(0, 4), ha="center",
                textcoords="offset points", fontsize=7,
            )  # fmt: skip
        right.set_yticks(place, [label_of(str(m)) for m in errors["method"]])
        right.set_ylim(-0.6, len(errors) - 0.3)
        right.set_xlabel("mean absolute error (years), 95 % interval")
        right.grid(visible=False, axis="y")
        panel_letters([left, right])
    facts = errors[errors["method"] == "ldae"] if len(own) else errors
    if len(facts):
        for column in ("cohort", "seed", "n_subjects", "n_scans"):
            data[column] = facts.iloc[0][column]
    return figure, data
