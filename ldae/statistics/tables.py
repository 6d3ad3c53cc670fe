"""Tables of results in one schema, with one row per number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ldae.errors import InputError
from ldae.statistics.predictions import SHARED
from ldae.subsets import TEST, VALIDATION, WORDS
from ldae.wording import counted, listed, ranged

IDENTITY_COLUMNS = ("cohort", "split", "method")
RESULT_COLUMNS = ("seed", "metric", "value", "ci_low", "ci_high", "n_subjects", "n_scans", "note")
SCORE_CONDITIONS: dict[str, tuple[str, ...]] = {
    "reconstruction": ("steps", "region", "window"),
    "stochastic": ("steps", "region", "window"),
    "manipulation": ("task", "attribute", "judge", "steps", "amount", "region"),
    "interpolation": ("steps", "target", "region", "window", "gap_months", "nearest_months"),
}
"""Condition columns of the tables that are made from scores. They are apart from the others, so
that a new table re-runs no evaluation."""

CONDITION_COLUMNS: dict[str, tuple[str, ...]] = {
    **SCORE_CONDITIONS,
    "probes": ("task",),
    "throughput": ("operation", "steps", "batch_size", "device"),
    "volumes": ("structure",),
    "comparisons": ("claim", "task", "against", "steps", "target", "region", "window"),
    "ablations": ("network", "change"),
    "studies": ("claim", "task", "against", "change", "steps", "region", "window"),
    "labels": ("task", "against", "n_labelled"),
    "curves": (
        "claim",
        "task",
        "training_steps",
        "since_steps",
        "steps",
        "amount",
        "region",
        "window",
    ),
    "transfer": (
        "source",
        "task",
        "adaptation",
        "n_labelled",
        "training_steps",
        "steps",
        "region",
        "window",
    ),
    "claims": (
        "claim",
        "protocol",
        "task",
        "attribute",
        "judge",
        "operation",
        "steps",
        "target",
        "region",
        "window",
        "gap_months",
    ),
    "verdicts": (
        "claim",
        "statement",
        "against",
        "task",
        "attribute",
        "judge",
        "operation",
        "region",
        "gap_months",
        "verdict",
        "earned_by",
    ),
}
"""Condition columns of each table. An empty cell means "does not apply" or "all"."""

INTEGER_COLUMNS = (
    "steps", "window", "batch_size", "gap_months", "nearest_months", "n_subjects", "n_scans",
    "n_labelled", "training_steps", "since_steps",
)  # fmt: skip
SPLIT_WORDS = {split: f"{word} split" for split, word in WORDS.items()} | {
    "all": "all splits", "cv": "cross-validated",
}  # fmt: skip

ALWAYS_SHOWN = ("method", "statement", "verdict", "change")
PLAIN_FROM = 0.0001
"""Smaller numbers are shown with an exponent."""

FLOAT_FORMAT = "%.6g"


def table_columns(table: str) -> list[str]:
    """Columns of a table in order; `table` is a key of ``CONDITION_COLUMNS``."""
    return [*IDENTITY_COLUMNS, *CONDITION_COLUMNS[table], *RESULT_COLUMNS]


def tidy(
    rows: pd.DataFrame | Sequence[dict[str, object]],
    table: str,
    *,
    cohort: str,
    seeds: Mapping[str, Sequence[int]],
    split: str = "",
) -> pd.DataFrame:
    """Table with the complete, ordered and typed columns of the schema.

    Parameters
    ----------
    rows
        Rows with at least method, metric and value; missing conditions are left empty.
    table
        Key of ``CONDITION_COLUMNS``.
    cohort
        Name of the cohort of the scans.
    seeds
        For each method, the training seeds over which its numbers are averaged. Methods that are
        not listed are shared by all trainings. Ignored if `rows` have a column seed.
    split
        The evaluated split, if `rows` have no column split.

    Raises
    ------
    ValueError
        If `rows` have columns that are not in the schema, or lack required columns.
    """
    frame = pd.DataFrame(rows).copy()
    columns = table_columns(table)
    unknown = set(frame.columns) - set(columns)
    missing = {"method", "metric", "value"} - set(frame.columns)
    if unknown or missing:
        raise ValueError(f"table {table}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    if "seed" not in frame:
        frame["seed"] = [
            " ".join(map(str, seeds[method])) if method in seeds else SHARED
            for method in frame["method"]
        ]
    defaults: dict[str, Any] = {"cohort": cohort, "split": split, "note": ""}
    for column in columns:
        if column not in frame:
            frame[column] = defaults.get(column, np.nan)
    for column in INTEGER_COLUMNS:
        if column in columns:
            frame[column] = pd.to_numeric(frame[column]).astype("Int64")
    for column in ("value", "ci_low", "ci_high"):
        frame[column] = pd.to_numeric(frame[column]).astype(float)
    return frame[columns].reset_index(drop=True)


def scored_split(table: pd.DataFrame) -> str:
    """Split whose numbers a table shows: test participants if it has any, else validation."""
    return TEST if (table["split"] == TEST).any() else VALIDATION


def read_table(path: Path) -> pd.DataFrame:
    """Table written by :func:`write_table`; empty cells are NaN, or "" in `note` and `split`."""
    frame = pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""], dtype={"seed": str})
    missing = set(IDENTITY_COLUMNS) | set(RESULT_COLUMNS)
    missing -= set(frame.columns)
    if missing:
        raise InputError(path, f"lacks the columns {sorted(missing)}", "Make the table again.")
    for column in ("note", "split"):
        frame[column] = frame[column].fillna("").astype(str)
    return frame


def format_interval(value: float, low: float, high: float) -> str:
    """``value [low, high]`` to three significant digits; a dash if there is no number."""
    if not np.isfinite(value):
        return "–"
    if not (np.isfinite(low) and np.isfinite(high)):
        return _short(value)
    return f"{_short(value)} [{_short(low)}, {_short(high)}]"


def _short(value: float) -> str:
    """Number with three decimals if it is of order one, else with three significant digits."""
    if value == 0 or 0.01 <= abs(value) < 10:
        return f"{value:.3f}"
    if PLAIN_FROM <= abs(value) < 0.01:
        return f"{value:#.3g}"
    return f"{value:.1f}" if 10 <= abs(value) < 1e5 else f"{value:.2e}"


def readable(df: pd.DataFrame) -> pd.DataFrame:
    """Table with a row per method and condition, a column per metric, cells ``value [low, high]``.

    Columns with a single value for the whole table (cohort, seed, …) are dropped; the caption of
    :func:`write_table` states them. A metric with several windows has one column for each window,
    so that it is in the same row as metrics without windows.
    """
    keys = [c for c in df.columns if c not in (*RESULT_COLUMNS, "window")]
    shown = [c for c in keys if c in ALWAYS_SHOWN or df[c].nunique(dropna=False) > 1]
    cells = df[shown].astype(object).where(df[shown].notna(), "")
    for column in shown:
        cells[column] = [_label(value) for value in cells[column]]
    cells["metric"] = df["metric"]
    if "window" in df:
        windows = df["window"].dropna().astype(int)
        of_window = df["metric"].loc[windows.index] + " (window " + windows.astype(str) + ")"
        cells["metric"] = of_window.reindex(df.index).fillna(df["metric"])
    cells["cell"] = [
        format_interval(value, low, high)
        for value, low, high in zip(df["value"], df["ci_low"], df["ci_high"], strict=True)
    ]
    wide = cells.pivot_table(
        index=shown, columns="metric", values="cell", aggfunc="first", sort=False, observed=True
    )
    # The order of first appearance is the order of the evaluation.
    return wide.fillna("").reset_index().rename_axis(columns=None)


def blocks(df: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Parts of a table that are shown separately, with their titles.

    There is one part for each claim and protocol, or else for each task. A table without these
    columns is a single part without a title.
    """
    if "claim" in df:
        by = ["claim", "protocol"] if "protocol" in df else ["claim"]
    elif "task" in df:
        by = ["task"]
    else:
        return [("", df)]
    parts = df.groupby(by, sort=False, dropna=False)
    return [(_part_title(*values), part) for values, part in parts]


