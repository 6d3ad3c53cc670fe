"""The table of participants: age, sex, diagnosis and site of everybody in a cohort."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ldae.data.intake.cells import Place, Reading, SexReader
from ldae.data.intake.images import is_caps
from ldae.data.intake.names import PARTICIPANT_COLUMNS, SCAN_AGES, Field, normal_name
from ldae.data.intake.notices import Findings, Kind, paste
from ldae.data.intake.settings import Intake
from ldae.data.intake.tables import Table, missing_column, read_table
from ldae.errors import InputError

TABLE = "participants.tsv"
MAX_LABELS_SHOWN = 5


@dataclass(frozen=True)
class Participant:
    """One participant of the table.

    Attributes
    ----------
    line
        In the table.
    age
        Years, None if unknown.
    age_at_scan
        Whether this is the age at the first scan, not at month 0.
    sex, diagnosis, site
        Empty where unknown.
    """

    line: int
    age: float | None
    age_at_scan: bool
    sex: str
    diagnosis: str
    site: str


@dataclass(frozen=True)
class Participants:
    """All participants by label, and the fields and columns of their table."""

    by_label: dict[str, Participant]
    table: Table


def with_prefix(label: str, prefix: str) -> str:
    """`label` with its BIDS prefix, such as ``sub-``."""
    return label if label.startswith(prefix) else prefix + label


def read_participants(reading: Reading) -> Participants:
    """Participants of ``participants.tsv``.

    Raises
    ------
    InputError
        If the table is missing, is no table, or has no column of participants.
    """
    bids_dir, intake, findings = reading.bids_dir, reading.intake, reading.findings
    path = intake.tables_folder(bids_dir) / TABLE
    if not path.is_file():
        raise _no_table(path, bids_dir)
    table = read_table(path, PARTICIPANT_COLUMNS, intake.columns, findings)
    if Field.SUBJECT not in table.places:
        missing_column(table, Field.SUBJECT, findings.faults)
        findings.faults.stop(bids_dir)
    note_encoding(table, findings)
    sexes = SexReader(intake.sexes, (table.cells(r).get(Field.SEX, "") for _, r in table.rows))
    participants: dict[str, Participant] = {}
    for line, row in table.rows:
        cells = table.cells(row)
        if Field.SUBJECT not in cells:
            findings.note(Kind.TABLE, f"{TABLE}: line {line} names no participant")
            continue
        subject = with_prefix(cells[Field.SUBJECT], "sub-")
        place = Place(path, line, subject)
        one = _read_row(cells, table, place, sexes, reading)
        if subject in participants:
            _compare(participants[subject], one, place, findings)
        else:
            participants[subject] = one
    sexes.check(path, findings)
    return Participants(participants, table)


def _no_table(path: Path, bids_dir: Path) -> InputError:
    """The error of a cohort without a table of participants."""
    if is_caps(bids_dir):
        remedy = "Name the BIDS folder that the CAPS folder was made from: "
        remedy += paste(tables="/data/bids")
    else:
        tables = sorted(one.name for one in bids_dir.glob("*.[ct]sv"))
        remedy = (
            "Add one with the column participant_id and, as far as they are known, age, sex and "
            "diagnosis; or name the folder that has one: " + paste(tables="FOLDER")
        )
        remedy += "; or a table with a row for each scan and a column of paths: "
        remedy += paste(table=tables[0] if tables else "scans.csv")
    return InputError(path, "the table of participants does not exist", remedy)


def note_encoding(table: Table, findings: Findings) -> None:
    """Note that a table is not in Unicode."""
    if table.encoding == "latin-1":
        findings.note(Kind.TABLE, f"{table.path.name} is not in Unicode; it is read as Latin-1")


def _read_row(
    cells: dict[Field, str],
    table: Table,
    place: Place,
    sexes: SexReader,
    reading: Reading,
) -> Participant:
    """One row; what is not known or at fault is None or empty."""
    age = diagnosis = None
    if text := cells.get(Field.AGE):
        age = reading.ages.read(text, place, reading.findings)
    if text := cells.get(Field.DIAGNOSIS):
        diagnosis = reading.diagnoses.read(text)
    sex = sexes.read(cells[Field.SEX]) if Field.SEX in cells else ""
    at_scan = normal_name(table.places.get(Field.AGE, "")) in SCAN_AGES
    site = cells.get(Field.SITE, "")
    return Participant(place.line, age, at_scan, sex, diagnosis or "", site)


def _compare(first: Participant, second: Participant, place: Place, findings: Findings) -> None:
    """Note a participant's second row: a fault where it contradicts the first."""
    lines = f"lines {first.line} and {second.line}"
    differing = [
        f"{name} {getattr(first, name)} and {getattr(second, name)}"
        for name in ("age", "sex", "diagnosis", "site")
        if getattr(first, name) != getattr(second, name)
    ]
    if differing:
        findings.faults.add(
            place.path,
            f"{place.subject} is listed twice, in {lines}, with {', '.join(differing)}",
            "Keep the row that is right",
        )
    else:
        text = f"{TABLE}: {place.subject} is listed twice with the same values ({lines})"
        findings.note(Kind.TABLE, text, place.subject)


