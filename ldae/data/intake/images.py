"""T1-weighted images of a BIDS folder: which there are, and which of several is taken.

Hidden files (``.DS_Store``, the ``._`` twins of a Mac), derivatives beside the raw scans (with
``space-``, ``desc-`` and other entities that raw scans do not have) and other suffixes are no
scans.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ldae.data.intake.notices import Findings, Kind
from ldae.data.intake.settings import LAST, Intake

T1_ENDINGS = ("_T1w.nii.gz", "_T1w.nii")
DERIVED = ("space", "desc", "res", "den", "label", "from", "to")
"""Entities that only derivatives have."""
ENTITY_ORDER = ("acq", "ce", "rec", "run", "echo", "part", "chunk")
"""Entities of repeated scans, in the order that BIDS gives them in a file's name."""


class Image(NamedTuple):
    """The scan of a session: its label, its path below the cohort's folder, and its repeats."""

    session: str
    path: str
    repeats: tuple[str, ...]
    """Names of the files that were not taken."""


class Folder(NamedTuple):
    """Images of one participant."""

    subject: str
    images: list[Image]
    has_table: bool
    """Whether there is a table of sessions."""


def list_folders(bids_dir: Path, intake: Intake, findings: Findings) -> Iterator[Folder]:
    """Participants with at least one image, by label."""
    for subject in _entries(bids_dir, findings):
        if not subject.startswith("sub-"):
            continue
        images: list[Image] = []
        has_table = False
        for name in _entries(bids_dir / subject, findings):
            if name == "anat" or name.startswith("ses-"):
                session = "" if name == "anat" else name
                folder = _anat_folder(subject, name)
                images += _images_of(bids_dir, session, folder, intake, findings)
            elif name == f"{subject}_sessions.tsv":
                has_table = True
        if images:
            yield Folder(subject, images, has_table)


def image_files(bids_dir: Path) -> Iterator[Path]:
    """All files that `list_folders` looks at, behind links too; broken links are left out."""
    for subject in _entries(bids_dir, Findings()):
        if not subject.startswith("sub-"):
            continue
        for name in _entries(bids_dir / subject, Findings()):
            if name == "anat" or name.startswith("ses-"):
                folder = bids_dir / _anat_folder(subject, name)
                paths = (folder / file for file in _t1_names(folder, Findings()))
                yield from (path for path in paths if path.exists())


def natural(text: str) -> list[tuple[int, int, str]]:
    """Key that sorts ``wave2`` before ``wave10``."""
    parts = re.split(r"(\d+)", text.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


def _anat_folder(subject: str, name: str) -> str:
    """Folder of images; `name` is that of a session's folder, or ``anat`` where there is none."""
    return f"{subject}/anat" if name == "anat" else f"{subject}/{name}/anat"


def _entries(folder: Path, findings: Findings) -> list[str]:
    """Names in a folder, hidden ones left out; empty if it is no folder."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        links = (path for path in (folder, folder.parent) if path.is_symlink())
        for broken in (path for path in links if not path.exists()):
            text = f"{broken.name} is left out: {why_unreadable(broken)}"
            findings.note(Kind.UNREADABLE, text, next(_subjects(broken), ""))
        return []
    except OSError as error:
        problem = f"the folder cannot be read ({error.strerror})"
        findings.faults.add(folder, problem, "Check its permissions")
        return []
    return sorted(name for name in names if not name.startswith("."))


def _subjects(path: Path) -> Iterator[str]:
    return (part for part in path.parts if part.startswith("sub-"))


def _t1_names(folder: Path, findings: Findings) -> list[str]:
    return [name for name in _entries(folder, findings) if name.endswith(T1_ENDINGS)]


def _images_of(
    bids_dir: Path, session: str, folder: str, intake: Intake, findings: Findings
) -> list[Image]:
    """List with the one scan of a session, or empty."""
    subject = folder.partition("/")[0]
    raw = []
    for name in _t1_names(bids_dir / folder, findings):
        path = f"{folder}/{name}"
        entities = _entities(name)
        if derived := [f"{key}-{entities[key]}" for key in DERIVED if key in entities]:
            text = f"{path} is a derivative ({', '.join(derived)}), not a raw scan"
            findings.note(Kind.IGNORED, text, subject, session)
        elif _belongs(name, subject, session, bids_dir / folder, findings):
            if os.access(bids_dir / path, os.R_OK):
                raw.append(name)
            else:
                text = f"{path} is left out: {why_unreadable(bids_dir / path)}"
                findings.note(Kind.UNREADABLE, text, subject, session)
    if not raw:
        return []
    taken = min(raw, key=lambda name: _rank(name, intake))
    others = tuple(name for name in raw if name != taken)
    if others:
        text = f"{folder}: {taken} is taken, not {', '.join(others)}"
        findings.note(Kind.REPEAT, text, subject, session)
    return [Image(session, f"{folder}/{taken}", others)]


def why_unreadable(path: Path) -> str:
    """Why a file cannot be read, and what to do about it."""
    if path.exists():
        return "its permissions do not allow to read it"
    if not path.is_symlink():
        return "there is no such file"
    return "it is a link to nothing, whose content must be fetched first (e.g. git annex get)"


def _belongs(name: str, subject: str, session: str, folder: Path, findings: Findings) -> bool:
    """Whether a file's name does not contradict its folder; else a fault is noted."""
    if name.startswith("_".join((*filter(None, (subject, session)), ""))):
        return True  # whatever characters the labels have
    entities = _entities(name)
    named = [(key, f"{key}-{entities[key]}") for key in ("sub", "ses") if key in entities]
    for key, label in named:
        own = subject if key == "sub" else session
        if label != own and not (key == "ses" and not session):
            findings.faults.add(
                folder / name,
                f"the file's name says {label} and its folder {own}",
                "Find out whose scan it is, and rename or move the file",
            )
            return False
    return True


def _entities(name: str) -> dict[str, str]:
    """Entities of a file's name, such as ``{"sub": "01", "run": "2"}``."""
    parts = (part.partition("-") for part in name.partition("_T1w.")[0].split("_"))
    return {key: value for key, dash, value in parts if dash}


def _rank(name: str, intake: Intake) -> tuple[object, ...]:
    """Place of a scan among the repeats of its session; the lowest is taken.

    First what the settings prefer; then, entity by entity, a scan without it before one with it
    and lower numbers before higher ones, or the reverse among the latter.
    """
    entities = _entities(name)
    stems = name.partition(".")[0].split("_")
    wanted = [place for place, part in enumerate(intake.prefer) if part in stems]
    sign = -1 if intake.repeats == LAST else 1
    further = sorted(set(entities) - {"sub", "ses", *ENTITY_ORDER})
    order: list[object] = []
    for key in (*ENTITY_ORDER, *further):
        value = entities.get(key, "")
        number = sign * int(value) if value.isdecimal() else 0
        # a scan without a run is the first of them, and one without acq- comes before all others
        order.append((key != "run" and bool(value), number, natural(value)))
    return (min(wanted, default=len(intake.prefer)), len(further), *order, name.endswith(".nii"))
