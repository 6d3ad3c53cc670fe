"""What an audit found, as values, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

# A finding names so many figures and tables in the text; the JSON names all.
AFFECTED_SHOWN = 3
# So many findings of one check are shown in the text.
FINDINGS_SHOWN = 20


class Level(StrEnum):
    """How bad a finding is: an error fails the audit, the others are only shown."""

    ERROR = "error"
    WARNING = "warning"
    UNCHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, or that could not be looked at.

    Attributes
    ----------
    level
        How bad it is.
    file
        Name of the file as in the records, or of what else is concerned.
    expected, found
        What should be there, and what is.
    affected
        Figures, tables and report that come from it.
    """

    level: Level
    file: str
    expected: str
    found: str
    affected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One part of the audit.

    Attributes
    ----------
    name
        What was looked at.
    looked_at
        How much of it, in words.
    findings
        What was not as it should be.
    """

    name: str
    looked_at: str
    findings: tuple[Finding, ...] = ()

    def count(self, level: Level) -> int:
        """Number of findings of one level."""
        return sum(finding.level is level for finding in self.findings)


@dataclass(frozen=True)
class Verdict:
    """The whole audit.

    Attributes
    ----------
    checks
        Every part.
    study
        Facts for people: jobs, time, seal, commit.
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
        """The answer in one line."""
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
        """Table of the checks, the findings, and the answer."""
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
        """Everything, as JSON can hold it."""
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
    """Rows with columns of equal width."""
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
        yield f"... and {left} more findings of {check.name}; --json FILE has them all"
