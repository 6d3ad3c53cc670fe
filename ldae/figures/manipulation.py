"""Figures of edits: one scan edited by rising amounts, and dose and response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ldae.figures import captions
from ldae.figures.slices import (
    CONVENTION,
    DIFFERENCE_LABEL,
    Examples,
    brain_centre,
    color_bar,
    crop,
    cut,
    difference_colors,
    difference_limit,
    show_slice,
)
from ldae.figures.theme import (
    BLACK,
    TASK_COLORS,
    TASK_LABELS,
    legend_below,
    new_figure,
    shown_models,
    theme,
)
from ldae.methods import Method, Methods
from ldae.statistics.measures import AD_VS_CN

SHOWN_PLANES = ("coronal", "axial")

RESPONSES = (
    ("ventricle_change_ml", "", "ventricles,\nchange (ml)"),
    ("hippocampus_change_ml", "", "hippocampi,\nchange (ml)"),
    ("response", "code", "code probe,\nchange (SD)"),
    ("response", "voxels", "voxel probe,\nchange (SD)"),
)
"""Metric, judge and label of each panel."""


def plot_manipulation(
    examples: Examples, task: str, diagnoses: Mapping[str, Any]
) -> tuple[Figure, pd.DataFrame]:
    """One scan edited by rising amounts, and the difference of each to the unedited decoding.

    Parameters
    ----------
    examples
        As :func:`ldae.evaluation.editing.manipulation.manipulate_attribute` returns them.
    task
        Edited attribute, ``ad_vs_cn`` or ``age``.
    diagnoses
        Words for diagnoses (:class:`ldae.data.diagnoses.Diagnoses`).

    Returns
    -------
    tuple
        Figure, and one row per amount: scan, method, task, training_seed, amount,
        mean_difference_in_mask, mean_abs_difference_in_mask, color_limit.
    """
    amounts = np.asarray(examples["amounts"], float)
    zero = int(np.argmin(np.abs(amounts)))
    inside, mask = crop(examples, [task], np.asarray(examples["mask"]) > 0)
    edited = inside[task]
    centre = brain_centre(mask)
    differences = (edited - edited[zero]) * mask
    limit = difference_limit(differences)
    low, high = "younger", "older"
    if task == AD_VS_CN:
        low, high = (f"towards {diagnoses[group]}" for group in ("control", "patient"))
    with theme():
        figure = new_figure(4.0)
        axes = figure.subplots(2 * len(SHOWN_PLANES), len(amounts), squeeze=False)
        for j, amount in enumerate(amounts):
            for i, plane in enumerate(SHOWN_PLANES):
                show_slice(axes[2 * i, j], cut(edited[j], plane, centre), sides=True)
                image = cut(differences[j], plane, centre)
                drawn = show_slice(axes[2 * i + 1, j], image, **difference_colors(limit))
            end = {0: f"\n{low}", len(amounts) - 1: f"\n{high}"}.get(j, "\n ")
            axes[0, j].set_title(f"a = {amount:g}{end}".replace("-", "−"))
        for i, text in enumerate(("decoded", "minus a = 0") * len(SHOWN_PLANES)):
            axes[i, 0].set_ylabel(text)
        color_bar(figure, drawn, axes, DIFFERENCE_LABEL, shrink=0.5, aspect=30, pad=0.01)
    data = pd.DataFrame(
        {
            "scan": str(examples["scan"]),
            "method": str(examples["method"]),
            "task": task,
            "training_seed": int(examples["training_seed"]),
            "amount": amounts,
            "mean_difference_in_mask": [d[mask].mean() for d in differences],
            "mean_abs_difference_in_mask": [np.abs(d[mask]).mean() for d in differences],
            "color_limit": limit,
        }
    )
    return figure, data


def describe_manipulation(data: pd.DataFrame, methods: Methods) -> str:
    """Caption of :func:`plot_manipulation`."""
    row = data.iloc[0]
    return (
        f"Scan {row['scan']}: its code by the {methods.label(row['method'])} was moved by an "
        f"amount a along the direction of {TASK_LABELS[row['task']]} (at a = 1 its entries move by "
        "one standard deviation in root mean square) and decoded from the scan's own stochastic "
        f"code. Lower rows: difference to a = 0 inside the mask (±{row['color_limit']:.2f}). "
        f"{captions.shown_seed(data)} {CONVENTION}"
    )


def plot_dose_response(table: pd.DataFrame, methods: Methods) -> tuple[Figure, pd.DataFrame]:
    """Responses against the amount a, one row of panels for each edited attribute.

    Parameters
    ----------
    table
        Table ``manipulation``.
    methods
        The study's methods.

    Returns
    -------
    tuple
        Figure, and the rows shown.
    """
    table = table.assign(judge=table["judge"].fillna(""), attribute=table["attribute"].fillna(""))
    on_target = (table["attribute"] == "") | (table["attribute"] == table["task"])
    names = {name for name, _, _ in RESPONSES}
    data = table[table["metric"].isin(names) & on_target & table["amount"].notna()]
    data = data.reset_index(drop=True)
    ranked = table[table["metric"].str.endswith("_spearman") & on_target]
    trends = ranked.set_index(["method", "task", "metric", "judge"])["value"].to_dict()
    models = shown_models(methods, data["method"])
    tasks = list(dict.fromkeys(data["task"]))
    with theme():
        figure = new_figure(0.3 + 1.95 * len(tasks), 7.6)
        axes = figure.subplots(len(tasks), len(RESPONSES), squeeze=False)
        for row, task in zip(axes, tasks, strict=True):
            for axis, (name, judge, text) in zip(row, RESPONSES, strict=True):
                wanted = (data["metric"] == name) & (data["judge"] == judge)
                _draw_responses(axis, data[wanted & (data["task"] == task)], models)
                axis.set_ylabel(text)
                spearman = f"{name.removesuffix('_ml')}_spearman"
                axis.set_title(
                    _ranks(trends, [(m.name, task, spearman, judge) for m in models]), fontsize=7.5
                )
            row[0].annotate(
                TASK_LABELS.get(task, task), (-0.68, 0.5), xycoords="axes fraction", rotation=90,
                va="center", ha="center", fontweight="bold",
            )  # fmt: skip
        for axis in axes[-1]:
            axis.set_xlabel("amount a")
        if len(models) > 1:
            legend_below(figure, axes[0, 0], len(models))
    return figure, data


def _ranks(trends: Mapping[Any, float], keys: list[tuple[str, ...]]) -> str:
    """Rank correlations of a panel's models as its title, as far as there are any."""
    ranks = [f"{trends[key]:.2f}" for key in keys if np.isfinite(trends.get(key, np.nan))]
    return f"ρ {', '.join(ranks)}" if ranks else ""


