"""Figure of throughput: seconds and memory per scan, by model and operation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ldae.figures import captions
from ldae.figures.numbers import interval_lengths
from ldae.figures.theme import PALETTE, legend_below, new_figure, panel_letters, theme
from ldae.methods import Look, Methods

SECONDS, MEMORY = "seconds_per_scan", "peak_memory_mb"
RATIO = "speed_ratio_same_sampler"
OPERATIONS = {
    "encode_semantic": "semantic\ncode",
    "encode": "encode",
    "reconstruct": "recon-\nstruct",
    "interpolate": "inter-\npolate",
}
BAR_SHARE = 0.8
"""Share of an operation's place that its bars take together."""


def plot_throughput(table: pd.DataFrame, methods: Methods) -> tuple[Figure, pd.DataFrame]:
    """Seconds per scan and peak memory of each operation, by model.

    Parameters
    ----------
    table
        Table ``throughput``.
    methods
        The study's methods.

    Returns
    -------
    tuple
        Figure, and the rows shown.
    """
    data = table[table["metric"].isin([SECONDS, MEMORY])].reset_index(drop=True)
    operations = [o for o in OPERATIONS if o in set(data["operation"])]
    names = list(dict.fromkeys(data["method"]))
    width = BAR_SHARE / max(1, len(names))
    with theme():
        figure = new_figure(2.8)
        axes = figure.subplots(1, 2, width_ratios=[3, 2])
        for k, name in enumerate(names):
            x = np.arange(len(operations)) + width * (k - (len(names) - 1) / 2)
            rows = table[table["method"] == name]
            of_metric = {m: _by_operation(rows, m, operations) for m in (SECONDS, MEMORY, RATIO)}
            look = methods.look(name)
            _draw_bars(axes[0], x, of_metric[SECONDS], width, look, ranges=True)
            _write_ratios(axes[0], x, of_metric[SECONDS], of_metric[RATIO])
            _draw_bars(axes[1], x, of_metric[MEMORY], width, look, ranges=False)
        for axis, text in zip(axes, ("seconds per scan", "peak memory (MB)"), strict=True):
            axis.set_xticks(range(len(operations)), [OPERATIONS[o] for o in operations])
            axis.set_ylabel(text)
            axis.grid(visible=False, axis="x")
        axes[0].set_yscale("log")
        axes[0].yaxis.set_major_formatter("{x:g}")
        axes[0].margins(y=0.2)
        panel_letters(axes)
        legend_below(figure, axes[0], len(names))
    return figure, data


def _by_operation(rows: pd.DataFrame, metric: str, operations: list[str]) -> pd.DataFrame:
    """Rows of one number, one for each operation; empty where it was not measured."""
    return rows[rows["metric"] == metric].set_index("operation").reindex(operations)


def _draw_bars(
    axis: Axes, x: np.ndarray, rows: pd.DataFrame, width: float, look: Look, *, ranges: bool
) -> None:
    """One bar per operation; with `ranges` from the least to the largest run."""
    axis.bar(
        x, rows["value"].to_numpy(float), width * 0.94, color=PALETTE[look.color], label=look.label,
        yerr=interval_lengths(rows) if ranges else None, capsize=2, error_kw={"elinewidth": 0.9},
    )  # fmt: skip


def _write_ratios(axis: Axes, x: np.ndarray, rows: pd.DataFrame, ratios: pd.DataFrame) -> None:
    """How many times as long the voxel model takes, above the bars."""
    ratio = ratios["value"].to_numpy(float)
    top = rows["ci_high"].fillna(rows["value"]).to_numpy(float)
    for i in np.flatnonzero(np.isfinite(ratio)):
        text = f"{ratio[i]:{'.0f' if ratio[i] >= 10 else '.2g'}}×"
        axis.annotate(
            text, (x[i], top[i]), ha="center", va="bottom", rotation=90, xytext=(0, 3),
            textcoords="offset points", fontsize=6.5,
        )  # fmt: skip


def describe_throughput(data: pd.DataFrame, methods: Methods) -> str:
    """Caption of :func:`plot_throughput`."""
    device = ", ".join(str(d) for d in data["device"].dropna().unique())
    taken = data.dropna(subset=["steps"]).drop_duplicates("method")
    steps = "; ".join(
        f"{methods.label(m)} {int(n)}" for m, n in zip(taken["method"], taken["steps"], strict=True)
    )
    return (
        "(a) Seconds per scan: median over runs, from the least to the largest. The number above a "
        "bar is the time of the voxel model with the same sampler, divided by the model's. "
        f"Sampler steps, each way: {steps}. (b) Peak memory of tensors beyond weights and inputs. "
        f"Same scans, same run, {device}. {captions.facts(data)}"
    )
