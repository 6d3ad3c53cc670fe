"""Reading a cohort in BIDS: who was scanned, when, and which file it is.

Only file names and tables are read, and of the images their checksums. Names of columns are
compared without regard to case; of those accepted, the first that is present is taken:

========== ==================================================================================
age        ``age``, ``age_years``, ``age_at_scan``, ``age_at_baseline`` (years)
sex        ``sex``, ``gender``; values F, female, woman, 2 and M, male, man, 1
diagnosis  ``diagnosis``, ``dx``, ``group``, ``diagnosis_baseline``
site       ``site``, ``site_id``, ``scanner``, ``center``, ``centre`` (optional)
months     ``months``, ``session_months``, ``month``; else ``days``; else ``acq_time`` (ISO
           8601), counted from the participant's earliest session; else the session's label:
           ``ses-M012``, ``ses-m12``, ``ses-d0365`` (days, as OASIS-3 has them), ``ses-bl``,
           ``ses-baseline``, and the first one counted, ``ses-01``
========== ==================================================================================

An age in ``*_sessions.tsv`` is the age at that visit; an age in ``participants.tsv`` is the age at
month 0, to which the months are added.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from ldae.data.addresses import labels_of, scan_name
from ldae.data.bids_tables import (
    AGE_LIMIT,
    Faults,
    Participant,
    months_of_label,
    read_participants,
    read_sessions,
)
from ldae.data.manifest import SCAN_COLUMNS, CohortSummary, summarise_scans
from ldae.data.pseudonyms import Pseudonyms, cohort_key, key_file
from ldae.errors import InputError

logger = logging.getLogger(__name__)

T1_ENDINGS = ("_T1w.nii.gz", "_T1w.nii")


def read_bids(bids_dir: Path, n_workers: int, public: bool) -> pd.DataFrame:
    """Table of all T1-weighted scans of a BIDS folder.

    Parameters
    ----------
    bids_dir
        Folder with ``participants.tsv`` and ``sub-*/[ses-*/]anat/*_T1w.nii[.gz]``; where a
        participant has sessions, ``sub-*/sub-*_sessions.tsv`` is read if it is there.
    n_workers
        Threads that compute checksums.
    public
        Whether the participants' own labels are kept; else scans and subjects bear pseudonyms
        (:mod:`ldae.data.pseudonyms`), and only the paths tell who they are.

    Returns
    -------
    DataFrame
        `ldae.data.manifest.SCAN_COLUMNS`, sorted by subject and months. An empty image file is
        listed like any other: preprocessing excludes it and gives the reason.

    Raises
    ------
    InputError
        Before any image is read, one error with all faults (the first ten spelled out), each with
        file, participant or scan, and remedy: no participants table; a line with more cells than
        columns; a column is missing; an age is missing, no number, or not between 0 and 120; a
        diagnosis is missing; a sex is unknown; a participant is listed twice or has no scan; a
        scan's participant or session is not listed; two T1-weighted images of one session; two
        sessions in the same month; a visit of unknown month; a file that is a link to nothing.
    """
    scans = _collect(bids_dir)
    root = Path(bids_dir)
    with ThreadPoolExecutor(max_workers=max(1, n_workers)) as pool:
        scans["sha256"] = list(pool.map(_checksum, (root / path for path in scans["path"])))
    _name_scans(scans, root, public)
    logger.info("Found %d scans of %d participants", len(scans), scans["subject"].nunique())
    return scans[list(SCAN_COLUMNS)]


def list_scans(bids_dir: Path, public: bool) -> pd.DataFrame:
    """Names and files of all scans, from the names of folders and files alone.

    A change of age or diagnosis does not change this table: it is all that preprocessing needs.

    Parameters
    ----------
    bids_dir
        Folder of a cohort that `read_bids` or `describe_bids` has found no fault with.
    public
        As for `read_bids`.

    Returns
    -------
    DataFrame
        scan, subject, session and path; the first three are those of `read_bids`.

    Raises
    ------
    InputError
        If there are two T1-weighted images of one session or a file is a link to nothing.
    """
    faults = Faults()
    rows = [
        {"subject": subject, "session": session, "path": path}
        for subject, files, _ in _list_images(Path(bids_dir), faults)
        for session, path in files
    ]
    faults.stop(bids_dir)
    scans = pd.DataFrame(rows, columns=["subject", "session", "path"])
    _name_scans(scans, Path(bids_dir), public)
    return scans[["scan", "subject", "session", "path"]]


def cohort_tables(bids_dir: Path) -> list[Path]:
    """Files of a BIDS folder that `read_bids` reads, beside the images."""
    tables = [bids_dir / "participants.tsv", *sorted(bids_dir.glob("sub-*/sub-*_sessions.tsv"))]
    key = key_file(bids_dir)
    return tables if key in tables else [*tables, key]


def describe_bids(bids_dir: Path, public: bool) -> CohortSummary:
    """Summary of a BIDS folder, from its tables and file names only.

    Raises
    ------
    InputError
        As `read_bids`.
    """
    scans = _collect(bids_dir)
    _name_scans(scans, Path(bids_dir), public)
    return summarise_scans(scans)


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


def _checksum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            path, f"the file cannot be read ({error.strerror})", "Check its permissions"
        ) from error


def _collect(bids_dir: Path) -> pd.DataFrame:
    """All scans without names and checksums, after every check."""
    bids_dir = Path(bids_dir)
    if not bids_dir.is_dir():
        raise InputError(bids_dir, "the folder does not exist", "Correct bids_folder")
    faults = Faults()
    participants = read_participants(bids_dir, faults)
    rows: list[dict[str, object]] = []
    scanned: set[str] = set()
    for subject, files, has_sessions_table in _list_images(bids_dir, faults):
        scanned.add(subject)
        participant = participants.get(subject)
        if participant is None:
            if subject not in participants:
                faults.add(
                    bids_dir / "participants.tsv",
                    f"{subject} has a scan ({files[0][1]}) but no row",
                    "Add a row for this participant or remove the folder",
                )
            continue
        visits = _Visits(bids_dir, subject, has_sessions_table, faults)
        rows += visits.read(files, participant)
    for subject in participants:
        if subject not in scanned:
            faults.add(
                bids_dir / "participants.tsv",
                f"{subject} has no T1-weighted scan under {subject}/",
                "Add *_T1w.nii.gz to the participant's anat folder or remove the row",
            )
    faults.stop(bids_dir)
    if not rows:
        raise InputError(
            bids_dir,
            "there is no T1-weighted scan",
            "Expected sub-*/[ses-*/]anat/*_T1w.nii.gz; check the folder",
        )
    table = pd.DataFrame(rows)
    return table.sort_values(["subject", "months", "session"], ignore_index=True)


def _list_images(
    bids_dir: Path, faults: Faults
) -> Iterator[tuple[str, list[tuple[str, str]], bool]]:
    """Per participant with images: label, (session, relative path) pairs, has a sessions table."""
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


def _images_of(bids_dir: Path, session: str, folder: str, faults: Faults) -> list[tuple[str, str]]:
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


class _Visits:
    """Reads the visits of one participant and notes what is wrong with them.

    Parameters
    ----------
    bids_dir
        Folder of the cohort.
    subject
        Label of the participant.
    has_table
        Whether there is a table of sessions.
    faults
        Faults are added here.
    """

    def __init__(self, bids_dir: Path, subject: str, has_table: bool, faults: Faults) -> None:
        self.bids_dir = bids_dir
        self.subject = subject
        self.faults = faults
        self.table = bids_dir / subject / f"{subject}_sessions.tsv"
        self.has_table = has_table
        # None without a table, and where the table has no names of sessions, which is a fault
        self.sessions = read_sessions(self.table, faults) if has_table else None

    def read(
        self, files: list[tuple[str, str]], participant: Participant
    ) -> list[dict[str, object]]:
        """Rows of the scans, given as pairs of session and path."""
        rows: list[dict[str, object]] = []
        for session, path, months, age in self._with_times(files):
            if age is None:
                if participant.age is None:
                    self.faults.add(
                        self.bids_dir / "participants.tsv",
                        f"the age of {self.subject} is missing",
                        "Fill in the column age, in years",
                    )
                    break  # one fault is enough for all visits
                age = participant.age + months / 12
                if age >= AGE_LIMIT:
                    problem = f"the age at this visit would be {age:.1f} years"
                    self.faults.add(path, problem, "Correct age or months")
                    continue
            rows.append(
                {
                    "subject": self.subject,
                    "session": session,
                    "months": months,
                    "age": round(age, 4),
                    "sex": participant.sex,
                    "diagnosis": participant.diagnosis,
                    "site": participant.site,
                    "path": path,
                }
            )
        return rows

    def _with_times(
        self, files: list[tuple[str, str]]
    ) -> Iterator[tuple[str, str, float, float | None]]:
        """Session, path, months since the first visit and the age that the table gives, if any."""
        by_month: dict[float, str] = {}
        for session, path in files:
            months, age = None, None
            if session and self.sessions is not None:
                if session not in self.sessions:
                    problem = f"{session} has a scan ({path}) but no row"
                    self.faults.add(self.table, problem, "Add the row")
                    continue
                months, age = self.sessions[session]
            if months is None:
                months = months_of_label(session)
            if months is None:
                self._add_unknown_month(session, path)
                continue
            if months in by_month:
                self.faults.add(
                    self.table if self.has_table else self.bids_dir / self.subject,
                    f"{by_month[months]} and {session or path} are both at month {months:g}",
                    "Give each visit its own months or keep one of them",
                )
                continue
            by_month[months] = session or path
            yield session, path, months, age

    def _add_unknown_month(self, session: str, path: str) -> None:
        self.faults.add(
            self.table if self.has_table else path,
            f"the months since the first visit of {self.subject} {session} are not known",
            f"Add a column months to {self.table.name} or name sessions like ses-M012 (a bare "
            "number could be months or count the visits)",
        )