def match_folders(
    participants: Participants, folders: Iterable[str], intake: Intake, findings: Findings
) -> Participants:
    """Participants under the labels of their folders, and notices of those without a partner.

    Parameters
    ----------
    participants
        From the table.
    folders
        Labels of the folders that have a scan.
    intake
        Whether leading zeros of a label count.
    findings
        A fault is noted where labels match but for zeros and the settings do not allow it.
    """
    known, found = dict(participants.by_label), list(folders)
    with_scan = set(found)
    lonely = [label for label in known if label not in with_scan]
    strange = [label for label in found if label not in known]
    pairs = _match_without_zeros(lonely, strange)
    if pairs and not intake.ignore_leading_zeros:
        label, folder = next(iter(pairs.items()))
        findings.faults.add(
            participants.table.path,
            f"{len(pairs)} labels match their folders but for leading zeros ({label}, {folder})",
            f"If these are the same participants, set {paste(ignore_leading_zeros=True)}",
        )
    for label, folder in pairs.items():
        known[folder] = known.pop(label)
    for label in sorted(set(lonely) - set(pairs)):
        text = f"{label} has no T1-weighted scan and is left out"
        findings.note(Kind.NO_SCAN, text, label)
    for folder in sorted(set(strange) - set(pairs.values())):
        text = f"{folder} has scans but no row in {TABLE} and is left out"
        findings.note(Kind.NO_ROW, text, folder)
    return replace(participants, by_label=known)


def _match_without_zeros(labels: Iterable[str], folders: Iterable[str]) -> dict[str, str]:
    """Label of the table to label of the folder, where that is one to one."""
    groups: defaultdict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for place, names in enumerate((labels, folders)):
        for name in names:
            groups[re.sub(r"(?<!\d)0+(?=\d)", "", name)][place].append(name)
    return {a[0]: b[0] for a, b in groups.values() if len(a) == len(b) == 1}


def nobody(participants: Participants, folders: Iterable[str]) -> InputError:
    """The error of a table and folders that have no participant in common."""
    path, column = participants.table.path, participants.table.places[Field.SUBJECT]
    listed, found = sorted(participants.by_label), sorted(folders)
    return InputError(
        path,
        f"no participant of column {column} ({_few(listed)}) has a folder with T1-weighted scans "
        f"({_few(found)})",
        "Check the folder, or name the column that has the folders' labels: "
        + paste(columns={"subject": "NAME"}),
    )


def _few(labels: list[str]) -> str:
    more = f" and {len(labels) - MAX_LABELS_SHOWN} more" if len(labels) > MAX_LABELS_SHOWN else ""
    return (", ".join(labels[:MAX_LABELS_SHOWN]) or "none") + more
