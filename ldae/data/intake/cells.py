"""Single values of a cohort's tables: ages, times, dates, sexes, and times within labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ldae.data.intake.names import (
    CONTROL_WORDS,
    OTHER_SEXES,
    PATIENT_WORDS,
    SEX_CODES,
    SEXES,
)
from ldae.data.intake.notices import Findings, Kind, paste
from ldae.data.intake.settings import Intake, Words

BASELINE_LABELS = frozenset({"bl", "baseline", "base", "screening", "sc"})
# A number with its unit. One without may be months or count the visits, and is not read; but for
# the first, which is month 0 where visits are counted and at most one month off where not.
LABEL_IN_MONTHS = re.compile(r"^(?:(?:m|months?)(\d+)|(\d+)(?:m|mo|months?))$")
LABEL_IN_DAYS = re.compile(r"^(?:d|days?)(\d+)$")
LABEL_IS_DATE = re.compile(r"^(?:19|20)\d{6}$")
FIRST_LABEL = re.compile(r"^0*[01]?$")
DAYS_PER_MONTH = 365.25 / 12
SECONDS_PER_DAY = 86400
AGE_LIMIT = 120.0
MAX_WORDS_SHOWN = 10
# With more words that are no age, the column is taken to be another one.
MAX_WORDS_PROPOSED = 5
# Ages that are given as a limit or a range, as releases for the public do above 89 years.
CENSORED = re.compile(
    r"^(?:(?:[<>]=?|[≤≥]|over|above|under|below)\s*\d+|\d+\s*(?:\+|(?:or|and)\s+\w+)|\d+\s*[-–]\s*\d+)$",
    re.IGNORECASE,
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a cell stands: its file, its line, and whose it is."""

    path: Path
    line: int
    subject: str
    session: str = ""

    def __str__(self) -> str:
        return f"line {self.line}, {self.session or self.subject}"


def read_number(text: str) -> float | None:
    """A number with a point or a comma for decimals; None for anything else."""
    try:
        return float(text.replace(",", ".") if text.count(",") == 1 else text)
    except ValueError:
        return None


def read_time(text: str, per_month: float, place: Place, findings: Findings) -> float | None:
    """Time since the first visit in months; None, with a fault noted, where `text` is none."""
    value = read_number(text)
    if value is None or not value >= 0:
        remedy = "Correct the number, or give the time in the settings: "
        remedy += paste(session_months={place.session.removeprefix("ses-"): 12})
        problem = f"{place}: the time since the first visit, {text!r}, is not a number >= 0"
        findings.faults.add(place.path, problem, remedy)
        return None
    return round(value / per_month, 4)


def read_date(text: str) -> datetime | None:
    """A date in ISO 8601, with or without time; None for anything else."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def months_between(start: datetime, end: datetime) -> float:
    """Time between two dates, months."""
    return (end - start).total_seconds() / SECONDS_PER_DAY / DAYS_PER_MONTH


def date_of_label(session: str) -> datetime | None:
    """Date that a session's label is, such as ``ses-20150312``."""
    label = session.removeprefix("ses-")
    return read_date(label) if LABEL_IS_DATE.match(label) else None


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


@dataclass
class AgeReader:
    """Reads ages in years, and counts the cells that give none.

    Attributes
    ----------
    words
        Words of the settings.
    censored
        How often each limit (``89+``) or range (``20-25``) was met. No probe of age uses it.
    strange
        How often each word was met that is no age.
    first
        Where the first of these stands.
    """

    words: Words
    censored: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    first: Place | None = None

    def read(self, text: str, place: Place, findings: Findings) -> float | None:
        """Age, or None where it is not known."""
        word = self.words.read(text)
        if not word:
            note = f"{place.subject}: age {text} stands for no value (cohort.values.age)"
            findings.note(Kind.AGE, note, place.subject, place.session)
            return None
        if CENSORED.match(word):
            self.censored[text] += 1
            note = f"{place.subject}: age {text} is a limit or a range"
            findings.note(Kind.AGE, note, place.subject, place.session)
            return None
        age = read_number(word)
        if age is None or not 0 < age < AGE_LIMIT:
            self.strange[text] += 1
            self.first = self.first or place
            return None
        return age

    def check(self, findings: Findings) -> None:
        """Note a fault for words that are no age, and a notice for limits and ranges."""
        if self.censored:
            numbers = {text: re.findall(r"\d+", text)[0] for text in sorted(self.censored)}
            findings.note(
                Kind.AGE,
                f"ages that are a limit or a range are left out of the age probe "
                f"({count_words(self.censored)}); to take them as numbers: "
                f"{paste(values={'age': numbers})}",
            )
        if self.first is None:
            return
        if len(self.strange) > MAX_WORDS_PROPOSED:
            remedy = "Name the column that has ages in years: " + paste(columns={"age": "NAME"})
        else:
            unknown = dict.fromkeys(sorted(self.strange), "n/a")
            remedy = "Correct them, or take them as unknown: " + paste(values={"age": unknown})
        findings.faults.add(
            self.first.path,
            f"ages are not between 0 and {AGE_LIMIT:.0f} years ({count_words(self.strange)}), the "
            f"first in {self.first}",
            remedy,
        )


