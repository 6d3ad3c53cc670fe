"""The tables of a BIDS folder: participants and sessions."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from pathlib import Path

from ldae.errors import CohortError, InputError

LABEL_NAMES = ("participant_id",)
AGE_NAMES = ("age", "age_years", "age_at_scan", "age_at_baseline")
SEX_NAMES = ("sex", "gender")
DIAGNOSIS_NAMES = ("diagnosis", "dx", "group", "diagnosis_baseline")
SITE_NAMES = ("site", "site_id", "scanner", "center", "centre")
MONTHS_NAMES = ("months", "session_months", "month")
SEXES = {
    "f": "F", "female": "F", "woman": "F", "2": "F",
    "m": "M", "male": "M", "man": "M", "1": "M",
}  # fmt: skip
# What tables write for a value that is not known; BIDS itself says "n/a".
UNKNOWN = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown"})
BASELINE_LABELS = frozenset({"bl", "baseline", "base", "screening"})
# A number with its unit. One without may be months or count the visits, and is not read; but for
# the first, which is month 0 where visits are counted and at most one month off where not.
LABEL_IN_MONTHS = re.compile(r"^(?:(?:m|months?)(\d+)|(\d+)(?:m|mo|months?))$")
LABEL_IN_DAYS = re.compile(r"^(?:d|days?)(\d+)$")
FIRST_LABEL = re.compile(r"^0*[01]?$")
DAYS_PER_MONTH = 365.25 / 12
AGE_LIMIT = 120.0


@dataclass
class Faults:
    """Faults found so far, reported together."""

    found: list[InputError] = field(default_factory=list)

    def add(self, source: str | Path, problem: str, remedy: str) -> None:
        """Note one more fault."""
        self.found.append(InputError(source, problem, remedy))

    def stop(self, bids_dir: Path) -> None:
        """Raise the one fault, or one error that lists the first of several."""
        if not self.found:
            return
        if len(self.found) == 1:
            raise self.found[0]
        remedy = "Correct them and start again; nothing has been computed"
        raise CohortError(bids_dir, self.found, remedy)


@dataclass(frozen=True)
class Table:
    """A table of strings: column names as written, and rows with their line in the file."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]

    def column(self, names: Sequence[str]) -> str | None:
        """Name of the first of these columns that is there, compared without case."""
        by_name = {name.strip().lower(): name for name in reversed(self.columns)}
        return next((by_name[name] for name in names if name in by_name), None)


@dataclass(frozen=True)
class Participant:
    """One participant of the table: age at month 0 (None if unknown), sex, diagnosis and site."""

    age: float | None
    sex: str
    diagnosis: str
    site: str


