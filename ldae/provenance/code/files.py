"""All files that a script could import or read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from ldae.provenance.code.library import PACKAGE, REPOSITORY, may_name_file
from ldae.provenance.code.listing import Listing
from ldae.provenance.code.modules import parse

# ``module:name``, or ``path/to/file.py:name``.
REFERENCE = re.compile(r"[^:\n]+:[A-Za-z_][\w.]*")


def references_in(value: object) -> list[str]:
    """Strings within a job's parameters that may be references, sorted.

    Parameters
    ----------
    value
        Parameters, or a part of them: mappings and sequences of plain values.
    """
    if isinstance(value, str):
        return [value] if REFERENCE.fullmatch(value) else []
    if isinstance(value, Mapping):
        value = value.values()
    if not isinstance(value, Iterable):
        return []
    return sorted({reference for one in value for reference in references_in(one)})


def code_files(script: Path, *references: str, root: Path = REPOSITORY) -> list[Path]:
    """Script, library modules and data files that `script` depends on, sorted.

    Imports inside functions count, and so do the ``__init__`` files of the packages on the way.
    A data file counts when a module names it in a string, relative to itself or to `root`.

    Parameters
    ----------
    script, references, root
        As of :func:`ldae.provenance.code.code_digest`. Of references only files and modules of this
        package are followed.
    """
    root = root.resolve()  # once: it asks for every folder on the way
    listing = Listing(root)
    seen: set[Path] = set()
    todo = [script.resolve()]
    for place in (reference.partition(":")[0] for reference in references):
        if place.endswith(".py"):
            todo.extend([p.resolve() for p in (Path(place), root / place) if p.is_file()][:1])
        else:
            todo.extend(_module_files([place], root, listing))
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.suffix == ".py":
            modules, texts = _named_in(path.read_bytes(), path, root)
            todo.extend(_module_files(modules, root, listing))
            for text in texts:
                todo.extend(_named_files(text, path, root, listing))
    return sorted(seen)


@cache
def _named_in(content: bytes, path: Path, root: Path) -> tuple[Sequence[str], Sequence[str]]:
    """Dotted names that one module imports, and its strings that may name data files."""
    names: list[str] = []
    texts: list[str] = []
    for node in ast.walk(parse(content)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute_name(node, path, root)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts += [node.value] if may_name_file(node.value) else []
    return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(texts))


def _absolute_name(node: ast.ImportFrom, path: Path, root: Path) -> str:
    """Dotted name that a ``from … import`` statement refers to; empty outside the package."""
    if node.level == 0:
        return node.module or ""
    if not path.is_relative_to(root):
        return ""
    parents = path.relative_to(root).parts[: -node.level]
    return ".".join([*parents, *(node.module.split(".") if node.module else [])])


def _module_files(names: Iterable[str], root: Path, listing: Listing) -> Iterator[Path]:
    """Source files that importing dotted `names` executes, of those that lie in the package.

    Each file is looked up once, and none inside of a module: every job does so for all its code.
    """
    open_places: dict[Path, bool] = {}  # whether modules may lie inside
    for parts in (name.split(".") for name in names):
        folder = root
        for part in parts if parts[0] == PACKAGE else ():
            folder = folder / part
            if folder not in open_places:
                candidates = (folder / "__init__.py", folder.with_suffix(".py"))
                file = next(filter(listing.has_file, candidates), None)
                open_places[folder] = file != candidates[1]
                yield from () if file is None else (file,)
            if not open_places[folder]:
                break


def _named_files(text: str, path: Path, root: Path, listing: Listing) -> Iterator[Path]:
    """Data files of the repository that a string constant names."""
    for folder in (path.parent, root):
        candidate = folder / text
        if not listing.has_file(candidate):  # first: resolving it asks for every folder on the way
            continue
        candidate = candidate.resolve()
        # In a working tree of git's own making .git is a file, and says where the tree lies.
        if candidate.name == ".git":
            continue
        if candidate.is_relative_to(root):
            yield candidate
