"""T1-weighted images of a BIDS or CAPS folder: which there are, and which of several is taken.

Hidden files (``.DS_Store``, the ``._`` twins of a Mac), derivatives beside the raw scans (with
``space-``, ``desc-`` and other entities that raw scans do not have) and other suffixes are no
scans. Of a CAPS folder, what Clinica's ``t1-linear`` has written is read: scans in template space,
the cropped ones where there are both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ldae.data.intake.notices import Findings, Kind
from ldae.data.intake.settings import BEST, LAST, Intake

T1_ENDINGS = ("_T1w.nii.gz", "_T1w.nii")
DERIVED = ("space", "desc", "res", "den", "label", "from", "to")
"""Entities that only derivatives have."""
ENTITY_ORDER = ("acq", "ce", "rec", "run", "echo", "part", "chunk")
"""Entities of repeated scans, in the order that BIDS gives them in a file's name."""
CAPS_SUBJECTS = "subjects"
"""Folder of a CAPS folder with those of the participants."""
CAPS_SCANS = "t1_linear"
CROPPED = "desc-Crop"


class Image(NamedTuple):
    """The scan of a session: its label, its path below the cohort's folder, and its repeats."""

    session: str
    path: str
    repeats: tuple[str, ...]
    """Names of the other files; none of them is taken, but for rivals."""
    rivals: tuple[str, ...] = ()
    """Paths of those of which one is taken if it is the best after preprocessing, in order."""


class Folder(NamedTuple):
    """Images of one participant."""

    subject: str
    images: list[Image]
    has_table: bool
    """Whether there is a table of sessions."""


class Visit(NamedTuple):
    """Where the images of one visit lie."""

    subject: str
    session: str
    """Empty where the participant's images lie in no folder of a session."""
    folder: str
    """Below the cohort's folder."""


def list_folders(bids_dir: Path, intake: Intake, findings: Findings) -> Iterator[Folder]:
    """Participants with at least one image, by label."""
    caps, tables = is_caps(bids_dir), intake.tables_folder(bids_dir)
    visits = _visits(bids_dir, findings)
    for subject, group in groupby(visits, key=lambda visit: visit.subject):
        found = (_images_of(bids_dir, visit, caps, intake, findings) for visit in group)
        images = [image for images in found for image in images]
        if images:
            has_table = os.path.lexists(tables / subject / f"{subject}_sessions.tsv")
            yield Folder(subject, images, has_table)


def image_files(bids_dir: Path) -> Iterator[Path]:
    """All files that `list_folders` looks at, behind links too; broken links are left out."""
    for visit in _visits(bids_dir, Findings()):
        folder = bids_dir / visit.folder
        paths = (folder / file for file in _t1_names(folder, Findings()))
        yield from (path for path in paths if path.exists())


def subject_labels(bids_dir: Path) -> list[str]:
    """Labels ``sub-…`` that the folders of a cohort have, sorted.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    return sorted(name for name in os.listdir(_root(bids_dir)) if name.startswith("sub-"))


def is_caps(bids_dir: Path) -> bool:
    """Whether a folder is Clinica's CAPS: its participants have theirs in ``subjects``."""
    return _root(bids_dir) != bids_dir


def _root(bids_dir: Path) -> Path:
    """Folder that holds those of the participants."""
    inner = bids_dir / CAPS_SUBJECTS
    if os.path.isdir(inner) and not any(name.startswith("sub-") for name in os.listdir(bids_dir)):
        return inner
    return bids_dir


def _visits(bids_dir: Path, findings: Findings) -> Iterator[Visit]:
    """Visits of all participants, with images or not."""
    root, caps = _root(bids_dir), is_caps(bids_dir)
    for subject in _entries(root, findings):
        if not subject.startswith("sub-"):
            continue
        inside = f"{CAPS_SUBJECTS}/{subject}" if caps else subject
        for name in _entries(root / subject, findings):
            if name.startswith("ses-"):
                yield Visit(subject, name, f"{inside}/{name}/{CAPS_SCANS if caps else 'anat'}")
            elif name == "anat" and not caps:
                yield Visit(subject, "", f"{inside}/anat")


def natural(text: str) -> list[tuple[int, int, str]]:
    """Key that sorts ``wave2`` before ``wave10``."""
    parts = re.split(r"(\d+)", text.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


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
    bids_dir: Path, visit: Visit, caps: bool, intake: Intake, findings: Findings
) -> list[Image]:
    """List with the one scan of a session, or empty."""
    subject, session, folder = visit
    raw = []
    for name in _t1_names(bids_dir / folder, findings):
        path = f"{folder}/{name}"
        entities = {} if caps else _entities(name)
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
    taken, *order = sorted(raw, key=lambda name: (CROPPED not in name, *_rank(name, intake)))
    rivals = _rivals(taken, order, intake) if intake.repeats == BEST else []
    others = tuple(name for name in raw if name != taken)
    if others:
        beaten = (name for name in others if name not in rivals)
        text = f"{folder}: {describe_choice(taken, rivals, beaten)}"
        findings.note(Kind.REPEAT, text, subject, session)
    paths = tuple(f"{folder}/{name}" for name in rivals)
    return [Image(session, f"{folder}/{taken}", others, paths)]


def describe_choice(taken: str, rivals: Iterable[str], others: Iterable[str]) -> str:
    """Which of several files is taken, in words; of rivals that is seen later."""
    alike = [taken, *rivals]
    if len(alike) > 1:
        taken = f"the best of {', '.join(alike)} after preprocessing"
    beaten = ", ".join(others)
    return f"{taken} is taken" + (f", not {beaten}" if beaten else "")


def _rivals(taken: str, order: Iterable[str], intake: Intake) -> list[str]:
    """Repeats of a scan: files that differ from it, and from each other, in the run alone.

    Scans of another kind, such as another sequence or reconstruction, differ in more than their
    quality; the settings' order chooses among these.
    """
    runs, found = {_run(taken)}, []
    for name in order:
        if _kind(name, intake) == _kind(taken, intake) and _run(name) not in runs:
            runs.add(_run(name))
            found.append(name)
    return found


def _run(name: str) -> str:
    return _entities(name).get("run", "")


def _kind(name: str, intake: Intake) -> tuple[int, dict[str, str]]:
    """What repeats have in common: the settings' preference, and all entities but the run."""
    entities = {key: value for key, value in _entities(name).items() if key != "run"}
    return _preference(name, intake), entities


def _preference(name: str, intake: Intake) -> int:
    """Place of a file's first preferred part among those of the settings."""
    stems = name.partition(".")[0].split("_")
    wanted = [place for place, part in enumerate(intake.prefer) if part in stems]
    return min(wanted, default=len(intake.prefer))


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
    sign = -1 if intake.repeats == LAST else 1
    further = sorted(set(entities) - {"sub", "ses", *ENTITY_ORDER})
    order: list[object] = []
    for key in (*ENTITY_ORDER, *further):
        value = entities.get(key, "")
        number = sign * int(value) if value.isdecimal() else 0
        # a scan without a run is the first of them, and one without acq- comes before all others
        order.append((key != "run" and bool(value), number, natural(value)))
    return (_preference(name, intake), len(further), *order, name.endswith(".nii"))