def _part_title(first: object, protocol: object = np.nan) -> str:
    title = "" if pd.isna(first) else str(first)  # type: ignore[call-overload]
    return title if pd.isna(protocol) else f"{title}, by the {protocol}'s protocol"  # type: ignore[call-overload]


def _label(value: object) -> str:
    """Condition as text; whole numbers have no decimals."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def caption_facts(df: pd.DataFrame, label: Callable[[str], str] = str) -> str:
    """Cohort, split, numbers of participants and scans, and seeds of a table, as one sentence.

    Parameters
    ----------
    df
        Table from :func:`tidy`.
    label
        Function from the name of a method to its label.
    """

    def names(column: str) -> str:
        return ", ".join(str(v) for v in df[column].dropna().unique() if str(v)) or "none"

    def spread(column: str, noun: str) -> str:
        values = df.loc[df["value"].notna(), column].dropna().astype(int)
        return ranged(values.min(), values.max(), noun) if len(values) else counted(0, noun)

    seeds = training_seeds(df["seed"])
    several = len(seeds) > 1
    shared = [label(m) for m in df.loc[df["seed"] == SHARED, "method"].unique()]
    trained = "no training seed"
    if seeds:
        trained = f"training seed{'s' if several else ''} {', '.join(map(str, seeds))}"
        trained += f" (shared by all trainings: {', '.join(shared)})" if shared else ""
    intervals = f"95 % intervals over {'seeds and ' if several else ''}participants"
    if "operation" in df and df["operation"].notna().all():
        intervals = "intervals from the least to the largest run"
    if df["ci_low"].isna().all():
        intervals = "no intervals"
    return (
        f"Cohort {names('cohort')}; {_splits(df)}; "
        f"{spread('n_subjects', 'participant')}; {spread('n_scans', 'scan')}; {trained}; "
        f"{intervals}."
    )


def _splits(df: pd.DataFrame) -> str:
    """The splits that a table's numbers are of, in words."""
    found = [str(split) for split in df["split"].dropna().unique() if str(split)]
    if not found:
        return "no split"
    return listed([SPLIT_WORDS.get(split, split) for split in found])


