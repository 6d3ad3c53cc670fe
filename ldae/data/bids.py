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

import hashlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from ldae.data.bids_tables import (
    AGE_LIMIT,
    Faults,
    Participant,
    months_of_label,
    read_participants,
    read_sessions,
)
from ldae.data.manifest import SCAN_COLUMNS, CohortSummary, summarise_scans
from ldae.data.pseudonyms import cohort_key, hide_labels
from ldae.errors import InputError

logger = logging.getLogger(__name__)

T1_ENDINGS = ("_T1w.nii.gz", "_T1w.nii")


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
        (:mod:`ldae.data.pseudonyms`), and only the paths tell who they are.

    Returns
    -------
    DataFrame
        `ldae.data.manifest.SCAN_COLUMNS`, sorted by subject and months. An empty image file is
        listed like any other: preprocessing sets it aside with its reason.

    Raises
    ------
    InputError
        Before any image is read, one error with all faults (the first ten spelled out), each with
        file, person or scan, and remedy: no participants table; a line with more cells than
        columns; a column is missing; an age is missing, no number, or not between 0 and 120; a
        diagnosis is missing; a sex is unknown; a participant is listed twice or has no scan; a
        scan's person or session is not listed; two T1-weighted images of one session; two sessions
        in the same month; months that cannot be told; a file that is a link to nothing.
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
    faults = Faults()
    participants = read_participants(bids_dir, faults)
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


def _list_images(
    bids_dir: Path, faults: Faults
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


def _read_visits(
    bids_dir: Path,
    subject: str,
    person: Participant,
    files: list[tuple[str, str]],
    has_sessions_table: bool,
    faults: Faults,
) -> list[dict[str, object]]:
    """Rows of one person's scans."""
    table_path = bids_dir / subject / f"{subject}_sessions.tsv"
    sessions: dict[str, tuple[float | None, float | None]] | None = None
    if has_sessions_table:
        sessions = read_sessions(table_path, faults)
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
