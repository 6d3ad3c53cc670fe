"""Style that the linter does not check: length of functions, and the words of the text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted([*(ROOT / "ldae").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])

MAX_LINES = 50
CLEAN = (
    "ldae/commands", "ldae/conclusions", "ldae/data", "ldae/deployment", "ldae/diffusion",
    "ldae/evaluation",
    "ldae/figures", "ldae/leakage.py", "ldae/methods", "ldae/networks",
    "ldae/preprocessing", "ldae/provenance", "ldae/report", "ldae/simulation", "ldae/slurm.py",
    "ldae/statistics", "ldae/training",
    "ldae/workflow", "scripts", "ldae/references.py",
)  # fmt: skip
"""Parts of the code whose text has been checked against ``WORDS``."""

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
    pattern = re.compile(rf"\b({words})\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in CODE
        if path.relative_to(ROOT).as_posix().startswith(CLEAN)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"write {WORDS[words]}:\n" + "\n".join(found)
