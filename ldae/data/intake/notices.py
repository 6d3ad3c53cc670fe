"""What reading a cohort finds: faults that stop it, and notices of what was left out or decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ldae.errors import CohortError, InputError

NOTICE_COLUMNS = ("kind", "subject", "session", "notice")
# Examples of a kind of notice that are printed; the table has all.
MAX_NOTICES_SHOWN = 3


class Kind(StrEnum):
    """Kinds of notices, in the order in which they are shown."""

    TABLE = "table"
    """How a table was read."""
    NO_SCAN = "participant without a scan"
    NO_ROW = "scan without a participant"
    SESSION = "session without a scan"
    UNREADABLE = "file that cannot be read"
    IGNORED = "file ignored"
    REPEAT = "repeated scan"
    IDENTICAL = "identical scans"
    TIME = "time"
    AGE = "age"
    SEX = "sex"
    DIAGNOSIS = "diagnosis"


class Notice(NamedTuple):
    """One thing that was left out or decided; subject and session are empty for the cohort."""

    kind: Kind
    subject: str
    session: str
    text: str


@dataclass
class Faults:
    """Faults found so far, reported together."""

    found: list[InputError] = field(default_factory=list)

    def add(self, source: str | Path, problem: str, remedy: str) -> None:
        """Note one more fault."""
        self.found.append(InputError(source, problem, remedy))

    def stop(self, bids_dir: Path) -> None:
        """Raise the one fault, or one error that lists the first of several."""
        if not self.found:
            return
        if len(self.found) == 1:
            raise self.found[0]
        remedy = "Correct them and start again; nothing has been computed."
        raise CohortError(bids_dir, self.found, remedy)


@dataclass
class Findings:
    """Faults and notices of one cohort."""

    faults: Faults = field(default_factory=Faults)
    notices: list[Notice] = field(default_factory=list)

    def note(self, kind: Kind, text: str, subject: str = "", session: str = "") -> None:
        """Note something that was left out or decided."""
        self.notices.append(Notice(kind, subject, session, text))

    def table(self) -> pd.DataFrame:
        """The notices with columns ``NOTICE_COLUMNS``, by kind, subject and session."""
        return pd.DataFrame(_ordered(self.notices), columns=list(NOTICE_COLUMNS))


def _ordered(notices: Iterable[Notice]) -> list[Notice]:
    order = list(Kind)
    return sorted(notices, key=lambda n: (order.index(n.kind), n.subject, n.session))


def read_notices(path: Path) -> pd.DataFrame:
    """Table of notices as ``manifest/notices.tsv`` has it, all of it text."""
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def summarise_notices(
    notices: Iterable[Notice], where: str = " (manifest/notices.tsv)"
) -> list[str]:
    """Lines to print: of each kind the first notices, how many there are, and `where` all are."""
    lines = []
    for kind, group in groupby(_ordered(notices), key=lambda notice: notice.kind):
        found = list(group)
        shown = "; ".join(notice.text for notice in found[:MAX_NOTICES_SHOWN])
        left = len(found) - MAX_NOTICES_SHOWN
        more = f"; and {left} more{where}" if left > 0 else ""
        lines.append(f"{kind.capitalize()}: {shown}{more}")
    return lines


def paste(**settings: Any) -> str:
    """Settings of the cohort as one line of YAML, to be pasted into a file of settings.

    Every value is one that YAML reads in JSON's spelling, or a word that needs no quotes.

    Examples
    --------
    >>> paste(values={"sex": {"0": "F", "other": "n/a"}})
    'cohort: {values: {sex: {"0": F, other: n/a}}}'
    """
    return f"cohort: {in_flow(settings)}"


def in_flow(value: Any) -> str:
    """A value as YAML has it in one line."""
    if isinstance(value, Mapping):
        pairs = (f"{in_flow(key)}: {in_flow(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(in_flow, value))}]"
    if isinstance(value, str) and _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Whether YAML reads a text as itself without quotes, wherever it stands."""
    words = text.replace("/", "").replace("_", "").replace(" ", "").replace("+", "")
    is_word = text[:1].isalpha() and words.isalnum() and words.isascii() and text == text.strip()
    return is_word and text.lower() not in ("yes", "no", "on", "off", "true", "false", "null", "y")
