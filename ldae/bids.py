"""Reading a cohort in BIDS: who was scanned, when, and which file it is.

Only file names and tables are read; images are left alone but for their checksum. Accepted names,
compared without regard to case, the first that is present wins:

========== ==================================================================================
age        ``age``, ``age_years``, ``age_at_scan``, ``age_at_baseline`` (years)
sex        ``sex``, ``gender``; values F, female, woman, 2 and M, male, man, 1
diagnosis  ``diagnosis``, ``dx``, ``group``, ``diagnosis_baseline``
site       ``site``, ``site_id``, ``scanner``, ``center``, ``centre`` (optional)
months     ``months``, ``session_months``, ``month``; else ``days``; else ``acq_time`` (ISO
           8601), counted from the person's earliest session; else the session's label:
           ``ses-M012``, ``ses-m12``, ``ses-d0365`` (days, as OASIS-3 has them), ``ses-bl``,
           ``ses-baseline``, and the first one counted, ``ses-01``
========== ==================================================================================

An age in ``*_sessions.tsv`` is the age at that visit; an age in ``participants.tsv`` is the age at
month 0, to which the months are added.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from pathlib import Path

import pandas as pd

from ldae.errors import InputError
from ldae.manifest import SCAN_COLUMNS, CohortSummary, summarise_scans
from ldae.provenance.pseudonyms import cohort_key, hide_labels

logger = logging.getLogger(__name__)

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
T1_ENDINGS = ("_T1w.nii.gz", "_T1w.nii")
DAYS_PER_MONTH = 365.25 / 12
AGE_LIMIT = 120.0
MAX_FAULTS_SHOWN = 10


@dataclass
class _Faults:
    """Faults found so far, reported together."""

    found: list[InputError] = field(default_factory=list)

    def add(self, source: str | Path, problem: str, mend: str) -> None:
        self.found.append(InputError(source, problem, mend))

    def stop(self, bids_dir: Path) -> None:
        """Raise the one fault, or one error that lists the first of several."""
        if not self.found:
            return
        if len(self.found) == 1:
            raise self.found[0]
        shown = [f"({i}) {fault}" for i, fault in enumerate(self.found[:MAX_FAULTS_SHOWN], 1)]
        left = len(self.found) - len(shown)
        more = f" and {left} more" if left else ""
        raise InputError(
            bids_dir,
            f"{len(self.found)} faults in this cohort: {'; '.join(shown)}{more}",
            "Mend them and start again; nothing has been computed",
        )


@dataclass(frozen=True)
class _Table:
    """A table of strings: column names as written, and rows with their line in the file."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]

    def column(self, names: Sequence[str]) -> str | None:
        """Name of the first of these columns that is there, compared without case."""
        by_name = {name.strip().lower(): name for name in reversed(self.columns)}
        return next((by_name[name] for name in names if name in by_name), None)


@dataclass(frozen=True)
class _Participant:
    age: float | None
    sex: str
    diagnosis: str
    site: str


def read_bids(bids_dir: Path, n_workers: int, public: bool) -> pd.DataFrame:
    """Table of all T1-weighted scans of a BIDS folder.

    Parameters
    ----------
    bids_dir
        Folder with ``participants.tsv`` and ``sub-*/[ses-*/]anat/*_T1w.nii[.gz]``; where a person
        has sessions, ``sub-*/sub-*_sessions.tsv`` is read if it is there.
    n_workers
        Threads that compute checksums.
    public
        Whether the people's own labels are kept; else scans and subjects bear pseudonyms
        (:mod:`ldae.provenance.pseudonyms`), and only the paths tell who they are.

    Returns
    -------
    DataFrame
        `ldae.manifest.SCAN_COLUMNS`, sorted by subject and months. An empty image file is listed
        like any other: preprocessing sets it aside with its reason.

    Raises
    ------
    InputError
        Before any image is read, one error with all faults (the first ten spelled out), each with
        file, person or scan, and mend: no participants table; a line with more cells than columns;
        a column is missing; an age is missing, no number, or not between 0 and 120; a diagnosis is
        missing; a sex is unknown; a participant is listed twice or has no scan; a scan's person or
        session is not listed; two T1-weighted images of one session; two sessions in the same
        month; months that cannot be told; a file that is a link to nothing.
    """
    scans = _collect(bids_dir)
    root = Path(bids_dir)
    with ThreadPoolExecutor(max_workers=max(1, n_workers)) as pool:
        scans["sha256"] = list(pool.map(_checksum, (root / path for path in scans["path"])))
    if not public:
        key = cohort_key(root)
        for column in ("scan", "subject"):
            scans[column] = [hide_labels(label, key) for label in scans[column]]
    logger.info("Found %d scans of %d people", len(scans), scans["subject"].nunique())
    return scans[list(SCAN_COLUMNS)]


