"""The table of scans, and what a plan needs to know about a cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ldae.errors import InputError

SCAN_COLUMNS: tuple[str, ...] = (
    "scan", "subject", "session", "months", "age", "sex", "diagnosis", "site", "path", "sha256",
)  # fmt: skip
LABEL_COLUMNS: tuple[str, ...] = ("age", "sex", "diagnosis", "site")
"""What participants are besides their visits; only what learns from labels reads them."""
VISIT_COLUMNS: tuple[str, ...] = ("scan", "subject", "session", "months")
"""What preprocessing and trainings without labels know of a scan."""
NUMBER_COLUMNS = ("months", "age")
# Names of repeated scans that were not taken; a column only of cohorts that have some.
REPEATS = "repeats"
# Paths of those among them of which one is taken if it is better, and their checksums.
RIVALS, RIVALS_SHA256 = "rivals", "rivals_sha256"
BETWEEN = "; "
# Visits that a participant needs for an interpolation: one before, one between, one after.
VISITS_FOR_INTERPOLATION = 3


@dataclass(frozen=True)
class CohortSummary:
    """What the plan depends on.

    Attributes
    ----------
    visits
        Number of scans of each participant, by the label in the table of scans.
    words
        Number of scans with each diagnosis; scans without one are not counted.
    has_age
        Whether any age is known.
    scans
        The table that was summarised; what it allows depends on the split of its participants.
    """

    visits: Mapping[str, int]
    words: Mapping[str, int]
    has_age: bool
    scans: pd.DataFrame = field(compare=False, repr=False)

    @property
    def diagnoses(self) -> tuple[str, ...]:
        """Diagnoses that occur, sorted."""
        return tuple(sorted(self.words))

    @property
    def n_subjects(self) -> int:
        """Number of participants."""
        return len(self.visits)

    @property
    def n_scans(self) -> int:
        """Number of scans."""
        return sum(self.visits.values())

    @property
    def n_visits_max(self) -> int:
        """Largest number of scans of one participant."""
        return max(self.visits.values(), default=0)

    @property
    def n_longitudinal(self) -> int:
        """Number of participants with as many visits as interpolation needs."""
        return sum(n >= VISITS_FOR_INTERPOLATION for n in self.visits.values())


def summarise_scans(scans: pd.DataFrame) -> CohortSummary:
    """Summary of a table with at least the columns subject, diagnosis and age."""
    visits = scans.groupby("subject").size()
    words = scans.loc[scans["diagnosis"] != "", "diagnosis"].value_counts()
    return CohortSummary(
        visits={str(subject): int(n) for subject, n in visits.items()},
        words={str(word): int(n) for word, n in words.items()},
        has_age=bool(scans["age"].notna().any()),
        scans=scans,
    )


def read_scans(path: Path) -> pd.DataFrame:
    """Table of scans with typed columns.

    An empty session, sex, diagnosis or site stays an empty string, and an empty age is NaN.

    Raises
    ------
    InputError
        If the file is missing, a column is missing or unknown, a number is not one, a scan occurs
        twice, or the table is empty.
    """
    table = read_strings(path)
    missing = [name for name in SCAN_COLUMNS if name not in table.columns]
    if missing:
        raise InputError(
            path,
            f"column {', '.join(missing)} is missing",
            "Let the workflow write the table again",
        )
    for name in NUMBER_COLUMNS:
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = numbers.isna() & ((table[name] != "") | (name != "age"))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise InputError(
                path,
                f"row {row + 2}: {name} {table[name].iloc[row]!r} is not a number",
                "Let the workflow write the table again",
            )
        table[name] = numbers.astype(float)
    _check_scans(table, path)
    return table[list(SCAN_COLUMNS)]


def read_rivals(path: Path) -> pd.DataFrame:
    """As `read_scans`, and with ``rivals``, lists of paths, where repeats compete.

    Raises
    ------
    InputError
        As `read_scans`.
    """
    scans, text = read_scans(path), read_strings(path)
    if RIVALS not in text.columns:
        return scans
    lists = [cell.split(BETWEEN) if cell else [] for cell in text[RIVALS]]
    return scans.assign(**{RIVALS: lists})


def scan_files(scans: pd.DataFrame) -> pd.DataFrame:
    """Table with a row for every file of the scans: rivals have the other cells of their scan."""
    if RIVALS not in scans.columns:
        return scans
    paths = [[path, *more] for path, more in zip(scans["path"], scans[RIVALS], strict=True)]
    lists = pd.Series(paths, index=scans.index, dtype=object)
    return scans.assign(path=lists).explode("path", ignore_index=True)


def write_visits(scans: pd.DataFrame, path: Path) -> None:
    """Write a table of scans without labels and without files, sorted by subject and months.

    A corrected label leaves it as it is, byte for byte.
    """
    ordered = _in_order(scans)[list(VISIT_COLUMNS)]
    ordered.to_csv(path, sep="\t", index=False, lineterminator="\n")


def read_visits(path: Path) -> pd.DataFrame:
    """Table of scans that :func:`write_visits` wrote, columns ``VISIT_COLUMNS``.

    Raises
    ------
    InputError
        If the file is missing, or a column is.
    """
    table = read_strings(path)
    missing = [name for name in VISIT_COLUMNS if name not in table.columns]
    if missing:
        remedy = "Let the workflow write the table again"
        raise InputError(path, f"column {', '.join(missing)} is missing", remedy)
    return table[list(VISIT_COLUMNS)].assign(months=table["months"].astype(float))


def write_scans(scans: pd.DataFrame, path: Path) -> None:
    """Write a table of scans, sorted by subject and months.

    A column ``repeats`` is written where a scan has some, and so are ``rivals`` and
    ``rivals_sha256``.

    Raises
    ------
    InputError
        If a column is missing, a scan occurs twice, or the table is empty.
    """
    missing = [name for name in SCAN_COLUMNS if name not in scans.columns]
    if missing:
        raise InputError(path, f"column {', '.join(missing)} is missing", "Add it before writing")
    _check_scans(scans, path)
    ordered = _in_order(scans)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(SCAN_COLUMNS)
    if REPEATS in scans.columns and scans[REPEATS].any():
        columns.append(REPEATS)
    if RIVALS in scans.columns and scans[RIVALS].map(len).any():
        lists = (RIVALS, RIVALS_SHA256)
        ordered = ordered.assign(**{name: ordered[name].map(BETWEEN.join) for name in lists})
        columns += lists
    ordered[columns].to_csv(path, sep="\t", index=False, lineterminator="\n")


def _in_order(scans: pd.DataFrame) -> pd.DataFrame:
    return scans.sort_values(["subject", "months", "scan"], kind="stable")


def _check_scans(scans: pd.DataFrame, path: Path) -> None:
    if scans.empty:
        raise InputError(path, "there are no scans", "Check the cohort's folder")
    twice = scans["scan"][scans["scan"].duplicated()]
    if len(twice):
        raise InputError(path, f"scan {twice.iloc[0]} occurs twice", "Keep one row per scan")
    unknown = scans.loc[~scans["sex"].isin(["F", "M", ""])]
    if len(unknown):
        row = unknown.iloc[0]
        raise InputError(path, f"scan {row.scan} has sex {row.sex!r}", "Use F or M, or nothing")


def read_strings(path: Path) -> pd.DataFrame:
    """Table of tab-separated values as text.

    Raises
    ------
    InputError
        If there is no such file, or it is no table.
    """
    try:
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(path, "the table does not exist", "Run the rule that writes it") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(
            path, "the file is not a table of tab-separated values", "Write the table again"
        ) from error