def _draw_responses(axis: Axes, rows: pd.DataFrame, models: list[Method]) -> None:
    """One response of every model against the amount."""
    for model in models:
        curve = rows[rows["method"] == model.name].sort_values("amount")
        x = curve["amount"].to_numpy(float)
        color = TASK_COLORS.get(next(iter(curve["task"]), ""), BLACK)
        low, high = curve["ci_low"].astype(float), curve["ci_high"].astype(float)
        axis.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        axis.plot(
            x, curve["value"], marker=model.look.marker, linestyle=model.look.line, color=color,
            label=model.look.label,
        )  # fmt: skip
    axis.axhline(0, color=BLACK, linewidth=0.6)
    axis.axvline(0, color=BLACK, linewidth=0.6)


def describe_dose_response(data: pd.DataFrame, methods: Methods) -> str:
    """Caption of :func:`plot_dose_response`."""
    models = shown_models(methods, data["method"])
    lines = {"-": "solid", "--": "dashed", "-.": "dash-dotted", ":": "dotted"}
    drawn = "; ".join(f"{m.look.label} ({lines[m.look.line]})" for m in models)
    return (
        f"Response to edits by amount a, as the change against a = 0: {drawn}. Volumes are "
        "measured on the decoded scans in template space. The code probe was fitted on other "
        "participants than the probe that gave the direction, and the voxel probe never saw a "
        "code; both are in standard deviations of their score between participants. Titles: mean "
        "rank correlation (Spearman's ρ), in the order of the models. "
        f"{captions.intervals(data)} {captions.facts(data)}"
    )
