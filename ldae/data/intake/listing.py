"""Cohorts that are no BIDS folder: a table with a row for each scan and a column of paths."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ldae.data.intake.cells import Place, Reading, SexReader
from ldae.data.intake.images import Folder, Image, describe_choice, why_unreadable
from ldae.data.intake.names import BASELINE_AGES, LISTING_COLUMNS, Field, normal_name
from ldae.data.intake.notices import Kind
from ldae.data.intake.participants import Participant, Participants, note_encoding
from ldae.data.intake.settings import BEST, LAST
from ldae.data.intake.tables import Table, missing_column, read_table
from ldae.data.intake.visits import Session, SessionReader, Source
from ldae.errors import InputError

IMAGE_ENDINGS = (".nii", ".nii.gz")


class ListingReader:
    """Reads a table of scans.

    Parameters
    ----------
    reading
        Of the cohort, below whose folder the scans and the table lie.

    Raises
    ------
    InputError
        If there is no table, or it has no column of participants or paths.
    """

    def __init__(self, reading: Reading) -> None:
        bids_dir, intake, findings = reading.bids_dir, reading.intake, reading.findings
        self.bids_dir, self.intake, self.findings = bids_dir, intake, findings
        self.public = reading.public
        self.lines: dict[str, int] = {}
        """First line of the table that names each file."""
        self.path = intake.table_file(bids_dir)
        within = Path(os.path.abspath(self.path)).is_relative_to(os.path.abspath(bids_dir))
        self.root = self.path.parent if within else bids_dir
        """Paths of the table are relative to this."""
        path = intake.columns.get(Field.PATH, "")
        self.pattern = path if "{" in path else ""
        """Names of the files, with columns in braces and wildcards; empty for a column of paths."""
        if not self.path.is_file():
            raise InputError(self.path, "there is no such table", "Correct cohort.table")
        self.rows = SessionReader(reading, rated=False)
        self.table = self._read_table()
        self.participants: dict[str, Participant] = {}
        self.names: dict[str, str] = {}
        """Name in the table of each participant."""
        self.sessions: dict[str, dict[str, Session]] = {}
        self.images: dict[str, dict[str, Image]] = {}
        cells = [(line, self._cells(line, row)) for line, row in self.table.rows]
        sexes = SexReader(intake.sexes, (one.get(Field.SEX, "") for _, one in cells))
        for line, one in cells:
            self._read_row(line, one, sexes)
        sexes.check(self.path, findings)
        for sessions in self.sessions.values():
            self.rows.tell_times(sessions)

    @property
    def everybody(self) -> Participants:
        """All participants of the table."""
        return Participants(self.participants, self.table)

    @property
    def folders(self) -> list[Folder]:
        """Scans of every participant, by label."""
        return [
            Folder(subject, list(images.values()), True)
            for subject, images in sorted(self.images.items())
        ]

    def _read_table(self) -> Table:
        table = read_table(self.path, LISTING_COLUMNS, self.intake.columns, self.findings)
        for needed in (Field.SUBJECT, Field.PATH):
            if needed not in table.places and not (needed is Field.PATH and self.pattern):
                missing_column(table, needed, self.findings.faults)
        self.findings.faults.stop(self.bids_dir)
        note_encoding(table, self.findings)
        return table

    def _cells(self, line: int, row: Mapping[str, str]) -> dict[Field, str]:
        """Known cells of a row, with the path that the pattern gives."""
        cells = self.table.cells(row)
        if not self.pattern:
            return cells
        try:
            name = self.pattern.format_map(row)
        except (KeyError, ValueError, IndexError) as error:
            raise InputError(
                self.path,
                f"the pattern {self.pattern} of cohort.columns.path cannot be filled in ({error})",
                f"Use columns of the table in braces: {', '.join(self.table.columns)}",
            ) from error
        found = sorted(self.root.glob(name))
        if len(found) > 1:
            names = ", ".join(path.name for path in found[:3])
            self.findings.faults.add(
                self.path,
                f"line {line}: {len(found)} files are called {name} ({names})",
                "Make the pattern of cohort.columns.path stricter",
            )
        return cells | {Field.PATH: str(found[0].relative_to(self.root)) if found else name}

    def _read_row(self, line: int, cells: dict[Field, str], sexes: SexReader) -> None:
        """Add the scan of one row, unless its file cannot be read."""
        if Field.SUBJECT not in cells:
            text = f"{self.path.name}: line {line} names no participant"
            self.findings.note(Kind.TABLE, text)
            return
        subject = bids_label(cells[Field.SUBJECT], "sub-")
        name = self.names.setdefault(subject, cells[Field.SUBJECT])
        if name != cells[Field.SUBJECT]:
            self.findings.faults.add(
                self.path,
                f"line {line}: {name} and {cells[Field.SUBJECT]} would both be {subject}",
                "Name participants by letters and digits that differ",
            )
        path = self._find(cells[Field.PATH], line, subject) if Field.PATH in cells else None
        age_column = normal_name(self.table.places.get(Field.AGE, ""))
        session = self.rows.read_row(cells, Place(self.path, line, subject))
        age = session.age if age_column in BASELINE_AGES else None
        session.age = None if age_column in BASELINE_AGES else session.age
        sex = sexes.read(cells[Field.SEX]) if Field.SEX in cells else ""
        one = Participant(line, age, False, sex, "", cells.get(Field.SITE, ""))
        first = self.participants.setdefault(subject, one)
        if (first.sex, first.age) != (one.sex, one.age):
            self.findings.faults.add(
                self.path,
                f"lines {first.line} and {line} give {subject} different values: sex {first.sex} "
                f"and {one.sex}, age {first.age} and {one.age}",
                "Correct the row that is wrong",
            )
        if path is not None:
            self._add_image(subject, _session_label(cells, session), session, path)

    def _find(self, cell: str, line: int, subject: str) -> str | None:
        """Path of a scan below the cohort's folder; None where it cannot be taken."""
        path = Path(os.path.normpath(self.root / cell))
        root = Path(os.path.normpath(self.bids_dir))
        if not path.is_relative_to(root):
            self.findings.faults.add(
                self.path,
                f"line {line}: the file {cell} lies outside {root}",
                "Give a folder above all scans as bids_folder",
            )
            return None
        name = path.relative_to(root).as_posix()
        self.lines.setdefault(name, line)
        if not name.endswith(IMAGE_ENDINGS):
            text = f"line {line}: {self._shown(name)} is no NIfTI file and is left out"
            self.findings.note(Kind.IGNORED, text, subject)
            return None
        if not os.access(path, os.R_OK):
            text = f"line {line}: {self._shown(name)} is left out: {why_unreadable(path)}"
            self.findings.note(Kind.UNREADABLE, text, subject)
            return None
        return name

    def _shown(self, name: str) -> str:
        """A file as notices call it."""
        return name if self.public else f"the file of line {self.lines[name]}"

    def _add_image(self, subject: str, label: str, session: Session, path: str) -> None:
        """Add a scan; of several of one session, one by the rule of the settings."""
        images = self.images.setdefault(subject, {})
        sessions = self.sessions.setdefault(subject, {})
        before = images.get(label)
        if before is None:
            images[label], sessions[label] = Image(label, path, ()), session
            return
        if before.path == path and sessions[label] == session:
            text = f"{self.path.name}: {subject} is listed twice with the same values"
            self.findings.note(Kind.TABLE, text, subject, label)
            return
        if path in (before.path, *before.repeats):
            self.findings.faults.add(
                self.path,
                f"{subject}: {path} is listed twice, with different values",
                "Keep the row that is right",
            )
            return
        if self.intake.repeats == LAST:
            images[label] = Image(label, path, (*before.repeats, before.path))
            sessions[label] = session
        else:
            images[label] = before._replace(repeats=(*before.repeats, path))
        if self.intake.repeats == BEST:
            images[label] = images[label]._replace(rivals=images[label].repeats)
        image = images[label]
        rivals = list(map(self._shown, image.rivals))
        others = [self._shown(name) for name in image.repeats if name not in image.rivals]
        text = f"{subject} {label}: {describe_choice(self._shown(image.path), rivals, others)}"
        self.findings.note(Kind.REPEAT, text, subject, label)


def bids_label(text: str, prefix: str) -> str:
    """A label as BIDS allows it: ``Patient 7`` is ``sub-Patient7``."""
    return prefix + re.sub(r"[^A-Za-z0-9]", "", text.removeprefix(prefix))


def _session_label(cells: Mapping[Field, str], session: Session) -> str:
    """Label of a row's session: that of the table, else made from its time; empty without one."""
    if Field.SESSION in cells:
        return bids_label(cells[Field.SESSION], "ses-")
    for source in (Source.MONTHS, Source.DAYS):
        if source in session.times:
            return f"ses-M{session.times[source]:03.0f}"
    return "" if session.date is None else f"ses-{session.date:%Y%m%d}"
