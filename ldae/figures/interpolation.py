"""Figures of interpolation: the visits between two visits, and quality by gap and distance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ldae.figures import captions
from ldae.figures.numbers import errorbars
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
    legend_below,
    new_figure,
    panel_letters,
    theme,
)
from ldae.methods import Methods

LEGEND_COLUMNS = 4
TITLE_CHARACTERS = 12
"""Width of a title over one slice."""

METRICS = {
    "mse": "MSE in the mask",
    "skill": "skill (best trivial = 0)",
    "ventricle_error_ml": "ventricle error (ml)",
    "hippocampus_error_ml": "hippocampus error (ml)",
}
SPANS = {
    "gap_months": "gap A to B (months)",
    "nearest_months": "to nearer visit (months)",
}


def shown_methods(methods: Methods, present: Iterable[str]) -> list[str]:
    """Interpolations among the names `present`: models first, then trivial answers."""
    names = set(present)
    return [name for name in methods.select(evaluation="interpolation") if name in names]


class _Months(NamedTuple):
    """Times of the three visits."""

    start: float
    middle: float
    end: float


def plot_interpolation_sequence(
    examples: Examples, methods: Methods
) -> tuple[Figure, pd.DataFrame]:
    """A participant's visits, the middle one filled in by every method, and what each gets wrong.

    Top: real visits A and B with the model's sequence between them, and the model's change since A.
    Bottom: the real middle visit, each method's, and their differences to it.

    Parameters
    ----------
    examples
        As :func:`ldae.evaluation.interpolation.interpolate_gaps` returns them.
    methods
        The study's methods.

    Returns
    -------
    tuple
        Figure, and one row per method: subject, months_a, months_middle, months_b, method,
        training_seed, mse_in_mask, color_limit.
    """
    names = shown_methods(methods, examples)
    wanted = ["visit_a", "real", "visit_b", "sequence", *names]
    scans, mask = crop(examples, wanted, np.asarray(examples["mask"]) > 0)
    months = _Months(*(float(m) for m in examples["months"]))
    alphas = np.asarray(examples["sequence_alpha"], float)
    changes = (scans["sequence"] - scans["sequence"][0]) * mask
    errors = {name: (scans[name] - scans["real"]) * mask for name in names}
    mse = {name: float(np.square(errors[name][mask]).mean()) for name in names}
    limit = difference_limit(changes, *errors.values())
    view = _View(brain_centre(mask), limit)
    with theme():
        figure = new_figure(5.0)
        axes = figure.subplots(4, max(len(alphas) + 2, len(names) + 1), squeeze=False)
        for axis in axes.ravel():
            axis.set_axis_off()
        real_change = (scans["visit_b"] - scans["visit_a"]) * mask
        drawn = _draw_sequence(axes[:2], scans, alphas, months, [*changes, real_change], view)
        axes[0, 0].set_ylabel(f"{methods.main.look.label}, A to B")
        axes[1, 1].set_ylabel("change since A")
        _draw_answers(axes[2:], scans, errors, mse, methods, view)
        axes[2, 0].set_ylabel(f"month {months.middle:.3g}")
        axes[3, 1].set_ylabel("minus original")
        color_bar(figure, drawn, axes, DIFFERENCE_LABEL, shrink=0.4, aspect=30, pad=0.01)
    data = pd.DataFrame(
        {
            "subject": str(examples["subject"]),
            "months_a": months.start,
            "months_middle": months.middle,
            "months_b": months.end,
            "method": names,
            "training_seed": int(examples["training_seed"]),
            "mse_in_mask": [mse[name] for name in names],
            "color_limit": limit,
        }
    )
    return figure, data


class _View(NamedTuple):
    """Voxel that the slices go through, and limit of the differences' colours."""

    centre: tuple[int, int, int]
    limit: float

    def scan(self, axis: Axes, volume: np.ndarray) -> None:
        """Draw the axial slice of a scan."""
        axis.set_axis_on()
        show_slice(axis, cut(volume, "axial", self.centre), sides=True)

    def difference(self, axis: Axes, volume: np.ndarray) -> AxesImage:
        """Draw the axial slice of a difference."""
        axis.set_axis_on()
        colors = difference_colors(self.limit)
        return show_slice(axis, cut(volume, "axial", self.centre), **colors)


