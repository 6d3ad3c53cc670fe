"""Reading a cohort (BIDS, CAPS, or a table): who was scanned, when, and which file it is.

Only names of files and tables are read, and of the images their checksums and sizes. Columns and
words are understood by the names that converters and public data sets use
(:mod:`ldae.data.intake.names`) and by the study's own settings
(:mod:`ldae.data.intake.settings`). Age, sex and diagnosis may be
missing. What is left out or decided is a notice; what contradicts itself is a fault and stops the
study before anything is computed.

An age in ``*_sessions.tsv`` is the age at that visit. An age in ``participants.tsv`` is the age at
month 0, to which the months are added; if its column's name says that it is the age at a scan, it
is the age at the first one. A diagnosis belongs to a visit where ``*_sessions.tsv`` gives one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ldae.data.addresses import labels_of, scan_name
from ldae.data.intake.cells import Reading
from ldae.data.intake.copies import checksum, compare_contents, find_copies
from ldae.data.intake.images import Folder, list_folders, natural
from ldae.data.intake.listing import ListingReader
from ldae.data.intake.names import Field, normal_name
from ldae.data.intake.notices import Faults, Findings, Kind, Notice, paste
from ldae.data.intake.participants import (
    Participants,
    match_folders,
    nobody,
    read_participants,
)
from ldae.data.intake.settings import BASELINE, LAST, STABLE, VISIT, Intake
from ldae.data.intake.visits import Session, SessionReader, Source, Visits
from ldae.data.manifest import (
    REPEATS,
    RIVALS,
    RIVALS_SHA256,
    SCAN_COLUMNS,
    CohortSummary,
    scan_files,
    summarise_scans,
)
from ldae.data.pseudonyms import KEY_FILE, Pseudonyms, cohort_key, cohort_pseudonyms, key_file
from ldae.errors import InputError

logger = logging.getLogger(__name__)

DIAGNOSIS_RULES = {
    VISIT: "each visit has its own diagnosis",
    BASELINE: "each visit has the baseline diagnosis of its participant",
    LAST: "each visit has the last diagnosis of its participant",
    STABLE: "they count as participants without a diagnosis",
}
"""What `Intake.diagnosis_of` means for participants whose diagnosis changes."""

AS_IT_COMES = Intake()
"""Names that are known beforehand, and the rules of the default settings."""


@dataclass(frozen=True)
class Cohort:
    """A cohort as it was read.

    Attributes
    ----------
    scans
        `ldae.data.manifest.SCAN_COLUMNS` without, of `read_cohort`, the checksums; ``repeats``,
        the names of repeated scans; and ``rivals``, lists of the paths of those that are taken if
        they are better. Sorted by subject and months.
    notices
        What was left out or decided, with the cohort's own labels.
    """

    scans: pd.DataFrame
    notices: list[Notice]


def read_cohort(
    bids_dir: Path,
    public: bool,
    intake: Intake = AS_IT_COMES,
    findings: Findings | None = None,
) -> Cohort:
    """All T1-weighted scans of a cohort, from its tables and the names of its files.

    Parameters
    ----------
    bids_dir
        BIDS folder with ``participants.tsv`` and ``sub-*/[ses-*/]anat/*_T1w.nii[.gz]``; where a
        participant has sessions, ``sub-*/sub-*_sessions.tsv`` is read if it is there. Or a CAPS
        folder, with tables elsewhere; or the folder that the scans of a table lie in.
    public
        Whether the labels of participants are kept; else scans and subjects have pseudonyms
        (:mod:`ldae.data.pseudonyms`), and only the paths tell who they are.
    intake
        How the cohort is read.
    findings
        Faults and notices are added here, for callers that need them after an error.

    Raises
    ------
    InputError
        One error with all faults (the first ten spelled out), each with file, participant or scan,
        and remedy: no participants table; a line with more cells than columns; no column of
        participants; a column of the settings that no table has; an age that is no number or not
        between 0 and 120; a sex that is not known; diagnoses that are numbers; rows of one
        participant or session that contradict each other; labels that match folders but for leading
        zeros; a file that names another participant or session than its folder; one file under two
        participants; two sessions in the same month; no scan.
    """
    bids_dir = Path(bids_dir)
    if not bids_dir.is_dir():
        raise InputError(bids_dir, "the folder does not exist", "Correct bids_folder")
    elsewhere = intake.table is not None or intake.tables is not None
    if elsewhere and not public and not key_file(bids_dir).is_file():
        raise InputError(
            bids_dir / KEY_FILE,
            "there is no key for the pseudonyms of the participants",
            "Write one (ldae init does, or openssl rand -hex 32), or show the labels: "
            + paste(public=True),
        )
    findings = Findings() if findings is None else findings
    scans = _collect(bids_dir, public, intake, findings)
    find_copies(bids_dir, scan_files(scans), findings.faults)
    findings.faults.stop(bids_dir)
    _name_scans(scans, bids_dir, public)
    return Cohort(scans, findings.notices)


def read_bids(bids_dir: Path, n_workers: int, public: bool, intake: Intake = AS_IT_COMES) -> Cohort:
    """The cohort with the SHA-256 of every scan, and of its rivals.

    An empty image file is listed like any other: preprocessing excludes it and gives the reason.

    Parameters
    ----------
    bids_dir, public, intake
        As for `read_cohort`.
    n_workers
        Threads that compute checksums.

    Raises
    ------
    InputError
        As `read_cohort`, and if a file cannot be read or two participants have the same scan.
    """
    cohort = read_cohort(bids_dir, public, intake)
    scans, root, findings = cohort.scans, Path(bids_dir), Findings()
    files = scan_files(scans)
    with ThreadPoolExecutor(max_workers=max(1, n_workers)) as pool:
        files["sha256"] = list(pool.map(checksum, (root / path for path in files["path"])))
    sums = dict(zip(files["path"], files["sha256"], strict=True))
    scans["sha256"] = scans["path"].map(sums)
    scans[RIVALS_SHA256] = [[sums[path] for path in paths] for paths in scans[RIVALS]]
    compare_contents(root, files, findings)
    findings.faults.stop(root)
    logger.info("Found %d scans of %d participants", len(scans), scans["subject"].nunique())
    columns = [*SCAN_COLUMNS, REPEATS, RIVALS, RIVALS_SHA256]
    return Cohort(scans[columns], [*cohort.notices, *findings.notices])


def list_scans(bids_dir: Path, public: bool, intake: Intake = AS_IT_COMES) -> pd.DataFrame:
    """Names and files of all scans: all that preprocessing needs.

    A change of age or diagnosis does not change this table.

    Parameters
    ----------
    bids_dir, public, intake
        As for `read_cohort`.

    Returns
    -------
    DataFrame
        scan, subject, session, path and rivals.

    Raises
    ------
    InputError
        As `read_cohort`.
    """
    columns = ["scan", "subject", "session", "path", RIVALS]
    return read_cohort(bids_dir, public, intake).scans[columns]


def cohort_tables(bids_dir: Path, intake: Intake = AS_IT_COMES) -> list[Path]:
    """Files of a cohort that `read_bids` reads, beside the images.

    Parameters
    ----------
    bids_dir
        Folder of the cohort.
    intake
        How it is read.
    """
    if intake.table is not None:
        tables = [intake.table_file(bids_dir)]
    else:
        folder = intake.tables_folder(bids_dir)
        tables = [folder / "participants.tsv", *sorted(folder.glob("sub-*/sub-*_sessions.tsv"))]
    key = key_file(bids_dir)
    return tables if key in tables or not key.is_file() else [*tables, key]


def describe_bids(bids_dir: Path, public: bool, intake: Intake = AS_IT_COMES) -> CohortSummary:
    """Summary of a BIDS folder, from its tables and file names only.

    Raises
    ------
    InputError
        As `read_cohort`.
    """
    return summarise_scans(read_cohort(bids_dir, public, intake).scans)


def tabulate_notices(notices: Iterable[Notice], bids_dir: Path, public: bool) -> pd.DataFrame:
    """Notices as a table for readers of the results: kind, subject, session, notice.

    Parameters
    ----------
    notices
        From `read_bids`.
    bids_dir, public
        As for `read_cohort`: labels are hidden if they are not public.
    """
    table = Findings(notices=list(notices)).table()
    if not public:
        hide = cohort_pseudonyms(bids_dir).hide
        for column in ("subject", "session", "notice"):
            table[column] = [hide(text) for text in table[column]]
    return table


def _name_scans(scans: pd.DataFrame, bids_dir: Path, public: bool) -> None:
    """Give every row the scan's name, with pseudonyms unless labels are public."""
    if not public:
        names = Pseudonyms(cohort_key(bids_dir))
        for column in ("subject", "session"):
            scans[column] = scans[column].map(names.show)
    pairs = list(zip(scans["subject"], scans["session"], strict=True))
    for subject, session in pairs:
        if labels_of(scan_name(subject, session)) != (subject, session):
            raise InputError(
                Path(bids_dir) / subject,
                "the label contains _ses-, which begins the session in a scan's name",
                "Rename the folder; BIDS allows letters and digits in a label",
            )
    scans["scan"] = [scan_name(subject, session) for subject, session in pairs]


