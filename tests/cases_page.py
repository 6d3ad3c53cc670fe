"""What the page of cohorts and files (docs/reference/cases.md) says of a case."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs/reference/cases.md"


@cache
def page_cases(section: str) -> dict[str, str]:
    """The other cells of each case's row in a section, by the case's name."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")
    rows = re.findall(r"^\| (.+?) \|(.*)$", rest.partition("\n## ")[0], flags=re.MULTILINE)
    return {name.strip("`"): cells for first, cells in rows[2:] for name in first.split(" · ")}


def quoted(section: str, case: str) -> list[str]:
    """Parts of messages that the page quotes for a case."""
    return re.findall("“(.+?)”", page_cases(section)[case])
