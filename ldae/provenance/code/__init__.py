"""Digests of the code that a rule's script depends on.

Snakemake re-runs a rule when its parameters change, but does not see what its script imports. The
digest of :func:`code_digest` is a parameter of every rule, so that a change of the library re-runs
the rules whose numbers it can change, and no others.

**What counts.** The script's statements, and every definition (function, class or module-level
value) that they reach through names, imports, attributes of modules, base classes, decorators,
default values and ``module:name`` in strings; a class counts with all its methods. Statements that
do something when an imported module is executed count too, and so does the content of data files
that a string names. Of each definition counts its syntax, and how definitions refer to each other:
neither where they lie nor what their modules are called.

**What does not.** Layout, comments, docstrings, annotations (but for models that read them and for
names and order of a dataclass's fields), log messages and warnings, the arguments of exceptions
that carry a message, and the plumbing listed in :mod:`ldae.provenance.code.plumbing`.
:class:`ldae.methods.Look` is left out entirely: looks reach figures as parameters of their rules.
A call inside a log message does count, unless it is a built-in function without effect.

**What cannot be seen.** Names that are computed when the program runs: a module imported by a
computed name, or a file whose name is put together of more than constants. A rule whose script uses
such a function hands its name to :func:`code_digest` as a reference; jobs look it up with
:func:`ldae.references.resolve`, which notes it for their record, so that the audit can ask for the
same digest. Code that uses a module as a value
(``getattr(module, name)``), ``eval``, ``exec``, ``globals()`` or ``vars()`` counts the whole
module; code that reads docstrings, annotations or source counts the text of all that it reaches,
and code that reads ``__name__`` the names. Values of modules are taken to be made without side
effects. Libraries are not followed: the records name their versions.

:func:`raw_digest` is over the bytes of all files that a script could import. It changes with every
comment, stands in each job's record, and re-runs nothing.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from ldae.provenance.code.files import code_files, references_in
from ldae.provenance.code.library import PACKAGE, REPOSITORY, Library
from ldae.provenance.code.modules import CodeError
from ldae.provenance.code.reach import Reach

__all__ = ["REPOSITORY", "CodeError", "code_digest", "code_files", "raw_digest", "references_in"]

# Sixteen hexadecimal digits (64 bits) are ample to tell versions of one file set apart.
DIGEST_LENGTH = 16


def code_digest(script: Path, *references: str, root: Path = REPOSITORY) -> str:
    """Digest of what can change a number in a script, in hexadecimal.

    Parameters
    ----------
    script
        Python file to start from.
    references
        What the script uses by computed names: ``module:name`` of an installed package, or
        ``path/to/file.py:name``.
    root
        Folder that holds the package ``ldae``.

    Returns
    -------
    str
        The first 16 digits of a SHA-256. It is the same for every version of Python whose syntax
        the code is written in.

    Raises
    ------
    CodeError
        If a reference leads nowhere, or a module imports ``*``.
    """
    names = {one.partition(":")[0] for one in references}
    packages = {name.partition(".")[0] for name in names if not name.endswith(".py")}
    reach = _reach(root, frozenset(packages - {PACKAGE}))
    return reach.digest(script, references)[:DIGEST_LENGTH]


def raw_digest(script: Path, *references: str, root: Path = REPOSITORY) -> str:
    """Digest of the bytes of a script and of all files that it could import, in hexadecimal.

    Parameters
    ----------
    script, references, root
        As in :func:`code_digest`.

    Returns
    -------
    str
        The first 16 digits of a SHA-256 over names and contents, in sorted order.
    """
    root = root.resolve()  # once: it asks for every folder on the way
    digest = hashlib.sha256()
    for path in code_files(script, *references, root=root):
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        digest.update(name.encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:DIGEST_LENGTH]


@cache
def _reach(root: Path, packages: frozenset[str]) -> Reach:
    """What has been read of a repository; all digests of a process share it."""
    return Reach(Library(root, packages))
