"""Digest of the library code that a rule's script depends on.

Snakemake re-runs a rule when the text of its script changes, but does not see what the script
imports. The digest made here is a parameter of every rule, so that a changed library module
re-runs exactly the rules whose scripts import it, directly or through other modules.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ldae.paths import SOURCE

PACKAGE = "ldae"
REPOSITORY = SOURCE

# Sixteen hexadecimal digits (64 bits) are ample to tell versions of one file set apart.
DIGEST_LENGTH = 16

# Longer string constants are text, not names of data files beside a module.
MAX_FILE_NAME = 120


def code_digest(script: Path, *references: str, root: Path = REPOSITORY) -> str:
    """Hexadecimal digest of a script, the library modules it imports, and their data files.

    Parameters
    ----------
    script
        Python file to start from.
    root
        Folder that holds the package ``ldae``.

    Returns
    -------
    str
        The first 16 digits of a SHA-256 over names and contents, in sorted order.
    """
    digest = hashlib.sha256()
    files = set(code_files(script, root))
    for reference in references:
        module = reference.partition(":")[0].replace(".", "/")
        files.update(code_files(root / f"{module}.py", root))
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:DIGEST_LENGTH]


def code_files(script: Path, root: Path = REPOSITORY) -> list[Path]:
    """Script, library modules and data files that `script` depends on, sorted.

    Imports inside functions count, and so do the ``__init__`` files of the packages on the way.
    A data file counts when a module names it in a string, relative to itself or to `root`.
    """
    seen: set[Path] = set()
    todo = [script.resolve()]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.suffix == ".py":
            todo.extend(_dependencies(path, root.resolve()))
    return sorted(seen)


@cache
def _dependencies(path: Path, root: Path) -> tuple[Path, ...]:
    """Files of the repository that one module imports or names, not followed further."""
    tree = ast.parse(path.read_bytes(), filename=str(path))
    found: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.extend(_module_files(alias.name, root))
        elif isinstance(node, ast.ImportFrom):
            base = _absolute_name(node, path, root)
            found.extend(_module_files(base, root))
            for alias in node.names:
                found.extend(_module_files(f"{base}.{alias.name}", root))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.extend(_named_files(node.value, path, root))
    return tuple(dict.fromkeys(found))


def _absolute_name(node: ast.ImportFrom, path: Path, root: Path) -> str:
    """Dotted name that a ``from … import`` statement refers to; empty outside the package."""
    if node.level == 0:
        return node.module or ""
    if not path.is_relative_to(root):
        return ""
    parents = path.relative_to(root).parts[: -node.level]
    return ".".join([*parents, *(node.module.split(".") if node.module else [])])


def _module_files(name: str, root: Path) -> Iterator[Path]:
    """Source files that importing the dotted `name` executes, if it lies in the package."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return
    folder = root
    for part in parts:
        folder = folder / part
        for candidate in (folder / "__init__.py", folder.with_suffix(".py")):
            if candidate.is_file():
                yield candidate


def _named_files(text: str, path: Path, root: Path) -> Iterator[Path]:
    """Data files of the repository that a string constant names."""
    if not 0 < len(text) <= MAX_FILE_NAME or "\n" in text or "." not in text:
        return
    for folder in (path.parent, root):
        candidate = (folder / text).resolve()
        # In a working tree of git's own making .git is a file, and says where the tree lies.
        if candidate.name == ".git":
            continue
        if candidate.is_relative_to(root) and candidate.is_file():
            yield candidate