def read_table(path: Path) -> Table:
    """Cells of a TSV file as text; InputError where it is missing or no table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter="\t"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            path, "the file is not a table of tab-separated values in UTF-8", "Save it as such"
        ) from error
    header = tuple(lines[0]) if lines else ()
    rows: list[tuple[int, dict[str, str]]] = []
    for number, line in enumerate(lines[1:], 2):
        cells = [cell.strip() for cell in line]
        if any(cells[len(header) :]):
            raise InputError(
                path,
                f"line {number} has more cells than the first line has names of columns",
                "Write one cell for each column, a tab between two",
            )
        if any(cells):
            # what is missing at a line's end is not known
            rows.append((number, dict(zip_longest(header, cells[: len(header)], fillvalue=""))))
    return Table(path, header, tuple(rows))


def known(value: str | None) -> str | None:
    """Value, or None where the table says that it is not known."""
    if value is None or value.strip().lower() in UNKNOWN:
        return None
    return value.strip()


def with_prefix(label: str, prefix: str) -> str:
    """`label` with its BIDS prefix, such as ``sub-``."""
    return label if label.startswith(prefix) else prefix + label


def read_participants(bids_dir: Path, faults: Faults) -> dict[str, Participant | None]:
    """Participants by label; None for one whose row has a fault."""
    path = bids_dir / "participants.tsv"
    if not path.is_file():
        raise InputError(
            path,
            "the table of participants does not exist",
            "Add one with the columns participant_id, age, sex and diagnosis",
        )
    table = read_table(path)
    _check_columns(table, faults)
    faults.stop(bids_dir)
    label_column = str(table.column(LABEL_NAMES))
    participants: dict[str, Participant | None] = {}
    for line, row in table.rows:
        label = known(row.get(label_column))
        if label is None:
            faults.add(path, f"line {line} has no participant_id", "Fill it in")
            continue
        subject = with_prefix(label, "sub-")
        if subject in participants:
            faults.add(
                path, f"line {line}: {subject} is listed twice", "Keep one row per participant"
            )
            continue
        participants[subject] = _read_participant(table, line, row, subject, faults)
    return participants


def _check_columns(table: Table, faults: Faults) -> None:
    """Note the columns that a table of participants must have and has not."""
    for names in (LABEL_NAMES, SEX_NAMES, DIAGNOSIS_NAMES):
        if table.column(names) is None:
            others = f" (or {', '.join(names[1:])})" if len(names) > 1 else ""
            faults.add(table.path, f"column {names[0]}{others} is missing", "Add the column")


def _read_participant(
    table: Table, line: int, row: dict[str, str], subject: str, faults: Faults
) -> Participant | None:
    """One row of the table of participants; None where it has a fault."""
    age_column, site_column = table.column(AGE_NAMES), table.column(SITE_NAMES)
    before = len(faults.found)
    age = None
    if age_column is not None and (text := known(row.get(age_column))) is not None:
        age = parse_age(text, table.path, f"line {line}, {subject}", faults)
    text = row.get(str(table.column(SEX_NAMES)), "")
    sex = SEXES.get(text.lower())
    if sex is None:
        problem = f"line {line}, {subject}: sex {text!r} is not known"
        faults.add(table.path, problem, "Use F or M")
    diagnosis = known(row.get(str(table.column(DIAGNOSIS_NAMES))))
    if diagnosis is None:
        problem = f"line {line}, {subject}: the diagnosis is missing"
        faults.add(table.path, problem, "Fill it in, e.g. CN")
    if len(faults.found) > before or sex is None or diagnosis is None:
        return None
    site = known(row.get(site_column)) if site_column else None
    return Participant(age, sex, diagnosis, site or "")


def parse_age(text: str, path: Path, where: str, faults: Faults) -> float | None:
    """Age in years; None, with a fault noted, where `text` is none."""
    try:
        age = float(text)
    except ValueError:
        faults.add(path, f"{where}: age {text!r} is not a number", "Give the age in years")
        return None
    if not 0 < age < AGE_LIMIT:
        faults.add(
            path,
            f"{where}: age {text} is not between 0 and {AGE_LIMIT:.0f} years",
            "Correct the age; it must be in years",
        )
        return None
    return age


def read_sessions(
    path: Path, faults: Faults
) -> dict[str, tuple[float | None, float | None]] | None:
    """Months and age by session label; None where the table does not give them."""
    table = read_table(path)
    label_column = table.column(("session_id", "session"))
    if label_column is None:
        faults.add(path, "column session_id is missing", "Add the column")
        return None
    age_column = table.column(AGE_NAMES)
    months_column = table.column(MONTHS_NAMES)
    days_column = table.column(("days",))
    time_column = table.column(("acq_time",))
    times: dict[str, datetime] = {}
    sessions: dict[str, tuple[float | None, float | None]] = {}
    for line, row in table.rows:
        label = known(row.get(label_column))
        if label is None:
            faults.add(path, f"line {line} has no session_id", "Fill it in")
            continue
        session = with_prefix(label, "ses-")
        if session in sessions:
            faults.add(path, f"line {line}: {session} is listed twice", "Keep one row per session")
            continue
        months = age = None
        where = f"line {line}, {session}"
        for column, per_month in ((months_column, 1.0), (days_column, DAYS_PER_MONTH)):
            text = known(row.get(column)) if column else None
            if months is None and text is not None:
                months = parse_time(text, per_month, path, where, faults)
        if age_column and (text := known(row.get(age_column))) is not None:
            age = parse_age(text, path, where, faults)
        if time_column and (text := known(row.get(time_column))) is not None:
            try:
                times[session] = datetime.fromisoformat(text).replace(tzinfo=None)
            except ValueError:
                if months is None:
                    remedy = "Write e.g. 2024-05-31T10:00:00"
                    faults.add(path, f"{where}: acq_time {text!r} is no date", remedy)
        sessions[session] = (months, age)
    _count_months(sessions, times)
    return sessions


def _count_months(
    sessions: dict[str, tuple[float | None, float | None]], times: dict[str, datetime]
) -> None:
    """Fill in missing months by the times of acquisition.

    They are counted from the earliest visit, or from the earliest of those with known months.
    """
    if not times:
        return
    first = min(times, key=lambda session: (sessions[session][0] is None, times[session]))
    start = sessions[first][0] or 0.0
    for session, time in times.items():
        months, age = sessions[session]
        if months is None:
            days = (time - times[first]).total_seconds() / 86400
            sessions[session] = (round(start + days / DAYS_PER_MONTH, 2), age)


def parse_time(text: str, per_month: float, path: Path, where: str, faults: Faults) -> float | None:
    """Time in months; None, with a fault noted, where `text` is none."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not value >= 0:
        faults.add(
            path,
            f"{where}: the time since the first visit, {text!r}, is not a number >= 0",
            "Correct the number",
        )
        return 0.0
    return round(value / per_month, 4)


def months_of_label(session: str) -> float | None:
    """Months that a session's label gives: ``ses-M012`` 12, ``ses-d0365`` 11.99, ``ses-bl`` 0.

    No session, and the first of counted ones (``ses-01``), are month 0.

    Returns
    -------
    float or None
        None if the label gives none.
    """
    label = session.removeprefix("ses-").lower()
    if label in BASELINE_LABELS or FIRST_LABEL.match(label):
        return 0.0
    if match := LABEL_IN_MONTHS.match(label):
        return float(match.group(1) or match.group(2))
    if match := LABEL_IN_DAYS.match(label):
        return round(float(match.group(1)) / DAYS_PER_MONTH, 4)
    return None