def cohort_tables(bids_dir: Path) -> list[Path]:
    """Tables of a BIDS folder that `read_bids` reads."""
    return [bids_dir / "participants.tsv", *sorted(bids_dir.glob("sub-*/sub-*_sessions.tsv"))]


def describe_bids(bids_dir: Path) -> CohortSummary:
    """Summary of a BIDS folder, from its tables and file names only.

    Raises
    ------
    InputError
        As `read_bids`.
    """
    return summarise_scans(_collect(bids_dir))


def _checksum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            path, f"the file cannot be read ({error.strerror})", "Check its permissions"
        ) from error


def _collect(bids_dir: Path) -> pd.DataFrame:
    """All scans without checksums, after every check."""
    bids_dir = Path(bids_dir)
    if not bids_dir.is_dir():
        raise InputError(bids_dir, "the folder does not exist", "Correct bids_folder")
    faults = _Faults()
    participants = _read_participants(bids_dir, faults)
    rows: list[dict[str, object]] = []
    scanned: set[str] = set()
    for subject, files, has_sessions_table in _list_images(bids_dir, faults):
        scanned.add(subject)
        person = participants.get(subject)
        if person is None:
            if subject not in participants:
                faults.add(
                    bids_dir / "participants.tsv",
                    f"{subject} has a scan ({files[0][1]}) but no row",
                    "Add a row for this person or remove the folder",
                )
            continue
        rows += _read_visits(bids_dir, subject, person, files, has_sessions_table, faults)
    for subject in participants:
        if subject not in scanned:
            faults.add(
                bids_dir / "participants.tsv",
                f"{subject} has no T1-weighted scan under {subject}/",
                "Add *_T1w.nii.gz to the person's anat folder or remove the row",
            )
    faults.stop(bids_dir)
    if not rows:
        raise InputError(
            bids_dir,
            "there is no T1-weighted scan",
            "Expected sub-*/[ses-*/]anat/*_T1w.nii.gz; check the folder",
        )
    table = pd.DataFrame(rows)
    return table.sort_values(["subject", "months", "scan"], ignore_index=True)


def _read_table(path: Path) -> _Table:
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
    return _Table(path, header, tuple(rows))


def _known(value: str | None) -> str | None:
    """Value, or None where the table says that it is not known."""
    if value is None or value.strip().lower() in UNKNOWN:
        return None
    return value.strip()


def _with_prefix(label: str, prefix: str) -> str:
    return label if label.startswith(prefix) else prefix + label


