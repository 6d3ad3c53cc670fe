"""A study's own names and rules for reading its cohort (section ``cohort`` of the settings)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldae.data.intake.names import UNKNOWN

VISIT, BASELINE, LAST, STABLE = "visit", "baseline", "last", "stable"
FIRST, BEST = "first", "best"


class Words:
    """Words of tables and what they stand for, compared without case and by the number.

    Parameters
    ----------
    meanings
        Meaning of each word; one that is not known, such as ``n/a``, stands for no value.
    """

    def __init__(self, meanings: Mapping[str, str] | None = None) -> None:
        self._meanings = {_key(word): meaning for word, meaning in (meanings or {}).items()}

    def read(self, word: str) -> str:
        """What a word stands for; itself where nothing is said of it."""
        meaning = self._meanings.get(_key(word), word)
        return "" if meaning.strip().lower() in UNKNOWN else meaning

    def __contains__(self, word: str) -> bool:
        return _key(word) in self._meanings


def _key(word: str) -> str:
    """``0`` and ``0.0`` are one word, and so are ``Dementia`` and ``dementia``."""
    try:
        return f"{float(word):g}"
    except ValueError:
        return " ".join(word.split()).casefold()


@dataclass(frozen=True)
class Intake:
    """How a cohort is read.

    Attributes
    ----------
    columns
        Name of the column for fields (:class:`ldae.data.intake.names.Field`) whose names are not
        known beforehand.
    diagnoses, sexes, ages
        Words of the tables.
    session_months
        Months since the first visit by session, without ``ses-``.
    diagnosis_of
        Which diagnosis a scan has: its ``visit``'s, the participant's at ``baseline`` or the
        ``last`` one, or that of a participant with a ``stable`` one and none of the others.
    repeats
        Whether the ``first``, the ``last`` or, after preprocessing, the ``best`` of repeated scans
        is taken.
    prefer
        Parts of file names, such as ``acq-MPRAGE``, that come before this rule, best first.
    ignore_leading_zeros
        Whether ``sub-1`` of a table and the folder ``sub-0001`` are one participant.
    table
        Table with a row for each scan; None for a BIDS or CAPS folder.
    tables
        Folder of the tables of participants and sessions, where it is not the cohort's own.
    required
        Fields that a scan must have, else it is left out: ``age``, ``sex``, ``diagnosis``.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    diagnoses: Words = field(default_factory=Words)
    sexes: Words = field(default_factory=Words)
    ages: Words = field(default_factory=Words)
    session_months: Mapping[str, float] = field(default_factory=dict)
    diagnosis_of: str = VISIT
    repeats: str = FIRST
    prefer: tuple[str, ...] = ()
    ignore_leading_zeros: bool = False
    table: str | None = None
    tables: str | None = None
    required: tuple[str, ...] = ()

    def tables_folder(self, bids_dir: Path) -> Path:
        """Folder with ``participants.tsv`` and, by participant, the tables of sessions."""
        return bids_dir if self.tables is None else Path(self.tables)

    def table_file(self, bids_dir: Path) -> Path:
        """Table of scans: below the cohort's folder, or below the working folder."""
        own = bids_dir / str(self.table)
        return own if own.is_file() else Path(str(self.table))

    @classmethod
    def from_settings(cls, cohort: Mapping[str, Any]) -> Intake:
        """From the section ``cohort`` of the settings; keys of other things are not read."""
        values = cohort.get("values", {})
        given = {name: cohort[name] for name in ("diagnosis_of", "repeats") if name in cohort}
        return cls(
            columns={k: v for k, v in cohort.get("columns", {}).items() if v is not None},
            diagnoses=Words(values.get("diagnosis")),
            sexes=Words(values.get("sex")),
            ages=Words(values.get("age")),
            session_months={
                name.removeprefix("ses-"): months
                for name, months in cohort.get("session_months", {}).items()
            },
            prefer=tuple(cohort.get("prefer", ())),
            ignore_leading_zeros=bool(cohort.get("ignore_leading_zeros", False)),
            table=cohort.get("table"),
            tables=cohort.get("tables"),
            required=tuple(cohort.get("required", ())),
            **given,
        )


SETTINGS = (
    "columns", "values", "session_months", "diagnosis_of", "repeats", "prefer",
    "ignore_leading_zeros", "table", "tables", "required",
)  # fmt: skip
"""Keys of the section ``cohort`` that decide how tables and folders are read."""
