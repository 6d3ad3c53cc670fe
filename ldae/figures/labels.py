"""Figure of probes against the number of labelled participants."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ldae.figures import captions
from ldae.figures.numbers import errorbars
from ldae.figures.theme import legend_below, new_figure, panel_letters, theme
from ldae.methods import Methods, Role
from ldae.statistics.measures import AD_VS_CN, AGE

PANELS = {
    (AD_VS_CN, "roc_auc"): "area under the curve",
    (AGE, "mae"): "mean absolute error (years)",
}
SPREAD = 0.012
"""Distance of neighbouring methods at one number of labels, as a share of that number."""

LEGEND_COLUMNS = 4


def plot_labels(table: pd.DataFrame, methods: Methods) -> tuple[Figure, pd.DataFrame]:
    """One line per code: AUC of disease and error of age against the number of labels.

    Parameters
    ----------
    table
        Table ``labels``.
    methods
        The study's methods; ablations are left out.

    Returns
    -------
    tuple
        Figure, and the rows shown.
    """
    shown = [m.name for m in methods.values() if m.ablation_of is None]
    data = table[table["method"].isin(shown) & table["n_labelled"].notna()]
    panels = {k: rows for k in PANELS if len(rows := _panel(data, *k))}
    with theme():
        figure = new_figure(3.6)
        axes = figure.subplots(1, max(1, len(panels)), squeeze=False).ravel()
        for axis, (key, rows) in zip(axes, panels.items(), strict=False):
            _draw(axis, rows, methods)
            axis.set_ylabel(PANELS[key])
        if panels:
            legend_below(figure, axes[0], LEGEND_COLUMNS)
        panel_letters(axes)
    return figure, pd.concat([*panels.values(), data.iloc[:0]], ignore_index=True)


def _panel(data: pd.DataFrame, task: str, metric: str) -> pd.DataFrame:
    return data[(data["task"] == task) & (data["metric"] == metric)]


def _draw(axis: Axes, rows: pd.DataFrame, methods: Methods) -> None:
    """All codes; models under test above the others."""
    present = [name for name in methods if name in set(rows["method"])]
    for place, name in enumerate(sorted(present, key=lambda n: methods.is_(n, Role.MODEL))):
        line = rows[rows["method"] == name].sort_values("n_labelled")
        shift = 1 + SPREAD * (place - len(present) / 2)
        errorbars(axis, line["n_labelled"].to_numpy(float) * shift, line, methods, name)
    counts = sorted(rows["n_labelled"].unique())
    axis.set_xscale("log")
    axis.set_xticks(counts, [str(int(n)) for n in counts])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("labelled participants")


def describe_labels(data: pd.DataFrame) -> str:
    """Caption of :func:`plot_labels`."""
    return (
        "What a code is worth where labels are few: ridge probes of labelled participants, half of "
        "them patients where disease is predicted, each participant predicted by probes of the "
        f"other folds. {captions.intervals(data)} {captions.facts(data)}"
    )
