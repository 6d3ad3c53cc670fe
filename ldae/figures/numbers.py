"""What figures of tables share: error bars, forest plots, and which rows they show."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ldae.figures.theme import PALETTE, color_of
from ldae.methods import Methods

STANDARD_WINDOW = 11
"""Window of SSIM that is Gaussian, voxels; others are uniform."""


def interval_lengths(rows: pd.DataFrame) -> list[np.ndarray]:
    """Lengths of the error bars below and above each value; 0 where there is no interval."""
    value = rows["value"].to_numpy(float)
    low = np.nan_to_num(value - rows["ci_low"].to_numpy(float)).clip(0)
    high = np.nan_to_num(rows["ci_high"].to_numpy(float) - value).clip(0)
    return [low, high]


def interval_words(rows: pd.DataFrame) -> str:
    """End of an axis label that says what is drawn around the values; empty without intervals."""
    return ", 95 % interval" if rows["ci_low"].notna().any() else ""


def errorbars(axis: Axes, x: np.ndarray, rows: pd.DataFrame, methods: Methods, name: str) -> None:
    """Values with their intervals, in the colour and marker of the method `name`."""
    look = methods.look(name)
    axis.errorbar(
        x, rows["value"].to_numpy(float), yerr=interval_lengths(rows), capsize=2, elinewidth=0.9,
        color=PALETTE[look.color], marker=look.marker, label=look.label,
    )  # fmt: skip


def forest(axis: Axes, rows: pd.DataFrame, methods: Methods, decimals: int) -> None:
    """One line per method from top to bottom: its value, written above it, and its interval.

    Parameters
    ----------
    axis
        Where to draw.
    rows
        Rows of a table in their order, one for each method.
    methods
        The study's methods.
    decimals
        Of the values.
    """
    place = np.arange(len(rows))[::-1]
    for y, (_, row) in zip(place, rows.iterrows(), strict=True):
        color = color_of(methods, row["method"])
        axis.plot([row["ci_low"], row["ci_high"]], [y, y], color=color, linewidth=1.6)
        axis.plot(row["value"], y, "o", color=color)
        axis.annotate(
            f"{row['value']:.{decimals}f}", (row["value"], y), xytext=(0, 4), ha="center",
            textcoords="offset points", fontsize=7,
        )  # fmt: skip
    axis.set_yticks(place, [methods.label(name) for name in rows["method"]])
    axis.set_ylim(-0.6, len(rows) - 0.3)
    axis.grid(visible=False, axis="y")