class _Source(NamedTuple):
    """What the tables and folders of a cohort give."""

    participants: Participants
    folders: list[Folder]
    sessions: dict[str, dict[str, Session]]
    columns: set[str]
    """Names of the columns of all tables of sessions."""


def _collect(bids_dir: Path, public: bool, intake: Intake, findings: Findings) -> pd.DataFrame:
    """All scans without names and checksums; faults are noted."""
    reading = Reading(bids_dir, intake, findings, public)
    found = _read_folders(reading) if intake.table is None else _read_listing(reading)
    participants = found.participants.by_label
    visits = [
        Visits(one, found.sessions[one.subject], participants[one.subject], intake, findings)
        for one in found.folders
        if one.subject in participants
    ]
    reading.ages.check(findings)
    reading.diagnoses.check(bids_dir, findings)
    _check_columns(found.participants, found.columns, intake, findings.faults)
    if not visits:
        findings.faults.stop(bids_dir)
        raise nobody(found.participants, (folder.subject for folder in found.folders))
    _note_choices(visits, intake, findings)
    scans = pd.DataFrame([row for visit in visits for row in visit.rows()])
    scans["age"] = scans["age"].astype(float)
    _note_missing(scans, findings)
    scans = _complete(scans, bids_dir, intake, findings)
    return scans.sort_values(["subject", "months", "session"], ignore_index=True)


