"""Visits of a participant: when they were, and the age and diagnosis at each.

The time of a visit is the first of these that is known: the settings, a column of months, a column
of days, a date (of the table, or a label that is one), the label. Dates are counted from the
participant's earliest dated visit, at the months that a column or its label gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ldae.data.intake.cells import (
    AGE_LIMIT,
    DAYS_PER_MONTH,
    Place,
    Reading,
    date_of_label,
    months_between,
    months_of_label,
    read_date,
    read_time,
)
from ldae.data.intake.images import Folder, Image, natural
from ldae.data.intake.names import DEMENTIA_RATING, SESSION_COLUMNS, Field
from ldae.data.intake.notices import Findings, Kind, paste
from ldae.data.intake.participants import Participant, with_prefix
from ldae.data.intake.settings import BASELINE, STABLE, VISIT, Intake
from ldae.data.intake.tables import Table, missing_column, read_table

# Two times of one visit that differ by more are reported.
MAX_MONTHS_APART = 6.0
# So are ages: a year covers ages that are given in whole years.
MAX_YEARS_APART = 1.0


class Source(StrEnum):
    """Where a visit's time comes from, the first known one counts."""

    SETTINGS = "the settings"
    MONTHS = "the months"
    DAYS = "the days"
    DATE = "the date"
    LABEL = "the label"


@dataclass
class Session:
    """One session: its times in months by source, its date, age and diagnosis."""

    times: dict[Source, float] = field(default_factory=dict)
    date: datetime | None = None
    age: float | None = None
    diagnosis: str = ""

    @property
    def months(self) -> float | None:
        """Months since the first visit, by the first source that is known."""
        return next((self.times[source] for source in Source if source in self.times), None)


class SessionReader:
    """Reads the sessions of participants.

    Parameters
    ----------
    reading
        Of the cohort.
    rated
        Whether the dementia rating is read as a diagnosis.
    """

    def __init__(self, reading: Reading, rated: bool) -> None:
        self.bids_dir, self.intake = reading.bids_dir, reading.intake
        self.findings = reading.findings
        self.ages, self.diagnoses = reading.ages, reading.diagnoses
        self.names = dict(SESSION_COLUMNS)
        if rated:
            self.names[Field.DIAGNOSIS] = (*self.names[Field.DIAGNOSIS], DEMENTIA_RATING)
        self.columns: set[str] = set()
        """Names of the columns of all tables."""

    def read(self, folder: Folder) -> dict[str, Session]:
        """Sessions of the table and of the folder, by label."""
        sessions: dict[str, Session] = {}
        if folder.has_table:
            tables = self.intake.tables_folder(self.bids_dir)
            path = tables / folder.subject / f"{folder.subject}_sessions.tsv"
            table = read_table(path, self.names, self.intake.columns, self.findings)
            self.columns |= set(table.columns)
            if Field.SESSION in table.places:
                sessions = self._read_rows(table, folder.subject)
            else:
                missing_column(table, Field.SESSION, self.findings.faults)
            self._compare(sessions, folder, path.name)
        for image in folder.images:
            sessions.setdefault(image.session, Session())
        self.tell_times(sessions)
        return sessions

    def _read_rows(self, table: Table, subject: str) -> dict[str, Session]:
        """Sessions of a table; of two rows of one session, the first."""
        sessions: dict[str, Session] = {}
        for line, row in table.rows:
            cells = table.cells(row)
            if Field.SESSION not in cells:
                self.findings.note(Kind.TABLE, f"{table.path.name}: line {line} names no session")
                continue
            label = with_prefix(cells[Field.SESSION], "ses-")
            session = self.read_row(cells, Place(table.path, line, subject, label))
            if label not in sessions:
                sessions[label] = session
            elif session == sessions[label]:
                text = f"{table.path.name}: {label} is listed twice with the same values"
                self.findings.note(Kind.TABLE, text, subject, label)
            else:
                self.findings.faults.add(
                    table.path,
                    f"line {line}: {label} is listed twice, with different values",
                    "Keep the row that is right",
                )
        return sessions

    def read_row(self, cells: Mapping[Field, str], place: Place) -> Session:
        """What a row says of a session."""
        session = Session()
        for source, column, per_month in (
            (Source.MONTHS, Field.MONTHS, 1.0),
            (Source.DAYS, Field.DAYS, DAYS_PER_MONTH),
        ):
            if text := cells.get(column):
                months = read_time(text, per_month, place, self.findings)
                # a fault has been noted where it is none, and any time will do
                session.times[source] = 0.0 if months is None else months
        if text := cells.get(Field.DATE):
            session.date = read_date(text)
            if session.date is None:
                note = f"{place.subject} {place.session}: {text!r} is no date in ISO 8601"
                self.findings.note(Kind.TIME, note, place.subject, place.session)
        if text := cells.get(Field.AGE):
            session.age = self.ages.read(text, place, self.findings)
        if text := cells.get(Field.DIAGNOSIS):
            session.diagnosis = self.diagnoses.read(text)
        return session

    def _compare(self, sessions: Mapping[str, Session], folder: Folder, table: str) -> None:
        """Note sessions of the table without a scan, and the reverse."""
        scanned = {image.session for image in folder.images}
        for label in sorted(set(sessions) - scanned):
            text = f"{folder.subject} {label} has no T1-weighted scan"
            self.findings.note(Kind.SESSION, text, folder.subject, label)
        for label in sorted(scanned - set(sessions) - {""}):
            text = f"{folder.subject} {label} has a scan but no row in {table}"
            self.findings.note(Kind.NO_ROW, text, folder.subject, label)

    def tell_times(self, sessions: Mapping[str, Session]) -> None:
        """Add the times that settings, labels and dates give."""
        for label, session in sessions.items():
            own = self.intake.session_months.get(label.removeprefix("ses-"))
            if own is not None:
                session.times[Source.SETTINGS] = float(own)
            months = months_of_label(label)
            if months is not None:
                session.times[Source.LABEL] = months
            session.date = session.date or date_of_label(label)
        dated = {label: s for label, s in sessions.items() if s.date is not None}
        if not dated:
            return
        start = min(dated.values(), key=lambda s: (_distrust(s), s.date))
        for session in dated.values():
            if start.date is not None and session.date is not None:
                months = (start.months or 0.0) + months_between(start.date, session.date)
                session.times[Source.DATE] = round(months, 2)


