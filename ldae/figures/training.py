"""Figure of the trainings: the loss of every network against optimizer steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ldae.figures.theme import BLACK, PALETTE, legend_below, new_figure, theme
from ldae.methods import Look

SMOOTHING_SHARE = 0.02
"""Share of a training curve over which its running median is taken."""

LOG_SCALE_FROM = 8
"""Ratio of the largest to the smallest loss from which the axis is logarithmic."""

COLUMNS = 3


def plot_training(
    metrics: Mapping[str, pd.DataFrame], networks: Mapping[str, Look]
) -> tuple[Figure, pd.DataFrame]:
    """Loss of every trained network against optimizer steps, training and validation.

    Parameters
    ----------
    metrics
        Log of each network: columns step, seconds and losses named ``train_*`` and ``val_*``; of a
        network with several losses the one called ``loss`` is drawn, else the first. With
        ``training_seed``, where it was trained once for each.
    networks
        Looks of the networks.

    Returns
    -------
    tuple
        Figure, and columns stage, training_seed (empty if all share it), curve, step, seconds,
        value.

    Raises
    ------
    ValueError
        If there is no log.
    """
    if not metrics:
        raise ValueError("there is no training to draw")
    columns = min(COLUMNS, len(metrics))
    n_rows = -(-len(metrics) // columns)
    parts = []
    with theme():
        figure = new_figure(0.35 + 1.95 * n_rows)
        axes = np.atleast_1d(figure.subplots(n_rows, columns, squeeze=False)).ravel()
        for axis, (stage, log) in zip(axes, metrics.items(), strict=False):
            parts += _panel(axis, stage, log, _look(networks, stage))
        for axis in axes[len(metrics) :]:
            axis.set_visible(False)
        for row in range(n_rows):
            axes[row * columns].set_ylabel("loss")
        legend_below(figure, axes[0], 2)
    data = pd.concat(parts, ignore_index=True)
    return figure, data[["stage", "training_seed", "curve", "step", "seconds", "value"]]


def _look(networks: Mapping[str, Look], stage: str) -> Look:
    """Look of a network; the autoencoder, which all share, is none of the registered ones."""
    return networks.get(stage, Look(stage.replace("_", " "), "black"))


def _panel(axis: Axes, stage: str, log: pd.DataFrame, look: Look) -> list[pd.DataFrame]:
    """Draw the trainings of one network, and give what is drawn."""
    parts = []
    log = log if "training_seed" in log else log.assign(training_seed=np.nan)
    for number, (seed, one) in enumerate(log.groupby("training_seed", dropna=False)):
        for curve in _draw_losses(axis, one, look, labelled=number == 0):
            parts.append(curve.assign(stage=stage, training_seed=seed))
    axis.set_title(look.label)
    axis.set_xlabel("optimizer step")
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    drawn = [line.get_ydata() for line in axis.get_lines()]
    values = np.concatenate([np.asarray(v, float) for v in drawn]) if drawn else np.ones(1)
    if values.min() > 0 and values.max() / values.min() > LOG_SCALE_FROM:
        axis.set_yscale("log")
    return parts


def _draw_losses(
    axis: Axes, log: pd.DataFrame, look: Look, *, labelled: bool
) -> Iterator[pd.DataFrame]:
    """Draw one training's losses, and give what is drawn: step, seconds, curve, value."""
    color = PALETTE[look.color]
    for kind, shade, text in (("train", color, "training"), ("val", BLACK, "validation")):
        name = _main_loss(log, kind)
        if name is None:
            continue
        curve = log[["step", "seconds", name]].dropna()
        curve = curve.rename(columns={name: "value"})
        smooth = curve["value"]
        if kind == "train" and len(curve) > 1 / SMOOTHING_SHARE:
            axis.plot(curve["step"], curve["value"], color=shade, alpha=0.25, linewidth=0.6)
            window = max(3, round(SMOOTHING_SHARE * len(curve)))
            smooth = smooth.rolling(window, center=True, min_periods=1).median()
        style = "-" if kind == "train" else "--"
        marker = "" if kind == "train" and len(curve) > 30 else "."
        label = text if labelled else None
        axis.plot(curve["step"], smooth, style, color=shade, label=label, marker=marker)
        yield curve.assign(curve=name)


def _main_loss(log: pd.DataFrame, kind: str) -> str | None:
    names = [c for c in log.columns if c.startswith(f"{kind}_") and log[c].notna().any()]
    if f"{kind}_loss" in names:
        return f"{kind}_loss"
    return str(names[0]) if names else None


def describe_training(data: pd.DataFrame, networks: Mapping[str, Look]) -> str:
    """Caption of :func:`plot_training`."""
    ends = data.groupby("stage", sort=False)[["step", "seconds"]].max()
    parts = [
        f"{_look(networks, str(stage)).label}: {int(row['step'])} steps in "
        f"{row['seconds'] / 60:.1f} min"
        for stage, row in ends.iterrows()
    ]
    n_seeds = data["training_seed"].nunique()
    each = f"; one line for each of {n_seeds} training seeds" if n_seeds > 1 else ""
    return (
        "Loss of each trained network: the solid line is the running median of the training loss, "
        f"the dashed line the validation loss{each}. {'; '.join(parts)}."
    )
