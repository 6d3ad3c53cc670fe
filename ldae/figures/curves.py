"""Figure of learning curves: what followed networks can do, against steps of their training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from ldae.conclusions.curves import (
    CHANGE,
    GROUP_MAP,
    INTERPOLATION,
    MANIPULATION,
    PROBES,
    RECONSTRUCTION,
    SKILL,
    SSIM,
    TRUTH,
)
from ldae.figures import captions
from ldae.figures.theme import (
    PALETTE,
    REFERENCE,
    new_figure,
    panel_letters,
    theme,
)
from ldae.methods import Methods
from ldae.statistics.measures import AD_VS_CN, AGE

COLUMNS = 3
BAND = 0.16
"""Opacity of the bands of intervals."""

DOTTED = (0, (1, 1.2))
"""Of what curves are compared with; no method's own line is like it."""

LEGEND_COLUMNS = 4


@dataclass(frozen=True)
class Panel:
    """A measure of learning curves.

    Attributes
    ----------
    claim, metric, task
        Rows of the table; `task` is empty where any will do.
    title
        Above the panel.
    label
        Of its vertical axis.
    zero
        What a value of zero means, where the panel has a line there.
    """

    claim: str
    metric: str
    title: str
    label: str
    task: str = ""
    zero: str = ""

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Its rows of the table."""
        about = (table["claim"] == self.claim) & (table["metric"] == self.metric)
        return table[about & ((table["task"] == self.task) if self.task else True)]


PANELS = (
    Panel(PROBES, "roc_auc", "representation: disease", "area under the curve", AD_VS_CN),
    Panel(PROBES, "mae", "representation: age", "mean error (years)", AGE),
    Panel(MANIPULATION, CHANGE, "edits: ventricles", "change of volume (ml)"),
    Panel(MANIPULATION, TRUTH, "edits: true effect", "correlation of maps"),
    Panel(MANIPULATION, GROUP_MAP, "edits: group difference", "correlation of maps"),
    Panel(RECONSTRUCTION, SSIM, "reconstruction", "SSIM inside the brain"),
    Panel(INTERPOLATION, SKILL, "interpolation", "skill", zero="best trivial answer"),
)
"""Panels in their order; a study has those that it measured."""


def plot_curves(table: pd.DataFrame, methods: Methods) -> tuple[Figure, pd.DataFrame]:
    """Each measure against training steps, one line per followed network.

    Parameters
    ----------
    table
        Table ``curves``.
    methods
        The study's methods.

    Returns
    -------
    tuple
        Figure, and the rows shown.
    """
    panels = {panel: rows for panel in PANELS if len(rows := panel.rows(table))}
    n_rows = -(-len(panels) // COLUMNS) or 1
    with theme():
        figure = new_figure(0.65 + 2.0 * n_rows)
        axes = figure.subplots(n_rows, COLUMNS, squeeze=False).ravel()
        colors = _colors(table, methods)
        for axis, (panel, rows) in zip(axes, panels.items(), strict=False):
            _draw(axis, panel, rows, methods, colors)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        _share_legend(figure, axes[: len(panels)])
        panel_letters(axes[: len(panels)])
    gains = table[table["since_steps"].notna()]
    return figure, pd.concat([*panels.values(), gains], ignore_index=True)


def _colors(table: pd.DataFrame, methods: Methods) -> dict[str, str]:
    """Colour of each line: the method's own, but for an ablation one that no other line has."""
    shown = [name for name in methods if name in set(table["method"])]
    colors: dict[str, str] = {}
    for name in sorted(shown, key=lambda n: methods[n].ablation_of is not None):
        own = methods.look(name).color
        free = (color for color in (own, *PALETTE) if color not in colors.values())
        colors[name] = own if methods[name].ablation_of is None else next(free, own)
    return {name: PALETTE[color] for name, color in colors.items()}


def _draw(
    axis: Axes, panel: Panel, rows: pd.DataFrame, methods: Methods, colors: Mapping[str, str]
) -> None:
    """Curves with their bands, and what they are compared with as level lines."""
    curves = rows[rows["training_steps"].notna()]
    for name in (m for m in methods if m in set(curves["method"])):
        line = curves[curves["method"] == name].sort_values("training_steps")
        steps = line["training_steps"].to_numpy(float)
        look, color = methods.look(name), colors[name]
        axis.plot(
            steps, line["value"], color=color, marker=look.marker, linestyle=look.line,
            label=look.label, zorder=3,
        )  # fmt: skip
        low, high = (line[end].to_numpy(float) for end in ("ci_low", "ci_high"))
        axis.fill_between(steps, low, high, color=color, alpha=BAND, linewidth=0)
    for _, row in rows[rows["training_steps"].isna()].iterrows():
        name = str(row["method"])
        axis.axhline(
            row["value"], color=colors.get(name, PALETTE["grey"]), linestyle=DOTTED, linewidth=1.2,
            label=methods.label(name), zorder=2,
        )  # fmt: skip
    if panel.zero:
        axis.axhline(0, label=panel.zero, **REFERENCE | {"linestyle": "--"})
    _step_axis(axis, curves["training_steps"].to_numpy(float))
    axis.set_title(panel.title)
    axis.set_ylabel(panel.label)


def _step_axis(axis: Axes, steps: np.ndarray) -> None:
    """Logarithmic axis of training steps, with whole numbers."""
    axis.set_xscale("log")
    axis.set_xlim(steps.min() / 1.25, steps.max() * 1.25)
    narrow = steps.max() / steps.min() < 100
    axis.xaxis.set_major_locator(LogLocator(10, (1.0, 3.0) if narrow else (1.0,)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("training step")


def _share_legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """One legend of every line in any panel, each once, in the order of their first appearance."""
    found: dict[str, Artist] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    handles, labels = list(found.values()), list(found)
    figure.legend(handles, labels, loc="outside lower center", ncols=LEGEND_COLUMNS)


def describe_curves(data: pd.DataFrame, methods: Methods) -> str:
    """Caption of :func:`plot_curves`."""
    amount = data["amount"].max()
    edit = f" Edits of ventricles: a = {amount:g}." if pd.notna(amount) else ""
    return (
        "What networks can do after some steps of their training; the last point of each curve is "
        f"the trained network, dotted lines are what it is compared with.{edit} "
        f"{_describe_ends(data, methods)}{captions.intervals(data)} {captions.window(data)} "
        f"{captions.facts(data)}"
    )


def _describe_ends(data: pd.DataFrame, methods: Methods) -> str:
    """Which measures still rose over the last part of each curve."""
    gains = data[data["since_steps"].notna()]
    words = []
    for name, of_network in gains.groupby("method", sort=False):
        last = of_network[of_network["since_steps"] == of_network["since_steps"].max()]
        rose = last.loc[last["ci_low"] > 0, "metric"].str.removesuffix("_gain")
        named = [panel.title for panel in PANELS if panel.metric in set(rose)]
        row = last.iloc[0]
        words.append(
            f"{methods.label(str(name))} (steps {int(row['since_steps']):,} to "
            f"{int(row['training_steps']):,}): {', '.join(named) or 'nothing'}"
        )
    if not words:
        return ""
    return f"Still better at the end, with an interval that excludes zero: {'; '.join(words)}. "