def _distrust(session: Session) -> int:
    """0 where a session has a time beside its date, 1 where its label alone gives one, else 2."""
    if not session.times:
        return 2
    return int(set(session.times) == {Source.LABEL})


class Visits:
    """Makes rows of the table of scans from a participant's sessions.

    Parameters
    ----------
    folder
        Scans of the participant.
    sessions
        Sessions by label (:class:`SessionReader`).
    participant
        Row of the participant.
    intake
        How the cohort is read.
    findings
        Faults and notices are added here.
    """

    def __init__(
        self,
        folder: Folder,
        sessions: Mapping[str, Session],
        participant: Participant,
        intake: Intake,
        findings: Findings,
    ) -> None:
        self.subject, self.sessions, self.participant = folder.subject, sessions, participant
        self.intake, self.findings = intake, findings
        self.sources: Counter[Source] = Counter()
        """Visits whose time the label gives too, by the source that counts."""
        self.untimed: list[str] = []
        """Sessions whose time is not known, where one of them is left out; without ``ses-``."""
        self.images = sorted(self._timed(folder.images), key=lambda found: found[0])

    def rows(self) -> list[dict[str, object]]:
        """Rows of the scans, in order of time."""
        ages, diagnoses = self._ages(), self._diagnoses()
        return [
            {
                "subject": self.subject,
                "session": image.session,
                "months": months,
                "age": age,
                "sex": self.participant.sex,
                "diagnosis": diagnosis,
                "site": self.participant.site,
                "path": image.path,
                "repeats": "; ".join(image.repeats),
                "rivals": list(image.rivals),
            }
            for (months, image), age, diagnosis in zip(self.images, ages, diagnoses, strict=True)
        ]

    def _timed(self, images: Iterable[Image]) -> list[tuple[float, Image]]:
        """Scans with their months; those whose time is not known are left out."""
        found: dict[float, Image] = {}
        unknown: list[Image] = []
        for image in images:
            session = self.sessions[image.session]
            months = session.months
            if months is None:
                unknown.append(image)
                continue
            self._compare_times(image.session, session)
            if months in found:
                self._add_same_time(found[months], image, months)
            found.setdefault(months, image)
        unknown.sort(key=lambda image: natural(image.session))
        if unknown and not found:
            found[0.0] = unknown[0]
        for image in unknown:
            if image not in found.values():
                self.untimed = [one.session.removeprefix("ses-") for one in unknown]
                note = f"{self.subject} {image.session} is left out: its time is not known"
                self.findings.note(Kind.TIME, note, self.subject, image.session)
        return list(found.items())

    def _compare_times(self, label: str, session: Session) -> None:
        """Note sources whose times of one visit disagree."""
        if len(session.times) < 2:
            return
        used = next(source for source in Source if source in session.times)
        self.sources[used] += Source.LABEL in session.times
        for source, months in session.times.items():
            if abs(months - session.times[used]) > MAX_MONTHS_APART:
                self.findings.note(
                    Kind.TIME,
                    f"{self.subject} {label} is at month {session.times[used]:g} by {used} and "
                    f"at month {months:g} by {source}; {used} counts",
                    self.subject,
                    label,
                )

    def _add_same_time(self, first: Image, second: Image, months: float) -> None:
        labels = [image.session for image in (first, second)]
        given = {label.removeprefix("ses-"): 12 * n for n, label in enumerate(labels) if label}
        self.findings.faults.add(
            self.subject,
            f"{labels[0] or 'the scan without a session'} and {labels[1]} are both at month "
            f"{months:g}",
            f"Correct the table, or give their months in the settings: "
            f"{paste(session_months=given)} (with the true numbers)",
        )

    def _ages(self) -> list[float | None]:
        """Age at every scan, None where it is not known."""
        own = [self.sessions[image.session].age for _, image in self.images]
        expected = [self._expected_age(months) for months, _ in self.images]
        self._compare_ages(own, expected)
        ages = [there if mine is None else mine for mine, there in zip(own, expected, strict=True)]
        for age, (_, image) in zip(ages, self.images, strict=True):
            if age is not None and age >= AGE_LIMIT:
                problem = f"the age at this visit would be {age:.1f} years"
                self.findings.faults.add(image.path, problem, "Correct age or months")
        return [None if age is None else round(age, 4) for age in ages]

    def _expected_age(self, months: float) -> float | None:
        """Age by the table of participants."""
        if self.participant.age is None:
            return None
        start = self.images[0][0] if self.participant.age_at_scan else 0.0
        return self.participant.age + (months - start) / 12

    def _compare_ages(self, own: list[float | None], expected: list[float | None]) -> None:
        """Note ages that fall from visit to visit, or contradict the table of participants."""
        before: tuple[float, str] | None = None
        for (_, image), age, there in zip(self.images, own, expected, strict=True):
            if age is None:
                continue
            who = f"{self.subject} {image.session}".strip()
            text = ""
            if before is not None and age < before[0]:
                text = f"{who}: the age falls from {before[0]:g} at {before[1]} to {age:g}"
            elif there is not None and abs(age - there) > MAX_YEARS_APART:
                text = f"{who}: the age is {age:g} in the table of sessions, which counts, and "
                text += f"{there:.1f} by that of participants"
            if text:
                self.findings.note(Kind.AGE, text, self.subject, image.session)
            before = (age, image.session or "the scan before")

    def note_conversion(self) -> int:
        """Note that a diagnosis changes; number of visits whose diagnosis is not the first."""
        known = self._known_diagnoses()
        later = [(months, word) for months, word in known if word != known[0][1]]
        if later:
            months, word = later[0]
            text = f"{self.subject}: {known[0][1]} at first, {word} from month {months:.0f}"
            self.findings.note(Kind.DIAGNOSIS, text, self.subject)
        return len(later)

    def _known_diagnoses(self) -> list[tuple[float, str]]:
        """Months and diagnosis of all visits that have both, in order of time."""
        timed = ((s.months, s.diagnosis) for s in self.sessions.values() if s.diagnosis)
        return sorted((months, word) for months, word in timed if months is not None)

    def _diagnoses(self) -> list[str]:
        """Diagnosis of every scan, by the rule of the settings."""
        known, own = self._known_diagnoses(), self.participant.diagnosis
        if not known:
            return [own] * len(self.images)
        if self.intake.diagnosis_of == VISIT:
            return [
                self.sessions[image.session].diagnosis or ("" if months else own)
                for months, image in self.images
            ]
        if self.intake.diagnosis_of == STABLE and len({word for _, word in known}) > 1:
            return [""] * len(self.images)
        return [known[0 if self.intake.diagnosis_of == BASELINE else -1][1]] * len(self.images)
