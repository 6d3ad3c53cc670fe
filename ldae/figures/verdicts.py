"""Figure of the verdicts: what holds, fails or stays open, by statement and model."""

from __future__ import annotations

from textwrap import wrap
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ldae.conclusions.verdicts import FAILS, HOLDS, OPEN
from ldae.evaluation.probes.fitting import CROSS_VALIDATED
from ldae.figures import captions
from ldae.figures.theme import (
    BLACK,
    BLUE,
    RUST,
    TASK_LABELS,
    legend_below,
    new_figure,
    shown_models,
    theme,
)
from ldae.methods import Method, Methods
from ldae.subsets import WORDS

FACES = {HOLDS: BLUE, OPEN: "#ececec", FAILS: RUST}
INKS = {HOLDS: "white", OPEN: BLACK, FAILS: "white"}
CONDITIONS = ("against", "task", "attribute", "judge", "operation", "region", "gap_months", "split")
WIDTH = 7.0
INDENT = 0.12
LINE_INCHES = 0.155
TEXT_INCHES = 3.3
COLUMN_GAP = 0.05
HEADER_INCHES = 0.058  # of a character
REGIONS = {"mask": "inside the mask", "whole": "whole volume"}


def plot_verdicts(table: pd.DataFrame, methods: Methods) -> tuple[Figure, pd.DataFrame]:
    """One line per statement, one column per model; colour is the verdict, text the number.

    Parameters
    ----------
    table
        Table ``verdicts``; more than a few ablations in it are not drawn.
    methods
        The study's methods.

    Returns
    -------
    tuple
        Figure, and the rows shown.

    Raises
    ------
    ValueError
        If it holds no verdict on a model.
    """
    table = table[table["verdict"].isin(FACES)]
    models = shown_models(methods, table["method"])
    if not models:
        raise ValueError("there is no verdict to draw")
    columns = {model.name: column for column, model in enumerate(models)}
    table = table[table["method"].isin(columns)]
    lines = _lines(table, methods)
    with theme():
        figure = new_figure(0.75 + LINE_INCHES * len(lines))
        axis = figure.subplots()
        for y, line in enumerate(lines):
            weight = "bold" if line.depth == 0 else "normal"
            left = INDENT * max(0, line.depth - 1)
            axis.text(left, y, line.text, va="center", fontsize=6.8, fontweight=weight)
            for _, row in line.rows.iterrows():
                _draw_cell(axis, row, len(models), columns[row["method"]], y)
        _finish(axis, models, len(lines))
        for verdict, face in FACES.items():
            axis.scatter([], [], marker="s", color=face, label=verdict)
        legend_below(figure, axis, len(FACES))
    return figure, table


class _Line(NamedTuple):
    """A line: claims are 0 deep, statements 1, the conditions of a statement 2."""

    depth: int
    text: str
    rows: pd.DataFrame
    """One for each model; none in a heading."""


def _lines(table: pd.DataFrame, methods: Methods) -> list[_Line]:
    """The lines from top to bottom."""
    nothing = table.iloc[:0]
    lines = []
    for claim, of_claim in table.groupby("claim", sort=False):
        lines.append(_Line(0, str(claim), nothing))
        for statement, rows in of_claim.groupby("statement", sort=False):
            parts = [part for _, part in rows.groupby(list(CONDITIONS), sort=False, dropna=False)]
            if len(parts) == 1:
                lines.append(_Line(1, str(statement), rows))
            else:
                lines.append(_Line(1, str(statement), nothing))
                lines += [_Line(2, _conditions(part, rows, methods), part) for part in parts]
    return lines


def _conditions(part: pd.DataFrame, rows: pd.DataFrame, methods: Methods) -> str:
    """What tells one line from the others of its statement, in words."""
    first = part.iloc[0]
    differ = {c for c in CONDITIONS if rows[c].nunique(dropna=False) > 1}
    words = []
    if "against" in differ:
        words.append(methods.label(str(first["against"])))
    if "task" in differ:
        words.append(f"edit of {TASK_LABELS.get(first['task'], first['task'])}")
    if "judge" in differ:
        words.append(f"judged by {first['judge']}")
    if "operation" in differ:
        words.append(str(first["operation"]).replace("_", " "))
    if "region" in differ:
        words.append(REGIONS.get(first["region"], str(first["region"])))
    if "gap_months" in differ:
        gap = first["gap_months"]
        words.append("all gaps" if pd.isna(gap) else f"{int(gap)} months")
    if "split" in differ:
        words.append(
            "cross-validated"
            if first["split"] == CROSS_VALIDATED
            else f"{WORDS[first['split']]} participants"
        )
    return ", ".join(words)


def _column(n_models: int, column: int) -> tuple[float, float]:
    """Left edge and width of a model's column."""
    width = (WIDTH - TEXT_INCHES) / max(4, n_models)
    return WIDTH - (n_models - column) * width + COLUMN_GAP, width - COLUMN_GAP


def _draw_cell(axis: Axes, row: pd.Series, n_models: int, column: int, y: int) -> None:
    """Number of one model on its verdict's colour."""
    left, width = _column(n_models, column)
    axis.barh(y, width, 0.86, left=left, color=FACES[row["verdict"]])
    axis.text(
        left + width / 2, y, _number(row["value"]), va="center", ha="center", fontsize=6.5,
        color=INKS[row["verdict"]],
    )  # fmt: skip


def _number(value: float) -> str:
    """Two digits that count, and no exponent for large numbers."""
    if pd.isna(value):
        return "–"
    return f"{value:.{'0f' if abs(value) >= 99.5 else '2g'}}".replace("-", "−")


def _finish(axis: Axes, models: list[Method], n_lines: int) -> None:
    """Names of the models over their columns, and nothing of an axis."""
    for column, model in enumerate(models):
        left, width = _column(len(models), column)
        name = "\n".join(wrap(model.look.label, int(width / HEADER_INCHES)))
        axis.text(left + width / 2, -0.7, name, va="bottom", ha="center", fontsize=7)
    axis.set(xlim=(0, WIDTH), ylim=(n_lines - 0.4, -2.9))
    axis.axis("off")


def describe_verdicts(data: pd.DataFrame) -> str:
    """Caption of :func:`plot_verdicts`."""
    return (
        "What holds of the claims: for every statement and model the measured number, on the "
        "colour of the verdict. A statement holds where the whole 95 % interval lies on its side "
        "of the bound, fails where the whole interval lies on the other side, and is open where "
        "the interval includes the bound; a dash means that there is no number, for the reason "
        "below the table of the claim. Against another method the number is the model's gain "
        f"on the same participants. {captions.facts(data)}"
    )