def _read_folders(reading: Reading) -> _Source:
    """Tables and images of a BIDS folder."""
    bids_dir, intake, findings = reading.bids_dir, reading.intake, reading.findings
    table = read_participants(reading)
    folders = list(list_folders(bids_dir, intake, findings))
    if not folders:
        raise _no_scan(bids_dir, "Expected sub-*/[ses-*/]anat/*_T1w.nii.gz", findings)
    participants = match_folders(table, (folder.subject for folder in folders), intake, findings)
    rated = Field.DIAGNOSIS not in table.table.places
    reader = SessionReader(reading, rated)
    sessions = {
        folder.subject: reader.read(folder)
        for folder in folders
        if folder.subject in participants.by_label
    }
    return _Source(participants, folders, sessions, reader.columns)


def _read_listing(reading: Reading) -> _Source:
    """A table of scans."""
    findings = reading.findings
    reader = ListingReader(reading)
    if not reader.folders:
        raise _no_scan(reading.bids_dir, "Correct the column of paths", findings)
    # notes who has no scan
    match_folders(reader.everybody, reader.images, reading.intake, findings)
    return _Source(reader.everybody, reader.folders, reader.sessions, set())


def _no_scan(bids_dir: Path, remedy: str, findings: Findings) -> InputError:
    """The error of a cohort without a scan, or the faults that explain it."""
    findings.faults.stop(bids_dir)
    lost = [notice.text for notice in findings.notices if notice.kind is Kind.UNREADABLE]
    why = f": of {len(lost)} files the first, {lost[0]}" if lost else ""
    problem = f"there is no T1-weighted scan that can be read{why}"
    return InputError(bids_dir, problem, f"{remedy}; check the folder")


