"""What checks find, each with a verdict and a remedy, and how they are printed."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from ldae.errors import OneLineError

WIDTH = 100
NAME_WIDTH = 17
VERDICT_WIDTH = 9


class Verdict(StrEnum):
    """What a finding means for a study."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; a study runs."""
    PROBLEM = "problem"
    """Stops a study, or makes it wait for ever."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Attributes
    ----------
    name
        What was looked at.
    text
        What was found.
    verdict
        What it means.
    remedy
        What to do about it; empty if there is nothing to do.
    """

    name: str
    text: str
    verdict: Verdict = Verdict.OK
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]
Sections = dict[str, list[Finding]]
"""Findings by the title of their part."""


def note(name: str, text: str, remedy: str = "") -> Finding:
    """Something worth knowing."""
    return Finding(name, text, Verdict.NOTE, remedy)


def problem(name: str, text: str, remedy: str) -> Finding:
    """Something that stops a study."""
    return Finding(name, text, Verdict.PROBLEM, remedy)


def only_with(condition: str, found: Iterable[Finding]) -> list[Finding]:
    """Findings about something that a study uses under a condition only: none of them stops it."""
    return [
        replace(one, verdict=Verdict.NOTE, remedy=f"{condition}: {one.remedy}")
        if one.verdict is Verdict.PROBLEM
        else one
        for one in found
    ]


def of_error(name: str, error: OneLineError) -> Finding:
    """The problem that an error of the workflow describes."""
    return problem(name, f"{error.source}: {error.problem}", error.remedy)


def run_checks(checks: Mapping[str, Check]) -> list[Finding]:
    """Findings of all checks, by name; one that fails is a finding, and the others are made."""
    found: list[Finding] = []
    for name, check in checks.items():
        try:
            found += check()
        except OneLineError as error:
            found.append(of_error(name, error))
        except Exception as error:  # noqa: BLE001  a check that fails must not end the others
            text = f"this check failed ({type(error).__name__}: {error})"
            found.append(note(name, text, "Report this line"))
    return found


def problems(sections: Sections) -> list[Finding]:
    """The findings that stop a study."""
    return [f for found in sections.values() for f in found if f.verdict is Verdict.PROBLEM]


def describe(title: str, sections: Sections) -> str:
    """Findings as text for an issue, without names of users and machines."""
    lines = [title]
    for part, found in sections.items():
        lines += ["", part]
        for finding in found:
            lines += _lines(finding)
    counts = [
        f"{sum(f.verdict is v for found in sections.values() for f in found)} {v}" for v in Verdict
    ]
    stopped = bool(problems(sections))
    lines += ["", f"{', '.join(counts)}: " + ("this stops a study" if stopped else "a study runs")]
    return scrub("\n".join(lines))


def as_json(title: str, sections: Sections) -> str:
    """Findings as JSON: ``title`` and ``parts``, each a list of findings."""
    parts = {part: [asdict(finding) for finding in found] for part, found in sections.items()}
    return scrub(json.dumps({"title": title, "parts": parts}, indent=1, ensure_ascii=False))


def _lines(finding: Finding) -> list[str]:
    indent = " " * (VERDICT_WIDTH + NAME_WIDTH + 2)
    head = f"  {finding.verdict:{VERDICT_WIDTH}}{finding.name:{NAME_WIDTH}}"
    lines = _wrapped(finding.text, head, indent)
    if finding.remedy:
        lines += _wrapped(finding.remedy, f"{indent}-> ", f"{indent}   ")
    return lines


def _wrapped(text: str, first: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def scrub(text: str) -> str:
    """`text` without the names of this user, its home, the working folder and this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as in some containers
        user = ""
    host = socket.gethostname()
    replaced = [(str(Path.cwd()), "."), (os.path.expanduser("~"), "~")]
    for old, new in replaced:
        if len(old) > 1:
            text = text.replace(old, new)
    for word, new in ((host, "HOST"), (host.partition(".")[0], "HOST"), (user, "USER")):
        if word and word != "root":
            text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", new, text)
    return text


def listed(words: Sequence[str], most: int = 5) -> str:
    """The first of some words, and how many more there are."""
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")
