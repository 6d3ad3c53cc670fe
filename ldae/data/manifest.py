"""The table of scans, the split of its subjects, and what a plan needs to know about a cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ldae.errors import InputError

SCAN_COLUMNS: tuple[str, ...] = (
    "scan", "subject", "session", "months", "age", "sex", "diagnosis", "site", "path", "sha256",
)  # fmt: skip
NUMBER_COLUMNS = ("months", "age")
# Names of repeated scans that were not taken; a column only of cohorts that have some.
REPEATS = "repeats"
SPLITS: tuple[str, ...] = ("train", "val", "test")
# Visits that a participant needs for an interpolation: one before, one between, one after.
VISITS_FOR_INTERPOLATION = 3
# Ages are split into so many groups of equal size within a diagnosis and sex.
AGE_BINS = 4


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
    """

    visits: Mapping[str, int]
    words: Mapping[str, int]
    has_age: bool

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
    table = _read_strings(path)
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


def write_scans(scans: pd.DataFrame, path: Path) -> None:
    """Write a table of scans, sorted by subject and months.

    A column ``repeats`` is written where a scan has some.

    Raises
    ------
    InputError
        If a column is missing, a scan occurs twice, or the table is empty.
    """
    missing = [name for name in SCAN_COLUMNS if name not in scans.columns]
    if missing:
        raise InputError(path, f"column {', '.join(missing)} is missing", "Add it before writing")
    _check_scans(scans, path)
    ordered = scans.sort_values(["subject", "months", "scan"], kind="stable")
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(SCAN_COLUMNS)
    if REPEATS in scans.columns and scans[REPEATS].any():
        columns.append(REPEATS)
    ordered[columns].to_csv(path, sep="\t", index=False, lineterminator="\n")


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


def _read_strings(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(path, "the table does not exist", "Run the rule that writes it") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(
            path, "the file is not a table of tab-separated values", "Write the table again"
        ) from error


def split_subjects(scans: pd.DataFrame, fractions: Mapping[str, float], seed: int) -> pd.DataFrame:
    """Assign every subject to a split, balanced by diagnosis, sex and age.

    Subjects are ordered by diagnosis, sex and age group, at random within a group, and dealt out
    one after another, each to the split that is furthest behind its share. So every stretch of the
    order, however small a group is, is divided nearly in the wanted proportions, and the totals are
    right to within one subject.

    Parameters
    ----------
    scans
        Table of scans; a subject's first visit gives diagnosis, age and sex.
    fractions
        Share of subjects of each split (train, val, test); they sum to 1.
    seed
        Seed of the order within groups.

    Returns
    -------
    DataFrame
        subject, split; sorted by subject. Every split with a share above 0 has a subject, as long
        as there are as many subjects as splits.

    Raises
    ------
    InputError
        If the fractions do not name the splits or do not sum to 1, or there are fewer subjects
        than splits.
    """
    if set(fractions) != set(SPLITS):
        raise InputError(
            "split", f"{dict(fractions)} does not name the splits", "Use train, val, test"
        )
    shares = np.array([float(fractions[name]) for name in SPLITS])
    if (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
        raise InputError("split", f"{dict(fractions)} are not shares that sum to 1", "Correct them")
    subjects = scans.sort_values(["subject", "months"]).groupby("subject", sort=True).first()
    if len(subjects) < (shares > 0).sum():
        raise InputError("split", f"{len(subjects)} subjects are too few to split", "Add subjects")

    rng = np.random.default_rng(seed)
    subjects["lot"] = rng.permutation(len(subjects))
    rank = subjects.groupby(["diagnosis", "sex"])["age"].rank(method="first", na_option="top")
    size = subjects.groupby(["diagnosis", "sex"])["age"].transform("size")
    subjects["age_bin"] = np.floor((rank - 1) / size * AGE_BINS)
    order = subjects.sort_values(["diagnosis", "sex", "age_bin", "lot"]).index
    counts = np.zeros(len(SPLITS))
    assigned: dict[str, int] = {}
    for place, subject in enumerate(order, 1):
        behind = np.where(shares > 0, shares * place - counts, -np.inf)
        chosen = int(np.argmax(np.round(behind, 9)))
        counts[chosen] += 1
        assigned[str(subject)] = chosen
    for empty in np.flatnonzero((counts == 0) & (shares > 0)):
        donor = int(counts.argmax())
        moved = next(subject for subject in reversed(order) if assigned[str(subject)] == donor)
        assigned[str(moved)] = int(empty)
        counts[donor] -= 1
        counts[empty] += 1
    table = pd.DataFrame(
        {"subject": list(assigned), "split": [SPLITS[i] for i in assigned.values()]}
    )
    return table.sort_values("subject", ignore_index=True)


def read_split(path: Path) -> pd.DataFrame:
    """Table of subject and split.

    Raises
    ------
    InputError
        If the file or a column is missing, a split's name is unknown, or a subject occurs twice.
    """
    table = _read_strings(path)
    for name in ("subject", "split"):
        if name not in table.columns:
            raise InputError(path, f"column {name} is missing", "Let the workflow write it again")
    _check_split(table, path)
    return table[["subject", "split"]]


def check_interpolation(scans: pd.DataFrame, split: pd.DataFrame) -> None:
    """Stop before the long work if no interpolated visit can be compared with a real one.

    Where the training split has no such subject, interpolation merely lacks its learned part.

    Parameters
    ----------
    scans, split
        Tables of ``manifest/scans.tsv`` and ``split/split.tsv``.

    Raises
    ------
    InputError
        If no subject of the test split has ``VISITS_FOR_INTERPOLATION`` visits.
    """
    subjects = split.loc[split["split"] == "test", "subject"]
    visits = scans[scans["subject"].isin(subjects)].groupby("subject").size()
    if (visits < VISITS_FOR_INTERPOLATION).all():
        raise InputError(
            "split.test",
            f"no subject of the test split has {VISITS_FOR_INTERPOLATION} visits to interpolate",
            "Give the test split a larger share, or choose another seed.",
        )


def check_split(scans: pd.DataFrame, split: pd.DataFrame) -> None:
    """Stop if a subject is in two splits or in none.

    Raises
    ------
    InputError
        Naming the subject.
    """
    _check_split(split, "split")
    missing = sorted(set(scans["subject"]) - set(split["subject"]))
    if missing:
        raise InputError(
            "split",
            f"{len(missing)} subjects are in no split, first {missing[0]}",
            "Let the workflow split the subjects again",
        )


def _check_split(split: pd.DataFrame, source: Path | str) -> None:
    unknown = split.loc[~split["split"].isin(SPLITS)]
    if len(unknown):
        row = unknown.iloc[0]
        raise InputError(
            source, f"subject {row.subject} is in split {row.split!r}", f"Use {', '.join(SPLITS)}"
        )
    twice = split["subject"][split["subject"].duplicated()]
    if len(twice):
        raise InputError(
            source,
            f"subject {twice.iloc[0]} occurs twice, so a split may leak into another",
            "Keep one row per subject",
        )
