"""Findings of an audit, as objects, as text and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

# Number of affected figures and tables that the text lists for a finding; the JSON lists all.
AFFECTED_SHOWN = 3
# Number of findings of one check that the text lists.
FINDINGS_SHOWN = 20


# Control characters, marks that change the direction of text, and halves of surrogate pairs.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with every character that could deceive a reader or break an output spelled out."""
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class Level(StrEnum):
    """Severity of a finding; only errors make the audit fail."""

    ERROR = "error"
    WARNING = "warning"
    UNCHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One deviation from the expected state, or one thing that could not be checked.

    Attributes
    ----------
    level
        Severity.
    file
        Name of the file, as in the records, or of the object concerned.
    expected, found
        Expected and actual state.
    affected
        Figures, tables and report that depend on it.
    """

    level: Level
    file: str
    expected: str
    found: str
    affected: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Names and records may come from elsewhere; a terminal would act on their control
        # characters, and no file can be written with half of a surrogate pair.
        for name in ("file", "expected", "found"):
            object.__setattr__(self, name, printable(getattr(self, name)))
        object.__setattr__(self, "affected", tuple(map(printable, self.affected)))


@dataclass(frozen=True)
class Check:
    """One part of the audit.

    Attributes
    ----------
    name
        Name of the check.
    looked_at
        Number of objects that were checked, as text.
    findings
        Findings of the check.
    """

    name: str
    looked_at: str
    findings: tuple[Finding, ...] = ()

    def count(self, level: Level) -> int:
        """Number of findings with a given severity."""
        return sum(finding.level is level for finding in self.findings)


@dataclass(frozen=True)
class Verdict:
    """Result of the whole audit.

    Attributes
    ----------
    checks
        All checks.
    study
        Summary of the study: time, commit and seal.
    seconds
        Wall time of the audit.
    """

    checks: tuple[Check, ...]
    study: Mapping[str, str]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether there is no error."""
        return not any(check.count(Level.ERROR) for check in self.checks)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, errors first."""
        found = [finding for check in self.checks for finding in check.findings]
        return tuple(sorted(found, key=lambda finding: list(Level).index(finding.level)))

    @property
    def summary(self) -> str:
        """The result in one line."""
        counts = [
            (level, sum(check.count(level) for check in self.checks), word)
            for level, word in ((Level.ERROR, "error"), (Level.WARNING, "warning"))
        ]
        parts = [f"{n} {word}{'s' if n != 1 else ''}" for _, n, word in counts]
        unchecked = sum(check.count(Level.UNCHECKED) for check in self.checks)
        if unchecked:
            parts.append(f"{unchecked} not checked")
        answer = "PASSED" if self.passed else "FAILED"
        return f"{answer}: {', '.join(parts)}, in {self.seconds:.1f} s"

    def as_text(self) -> str:
        """Text with a table of the checks, the findings, and the result."""
        lines = [f"{key}: {value}" for key, value in self.study.items()] + [""]
        head = ("check", "looked at", *map(str, Level))
        rows = [
            (check.name, check.looked_at, *(str(check.count(level) or "-") for level in Level))
            for check in self.checks
        ]
        lines += [*_table([head, *rows]), ""]
        for check in self.checks:
            lines += _findings_text(check)
        return "\n".join([*lines, self.summary]) + "\n"

    def as_json(self) -> dict[str, Any]:
        """The complete result as JSON types."""
        return {
            "passed": self.passed,
            "summary": self.summary,
            "seconds": round(self.seconds, 3),
            "study": dict(self.study),
            "checks": [
                {
                    "name": c.name,
                    "looked_at": c.looked_at,
                    "findings": [asdict(f) for f in c.findings],
                }
                for c in self.checks
            ],
        }


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, with columns padded to equal width."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]


def _findings_text(check: Check) -> Iterable[str]:
    for finding in check.findings[:FINDINGS_SHOWN]:
        yield f"{finding.level.upper()}  {check.name}: {finding.file}"
        yield f"    expected {finding.expected}"
        yield f"    found    {finding.found}"
        if finding.affected:
            shown = [name.partition("/")[2] or name for name in finding.affected[:AFFECTED_SHOWN]]
            more = len(finding.affected) - len(shown)
            rest = f" and {more} more" if more else ""
            yield f"    affects  {', '.join(shown)}{rest}"
    left = len(check.findings) - FINDINGS_SHOWN
    if left > 0:
        yield f"... and {left} more findings of {check.name}; --json FILE writes all of them"