def _check_columns(
    table: Participants, of_sessions: set[str], intake: Intake, faults: Faults
) -> None:
    """Note columns of the settings that no table has."""
    there = {normal_name(name) for name in (*table.table.columns, *of_sessions)}
    for field, name in intake.columns.items():
        if normal_name(name) not in there and "{" not in name:
            faults.add(
                table.table.path,
                f"no table has the column {name} of the setting cohort.columns.{field} (columns: "
                f"{', '.join((*table.table.columns, *sorted(of_sessions)))})",
                f"Correct it: {paste(columns={field: 'NAME'})}",
            )


def _note_choices(visits: Iterable[Visits], intake: Intake, findings: Findings) -> None:
    """Note what was decided for the cohort as a whole: sources of times, and of diagnoses."""
    visits = list(visits)
    used: Counter[Source] = sum((one.sources for one in visits), Counter())
    for source in (Source.DATE, Source.DAYS):
        if used[source]:
            text = f"the time of {used[source]} visits is counted by {source}, not by the label"
            findings.note(Kind.TIME, text)
    untimed = sorted({label for one in visits for label in one.untimed}, key=natural)
    if untimed:
        months = {label: 12 * n for n, label in enumerate(untimed)}
        findings.note(
            Kind.TIME,
            "visits are left out, because nothing says how many months after the first one they "
            "were; say it in the settings, with the true numbers: " + paste(session_months=months),
        )
    changes = [change for one in visits if (change := one.note_conversion())]
    if changes:
        findings.note(
            Kind.DIAGNOSIS,
            f"{len(changes)} participants change their diagnosis, and {sum(changes)} visits differ "
            f"from the first; {DIAGNOSIS_RULES[intake.diagnosis_of]} (cohort.diagnosis_of)",
        )


def _complete(
    scans: pd.DataFrame, bids_dir: Path, intake: Intake, findings: Findings
) -> pd.DataFrame:
    """Scans that have all fields which the settings require; the others are noted."""
    missing = {field: scans[field].isna() | (scans[field] == "") for field in intake.required}
    lacking = pd.DataFrame(missing, index=scans.index)
    for place in scans.index[lacking.any(axis=1)]:
        subject, session = scans.loc[place, ["subject", "session"]]
        fields = " and ".join(field for field in intake.required if lacking.loc[place, field])
        who = f"{subject} {session}".strip()
        text = f"{who} is left out: {fields} not known (cohort.required)"
        findings.note(Kind(intake.required[0]), text, subject, session)
    complete = scans[~lacking.any(axis=1)]
    if complete.empty:
        findings.faults.stop(bids_dir)
        problem = f"no scan has all that cohort.required names ({', '.join(intake.required)})"
        raise InputError(bids_dir, problem, f"Take it out: {paste(required=[])}")
    return complete


def _note_missing(scans: pd.DataFrame, findings: Findings) -> None:
    """Note how many scans have no known age, sex or diagnosis, and why where nobody's is known."""
    for kind in (Kind.AGE, Kind.SEX, Kind.DIAGNOSIS):
        missing = int((scans[kind].isna() | (scans[kind] == "")).sum())
        if missing == len(scans):
            text = f"no known column gives the {kind}; if one does, name it: "
            findings.note(kind, text + paste(columns={str(kind): "NAME"}))
        elif missing:
            text = f"{missing} of {len(scans)} scans have no known {kind}; no probe of it uses them"
            findings.note(kind, text)
