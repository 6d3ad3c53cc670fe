"""Style that the linter does not check: length of functions, and the words of the text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import FIRST_FILES

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted([*(ROOT / "ldae").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])
RULES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
# The two tests of words name the words.
TESTS = sorted(
    {*(ROOT / "tests").rglob("*.py")} - {Path(__file__), ROOT / "tests/unit/test_docs.py"}
)

MAX_LINES = 50
WORDS = {
    r"people|somebody": "participants or subjects",
    r"mend(s|ed|ing)?": "fix, correct, remedy",
    r"tissue densit(y|ies)": "local intensity histograms",
    r"linear start": "PCA initialisation",
    r"fold(s|ed|ing)? .{0,20}into channels": "space-to-depth",
    r"preconditioned": "v-prediction",
    r"told": "reported, printed",
    r"what they must beat": "baseline, comparator",
    r"goes on|go on": "continue, resume",
    r"made anew|anew": "again",
}
"""Words that readers of the field would misunderstand, with the words to use instead."""


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Full name of each function of a module, and its number of lines without the docstring."""
    module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if ast.get_docstring(node) else None
            docstring = _height(first) if first else 0
            yield f"{module}.{node.name}", _height(node) - docstring


def _height(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_functions_are_short() -> None:
    long = {name for path in CODE for name, n_lines in functions(path) if n_lines > MAX_LINES}
    assert not long


@pytest.mark.parametrize("words", WORDS)
def test_text_uses_the_words_of_the_field(words: str) -> None:
    # names of tests are text: an underscore ends a word; `\\told` in a string is a tab
    pattern = re.compile(rf"(?<![A-Za-z\\])({words})(?![A-Za-z])")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*CODE, *RULES, *TESTS]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"write {WORDS[words]}:\n" + "\n".join(found)


def test_files_of_tests_that_go_first_exist() -> None:
    assert {*FIRST_FILES} <= {path.name for path in TESTS}