def _draw_sequence(
    axes: np.ndarray,
    scans: Mapping[str, np.ndarray],
    alphas: np.ndarray,
    months: _Months,
    changes: Sequence[np.ndarray],
    view: _View,
) -> AxesImage:
    """Visits A and B with the model's scans between them; below, what changed since A."""
    columns = [("visit A", months.start, scans["visit_a"])]
    columns += [
        (f"α = {alpha:g}", months.start + alpha * (months.end - months.start), volume)
        for alpha, volume in zip(alphas, scans["sequence"], strict=True)
    ]
    columns.append(("visit B", months.end, scans["visit_b"]))
    for axis, (title, month, volume) in zip(axes[0], columns, strict=False):
        view.scan(axis, volume)
        axis.set_title(f"{title}\nmonth {month:.3g}")
    for axis, change in zip(axes[1, 1:], changes, strict=False):
        drawn = view.difference(axis, change)
    return drawn


def _draw_answers(
    axes: np.ndarray,
    scans: Mapping[str, np.ndarray],
    errors: Mapping[str, np.ndarray],
    mse: Mapping[str, float],
    methods: Methods,
    view: _View,
) -> None:
    """The original middle visit and every method's; below, what each gets wrong."""
    view.scan(axes[0, 0], scans["real"])
    axes[0, 0].set_title("original middle")
    for (above, below), name in zip(axes[:, 1:].T, errors, strict=False):
        view.scan(above, scans[name])
        above.set_title("\n".join(wrap(methods.label(name), TITLE_CHARACTERS)))
        view.difference(below, errors[name])
        text = f"MSE {mse[name]:.4f}"
        below.set_xlabel(text, fontsize=7)


def describe_interpolation_sequence(data: pd.DataFrame, methods: Methods) -> str:
    """Caption of :func:`plot_interpolation_sequence`."""
    row = data.iloc[0]
    return (
        f"Visits of {row['subject']} at months {row['months_a']:g}, {row['months_middle']:g} and "
        f"{row['months_b']:g}. Top: the {methods.main.look.label} between the outer visits and its "
        "change since A, beside the observed change at the right. Bottom: the original middle "
        "visit, every method's answer, and the errors. One colour scale "
        f"(±{row['color_limit']:.2f}). "
        f"{captions.shown_seed(data)} {CONVENTION}"
    )


def plot_interpolation_gap(table: pd.DataFrame, methods: Methods) -> tuple[Figure, pd.DataFrame]:
    """Errors of filled-in visits against the real scan, by gap and by distance to the nearer visit.

    Parameters
    ----------
    table
        Table ``interpolation``.
    methods
        The study's methods.

    Returns
    -------
    tuple
        Figure, and the rows shown.
    """
    part = table[
        (table["target"] == "real")
        & table["metric"].isin(METRICS)
        & table["region"].fillna("").isin(["mask", ""])
    ]
    spans = {span: text for span, text in SPANS.items() if part[span].notna().any()}
    data = part[part[list(spans)].notna().any(axis=1)].reset_index(drop=True)
    names = shown_methods(methods, data["method"])
    with theme():
        figure = new_figure(0.5 + 1.95 * len(spans), 7.6)
        axes = figure.subplots(len(spans), len(METRICS), squeeze=False)
        for line, (span, label) in zip(axes, spans.items(), strict=True):
            of_span = data[data[span].notna()]
            places = sorted(of_span[span].astype(int).unique())
            for axis, (metric, text) in zip(line, METRICS.items(), strict=True):
                of_metric = of_span[of_span["metric"] == metric]
                _draw_span(axis, of_metric, span, places, names, methods)
                axis.set_xlabel(label)
                axis.set_ylabel(text)
                if metric == "mse":
                    axis.set_yscale("log")
                if metric == "skill":
                    axis.axhline(0, color=BLACK, linewidth=0.8)
        panel_letters(axes.ravel())
        legend_below(figure, axes[0, 0], LEGEND_COLUMNS)
    return figure, data


def _draw_span(
    axis: Axes,
    rows: pd.DataFrame,
    span: str,
    places: Sequence[int],
    names: Sequence[str],
    methods: Methods,
) -> None:
    """One number of every method, against the months in the column `span`."""
    for k, name in enumerate(names):
        curve = rows[rows["method"] == name].sort_values(span)
        if len(curve):
            x = np.array([places.index(int(months)) for months in curve[span]], float)
            errorbars(axis, x + 0.08 * (k - (len(names) - 1) / 2), curve, methods, name)
    axis.set_xticks(range(len(places)), [str(months) for months in places])
    axis.margins(x=0.12)


def describe_interpolation_gap(data: pd.DataFrame) -> str:
    """Caption of :func:`plot_interpolation_gap`."""
    return (
        "Filled-in visits against the original middle scan, by the gap between the outer visits "
        "(top) and by the distance to the nearer one (bottom): MSE inside the brain mask, skill = "
        "1 − MSE/MSE of the best trivial answer (below 0 a trivial answer is better), and absolute "
        f"errors of ventricle and hippocampus volume. {captions.intervals(data)} "
        f"{captions.facts(data)}"
    )