def _read_participants(bids_dir: Path, faults: _Faults) -> dict[str, _Participant | None]:
    """Participants by label; None for one whose row has a fault."""
    path = bids_dir / "participants.tsv"
    if not path.is_file():
        raise InputError(
            path,
            "the table of participants does not exist",
            "Add one with the columns participant_id, age, sex and diagnosis",
        )
    table = _read_table(path)
    label_column = table.column(("participant_id",))
    sex_column = table.column(SEX_NAMES)
    diagnosis_column = table.column(DIAGNOSIS_NAMES)
    age_column = table.column(AGE_NAMES)
    site_column = table.column(SITE_NAMES)
    for column, names in (
        (label_column, ("participant_id",)),
        (sex_column, SEX_NAMES),
        (diagnosis_column, DIAGNOSIS_NAMES),
    ):
        if column is None:
            others = f" (or {', '.join(names[1:])})" if len(names) > 1 else ""
            faults.add(path, f"column {names[0]}{others} is missing", "Add the column")
    faults.stop(bids_dir)

    participants: dict[str, _Participant | None] = {}
    for line, row in table.rows:
        label = _known(row.get(str(label_column)))
        if label is None:
            faults.add(path, f"line {line} has no participant_id", "Fill it in")
            continue
        subject = _with_prefix(label, "sub-")
        if subject in participants:
            faults.add(path, f"line {line}: {subject} is listed twice", "Keep one row per person")
            continue
        participants[subject] = None
        before = len(faults.found)
        age = None
        if age_column is not None and (text := _known(row.get(age_column))) is not None:
            age = _parse_age(text, path, f"line {line}, {subject}", faults)
        text = row.get(str(sex_column), "")
        sex = SEXES.get(text.lower())
        if sex is None:
            faults.add(path, f"line {line}, {subject}: sex {text!r} is not known", "Use F or M")
        diagnosis = _known(row.get(str(diagnosis_column)))
        if diagnosis is None:
            faults.add(
                path, f"line {line}, {subject}: the diagnosis is missing", "Fill it in, e.g. CN"
            )
        if len(faults.found) == before and sex is not None and diagnosis is not None:
            site = _known(row.get(site_column)) if site_column else None
            participants[subject] = _Participant(age, sex, diagnosis, site or "")
    return participants


def _parse_age(text: str, path: Path, where: str, faults: _Faults) -> float | None:
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


def _list_images(
    bids_dir: Path, faults: _Faults
) -> Iterator[tuple[str, list[tuple[str, str]], bool]]:
    """Per person with images: label, (session, relative path) pairs, has a sessions table."""
    with os.scandir(bids_dir) as entries:
        subjects = sorted(e.name for e in entries if e.name.startswith("sub-") and e.is_dir())
    for subject in subjects:
        files: list[tuple[str, str]] = []
        has_table = False
        with os.scandir(bids_dir / subject) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            if name == "anat":
                files += _images_of(bids_dir, "", f"{subject}/anat", faults)
            elif name.startswith("ses-"):
                files += _images_of(bids_dir, name, f"{subject}/{name}/anat", faults)
            elif name == f"{subject}_sessions.tsv":
                has_table = True
        if files:
            yield subject, files, has_table