def notes_of(df: pd.DataFrame, label: Callable[[str], str] = str) -> list[str]:
    """Notes of a table as lines, each with its metrics, and for edits with attribute and judge.

    Parameters
    ----------
    df
        Table from :func:`tidy`.
    label
        Function from the name of a metric, attribute or judge to its label.
    """
    lines = []
    for note, rows in df[df["note"] != ""].groupby("note", sort=False):
        about = ", ".join(label(metric) for metric in rows["metric"].unique())
        judged = rows[["attribute", "judge"]].dropna() if "judge" in df else rows.iloc[:0]
        pairs = [f"{label(a)} by {label(j)}" for a, j in judged.drop_duplicates().to_numpy()]
        lines.append(f"{about} ({', '.join(pairs)}): {note}" if pairs else f"{about}: {note}")
    return lines


def training_seeds(cells: pd.Series) -> list[int]:
    """Training seeds in the cells of a column ``seed``, sorted."""
    texts = cells.dropna().astype(str)
    return sorted({int(float(s)) for cell in texts[texts != SHARED] for s in cell.split()})


def write_table(df: pd.DataFrame, tsv: Path, md: Path) -> None:
    """Write a table as tab-separated values (`tsv`) and as readable Markdown (`md`).

    Parameters
    ----------
    df
        Table from :func:`tidy`.
    tsv
        File to write, with a fixed float format, so that equal numbers give equal bytes.
    md
        File to write, with cells ``value [low, high]`` and the notes below the table.
    """
    df.to_csv(tsv, sep="\t", index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
    title = Path(md).stem.replace("_", " ").capitalize()
    lines = [f"# {title}", "", caption_facts(df)]
    for name, part in blocks(df):
        wide = readable(part)
        lines += ["", f"## {name[:1].upper()}{name[1:]}"] if name else []
        lines += ["", "| " + " | ".join(wide.columns) + " |", "|" + " --- |" * len(wide.columns)]
        lines += ["| " + " | ".join(row) + " |" for row in wide.astype(str).itertuples(index=False)]
    notes = notes_of(df)
    if notes:
        lines += ["", "Notes", "", *(f"* {note}" for note in notes)]
    Path(md).write_text("\n".join(lines) + "\n", encoding="utf-8")
