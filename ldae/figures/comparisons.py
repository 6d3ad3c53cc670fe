"""Figure of the paired gains of the models under test over every other method."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ldae.figures import captions
from ldae.figures.theme import (
    BLACK,
    color_of,
    legend_below,
    new_figure,
    shown_models,
    theme,
)
from ldae.methods import Method, Methods
from ldae.statistics.tables import scored_split

COLUMNS = 3
TITLE_CHARACTERS, LABEL_CHARACTERS = 18, 22
"""Widths of a title over one panel, and of a method's name beside it."""


class _Panel(NamedTuple):
    """A panel: its title, what values are multiplied with, and the rows that it shows."""

    title: str
    scale: float
    where: dict[str, str]


PANELS = (
    _Panel("AUC of disease", 1, {"claim": "probes", "metric": "roc_auc_gain"}),
    _Panel("age error (years)", 1, {"claim": "probes", "metric": "mae_gain"}),
    _Panel(
        "reconstruction, SSIM", 1,
        {"claim": "reconstruction", "metric": "ssim_gain", "region": "mask"},
    ),
    _Panel(
        "interpolation, MSE\u00a0×\u00a01000", 1000,
        {"claim": "interpolation", "metric": "mse_gain", "region": "mask", "target": "real"},
    ),
    _Panel(
        "interpolation, ventricles (ml)", 1,
        {"claim": "interpolation", "metric": "ventricle_error_gain_ml", "target": "real"},
    ),
)  # fmt: skip


def plot_comparisons(
    table: pd.DataFrame, methods: Methods, n_steps: int, window: int
) -> tuple[Figure, pd.DataFrame]:
    """Forest plot of the paired gains of the models over every other method.

    Parameters
    ----------
    table
        Table ``comparisons``.
    methods
        The study's methods.
    n_steps, window
        Sampler steps and window of SSIM at which reconstructions are compared; what is measured
        with other windows only is left out.

    Returns
    -------
    tuple
        Figure, and the rows shown, with a column panel.

    Raises
    ------
    ValueError
        If no panel has a row.
    """
    models = shown_models(methods, table["method"])
    table = table[table["method"].isin([model.name for model in models])]
    table = table[table["split"] == scored_split(table)]
    panels = list(_panels(table, n_steps, window))
    if not panels:
        raise ValueError("there is nothing to compare")
    height = max(
        rows["against"].nunique() * (0.1 + 0.06 * rows["method"].nunique()) for _, rows in panels
    )
    lines = -(-len(panels) // COLUMNS)
    with theme():
        figure = new_figure(0.5 + lines * (0.7 + height), 7.6)
        axes = figure.subplots(lines, min(COLUMNS, len(panels)), squeeze=False).ravel()
        for axis, (panel, rows) in zip(axes, panels, strict=False):
            _draw_panel(axis, panel, rows, models, methods)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        for model in models:
            axes[0].plot([], [], model.look.marker, color=BLACK, label=model.look.label)
        if len(models) > 1:
            legend_below(figure, axes[0], len(models))
    return figure, pd.concat([rows.assign(panel=panel.title) for panel, rows in panels])


def _panels(
    table: pd.DataFrame, n_steps: int, window: int
) -> Iterator[tuple[_Panel, pd.DataFrame]]:
    """Panels that have rows, each with its own, at one window and number of steps."""
    for panel in PANELS:
        rows = table
        for column, wanted in panel.where.items():
            rows = rows[rows[column] == wanted]
        if rows["window"].notna().any():
            rows = rows[rows["window"].isna() | (rows["window"] == window)]
        if rows["steps"].nunique() > 1:
            rows = rows[rows["steps"] == n_steps]
        if len(rows):
            yield panel, rows


def _draw_panel(
    axis: Axes, panel: _Panel, rows: pd.DataFrame, models: list[Method], methods: Methods
) -> None:
    """One line for each method that is compared with, and in it every model's gain over it."""
    against = list(rows.groupby("against")["value"].max().sort_values().index)
    markers = {m.name: m.look.marker for m in models if m.name in set(rows["method"])}
    order = list(markers)
    for _, row in rows.iterrows():
        k = (len(order) - 1) / 2 - order.index(row["method"])
        y = against.index(row["against"]) + 0.7 * k / len(order)
        color = color_of(methods, row["against"])
        ends = np.array([row["ci_low"], row["ci_high"]], float) * panel.scale
        axis.plot(ends, [y, y], color=color, linewidth=1.6)
        face = "white" if row["ci_low"] <= 0 <= row["ci_high"] else color
        axis.plot(
            row["value"] * panel.scale, y, markers[row["method"]], color=color, mfc=face,
            markersize=4,
        )  # fmt: skip
    axis.axvline(0, color=BLACK, linewidth=0.8)
    names = ["\n".join(wrap(methods.label(name), LABEL_CHARACTERS)) for name in against]
    axis.set_yticks(np.arange(len(against)), names)
    axis.set_ylim(-0.7, len(against) - 0.3)
    axis.set_title("\n".join(wrap(panel.title, TITLE_CHARACTERS)), fontsize=8)
    axis.set_xlabel("gain of the model")
    axis.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axis.grid(visible=False, axis="y")


def describe_comparisons(data: pd.DataFrame, methods: Methods) -> str:
    """Caption of :func:`plot_comparisons`."""
    claims, models = set(data["claim"]), list(data["method"].unique())
    whose = methods.label(models[0]) if len(models) == 1 else "each model of the legend"
    text = (
        f"Gain of {whose} over every other method on the same scans, paired over participants: "
        "right of zero the model is better; filled where the interval excludes zero. "
    )
    if "reconstruction" in claims:
        text += f"Reconstruction is scored inside the mask. {captions.window(data)} "
    if "interpolation" in claims:
        text += "Interpolation is scored inside the mask, against the original scan. "
    return f"{text}{captions.intervals(data)} {captions.facts(data)}"