class SexReader:
    """Reads a column of sexes.

    Parameters
    ----------
    words
        Words of the settings.
    column
        All cells of the column: the codes 1 and 2 are understood where there is no other number.
    """

    def __init__(self, words: Words, column: Iterable[str]) -> None:
        self._words = words
        codes = {text for text in column if read_number(text) is not None}
        self._codes = SEX_CODES if codes <= set(SEX_CODES) else {}
        self._strange: Counter[str] = Counter()

    def read(self, text: str) -> str:
        """F, M, or empty where it is neither or not known."""
        word = self._words.read(text)
        if not word or word.lower() in OTHER_SEXES:
            return ""
        sex = SEXES.get(word.lower()) or self._codes.get(word, "")
        self._strange[text] += not sex
        return sex

    def check(self, source: Path, findings: Findings) -> None:
        """Note a fault where words have been read that are not understood."""
        strange = {word: n for word, n in self._strange.items() if n}
        if strange:
            numbers = all(read_number(word) is not None for word in strange)
            meanings = "FM" if numbers and len(strange) == 2 else ["n/a"] * len(strange)
            findings.faults.add(
                source,
                f"words for sex are not known ({count_words(strange)})",
                "Say what they mean (F, M or n/a) in the settings, after looking it up: "
                + paste(values={"sex": dict(zip(sorted(strange), meanings, strict=True))}),
            )


@dataclass
class DiagnosisReader:
    """Reads diagnoses, and counts the words that it meets.

    Attributes
    ----------
    words
        Words of the settings.
    found
        How often each word of the tables was met that the settings say nothing of.
    """

    words: Words
    found: Counter[str] = field(default_factory=Counter)

    def read(self, text: str) -> str:
        """What a word stands for."""
        if text not in self.words:
            self.found[text] += 1
        return self.words.read(text)

    def check(self, source: Path, findings: Findings) -> None:
        """Note a fault where numbers stand for diagnoses and the settings do not say for which."""
        codes = {word: n for word, n in self.found.items() if read_number(word) is not None}
        if codes:
            findings.faults.add(
                source,
                f"diagnoses are numbers ({count_words(codes)})",
                "Say what they mean in the settings, after looking it up: "
                + paste(values={"diagnosis": propose(sorted(codes))}),
            )


def count_words(words: Mapping[str, int]) -> str:
    """Words with how often each was found, the most frequent first; of many, the first ones."""
    order = sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ", ".join(f"{word} {n}" for word, n in order[:MAX_WORDS_SHOWN])
    return shown + (f" and {len(order) - MAX_WORDS_SHOWN} more" if order[MAX_WORDS_SHOWN:] else "")


def propose(words: Iterable[str], patient: str = "AD", control: str = "CN") -> dict[str, str]:
    """Diagnosis that each word may stand for, itself where it is not known.

    Parameters
    ----------
    words
        Words of a cohort's tables.
    patient, control
        The study's words for the two groups.
    """
    groups = {patient: PATIENT_WORDS, control: CONTROL_WORDS}
    return {
        word: next((group for group, known in groups.items() if _plain(word) in known), word)
        for word in words
    }


def _plain(word: str) -> str:
    number = read_number(word)
    return word.strip().lower() if number is None else f"{number:g}"


@dataclass
class Reading:
    """The reading of one cohort: what every table of it is read with.

    Attributes
    ----------
    bids_dir
        Folder of the cohort.
    intake
        How it is read.
    findings
        Faults and notices are added here.
    public
        Whether notices may name files of a table of scans, which may be called by participants.
    ages, diagnoses
        Read ages and the words for diagnoses.
    """

    bids_dir: Path
    intake: Intake
    findings: Findings
    public: bool
    ages: AgeReader = field(init=False)
    diagnoses: DiagnosisReader = field(init=False)

    def __post_init__(self) -> None:
        self.ages = AgeReader(self.intake.ages)
        self.diagnoses = DiagnosisReader(self.intake.diagnoses)