def _images_of(bids_dir: Path, session: str, folder: str, faults: _Faults) -> list[tuple[str, str]]:
    """List with the one T1-weighted image of a session, as (session, relative path), or empty."""
    try:
        with os.scandir(bids_dir / folder) as entries:
            images = sorted((e for e in entries if e.name.endswith(T1_ENDINGS)), key=_name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    for entry in images:
        if entry.is_symlink() and not os.path.exists(entry.path):
            faults.add(
                f"{folder}/{entry.name}",
                "the file is a link to nothing",
                "Fetch its content (e.g. git annex get) or remove the link",
            )
    if len(images) > 1:
        faults.add(
            bids_dir / folder,
            f"{len(images)} T1-weighted images of one session "
            f"({', '.join(e.name for e in images[:3])})",
            "Choose one, e.g. by its run- or acq-, and move the others out of the data set",
        )
    return [(session, f"{folder}/{entry.name}") for entry in images[:1]]


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _read_visits(
    bids_dir: Path,
    subject: str,
    person: _Participant,
    files: list[tuple[str, str]],
    has_sessions_table: bool,
    faults: _Faults,
) -> list[dict[str, object]]:
    """Rows of one person's scans."""
    table_path = bids_dir / subject / f"{subject}_sessions.tsv"
    sessions: dict[str, tuple[float | None, float | None]] | None = None
    if has_sessions_table:
        sessions = _read_sessions(table_path, faults)
    rows: list[dict[str, object]] = []
    by_month: dict[float, str] = {}
    for session, path in files:
        months, age = None, None
        if session and sessions is not None:
            if session not in sessions:
                faults.add(table_path, f"{session} has a scan ({path}) but no row", "Add the row")
                continue
            months, age = sessions[session]
        if months is None:
            months = months_of_label(session)
        if months is None:
            faults.add(
                table_path if has_sessions_table else path,
                f"the months since the first visit of {subject} {session} are not known",
                f"Add a column months to {table_path.name} or name sessions like ses-M012 (a bare "
                "number could be months or count the visits)",
            )
            continue
        if months in by_month:
            faults.add(
                table_path if has_sessions_table else bids_dir / subject,
                f"{by_month[months]} and {session or path} are both at month {months:g}",
                "Give each visit its own months or keep one of them",
            )
            continue
        by_month[months] = session or path
        if age is None:
            if person.age is None:
                faults.add(
                    bids_dir / "participants.tsv",
                    f"the age of {subject} is missing",
                    "Fill in the column age, in years",
                )
                break
            age = person.age + months / 12
            if age >= AGE_LIMIT:
                faults.add(
                    path, f"the age at this visit would be {age:.1f} years", "Correct age or months"
                )
                continue
        rows.append(
            {
                "scan": f"{subject}_{session}" if session else subject,
                "subject": subject,
                "session": session,
                "months": months,
                "age": round(age, 4),
                "sex": person.sex,
                "diagnosis": person.diagnosis,
                "site": person.site,
                "path": path,
            }
        )
    return rows


def _read_sessions(
    path: Path, faults: _Faults
) -> dict[str, tuple[float | None, float | None]] | None:
    """Months and age (None where the table does not tell) by session label."""
    table = _read_table(path)
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
        label = _known(row.get(label_column))
        if label is None:
            faults.add(path, f"line {line} has no session_id", "Fill it in")
            continue
        session = _with_prefix(label, "ses-")
        if session in sessions:
            faults.add(path, f"line {line}: {session} is listed twice", "Keep one row per session")
            continue
        months = age = None
        where = f"line {line}, {session}"
        for column, per_month in ((months_column, 1.0), (days_column, DAYS_PER_MONTH)):
            text = _known(row.get(column)) if column else None
            if months is None and text is not None:
                months = _parse_time(text, per_month, path, where, faults)
        if age_column and (text := _known(row.get(age_column))) is not None:
            age = _parse_age(text, path, where, faults)
        if time_column and (text := _known(row.get(time_column))) is not None:
            try:
                times[session] = datetime.fromisoformat(text).replace(tzinfo=None)
            except ValueError:
                if months is None:
                    mend = "Write e.g. 2024-05-31T10:00:00"
                    faults.add(path, f"{where}: acq_time {text!r} is no date", mend)
        sessions[session] = (months, age)
    if times:
        # counted from the earliest visit, or from one whose months are told
        first = min(times, key=lambda session: (sessions[session][0] is None, times[session]))
        start = sessions[first][0] or 0.0
        for session, time in times.items():
            months, age = sessions[session]
            if months is None:
                days = (time - times[first]).total_seconds() / 86400
                sessions[session] = (round(start + days / DAYS_PER_MONTH, 2), age)
    return sessions


def _parse_time(
    text: str, per_month: float, path: Path, where: str, faults: _Faults
) -> float | None:
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
    """Months that a session's label tells: ``ses-M012`` 12, ``ses-d0365`` 11.99, ``ses-bl`` 0.

    No session, and the first of counted ones (``ses-01``), are month 0.

    Returns
    -------
    float or None
        None if the label does not tell.
    """
    label = session.removeprefix("ses-").lower()
    if label in BASELINE_LABELS or FIRST_LABEL.match(label):
        return 0.0
    if match := LABEL_IN_MONTHS.match(label):
        return float(match.group(1) or match.group(2))
    if match := LABEL_IN_DAYS.match(label):
        return round(float(match.group(1)) / DAYS_PER_MONTH, 4)
    return None
