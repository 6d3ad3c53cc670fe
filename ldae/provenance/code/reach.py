"""What a script reaches, and the digest of it."""

from __future__ import annotations

import ast
import contextlib
import gc
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from ldae.provenance.code.library import Library, Reference
from ldae.provenance.code.modules import Definition, DottedName, Module
from ldae.provenance.code.plumbing import OPAQUE
from ldae.provenance.code.scope import Scope
from ldae.provenance.code.syntax import Syntax, read_definition, read_module


class Reach:
    """Digests of scripts; what several scripts reach is read once.

    Parameters
    ----------
    library
        The modules that scripts import.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._syntax: dict[Definition | Module, Syntax] = {}
        self._effects: dict[Module, list[Definition]] = {}
        self._ways: dict[DottedName, list[Module]] = {}

    def digest(self, script: Path, references: Iterable[str] = ()) -> str:
        """SHA-256, in hexadecimal, of all that a script and some functions reach.

        Parameters
        ----------
        script
            Python file to start from.
        references
            ``module:name`` or ``path/to/file.py:name`` of the functions; their order is no matter,
            whatever they are called.
        """
        (whole,) = Module("", script, script=True).definitions
        found = [self._library.refer(reference) for reference in set(references)]
        found.sort(key=self._walk)
        return self._walk([Reference(whole, ""), *chain.from_iterable(found)])

    def _walk(self, references: Sequence[Reference]) -> str:
        start = Syntax()
        start.refer(references)
        digest = hashlib.sha256()
        with _no_collection():
            for text in _Walk(self, start).texts():
                digest.update(text.encode())
        return digest.hexdigest()

    def syntax(self, target: Definition | Module) -> Syntax:
        """What counts of a definition, or of a module that is used as a whole."""
        if target not in self._syntax:
            read = read_module if isinstance(target, Module) else read_definition
            self._syntax[target] = read(self._library, target)  # type: ignore[arg-type]
        return self._syntax[target]

    def effects(self, module: Module) -> list[Definition]:
        """Statements of a module that do something when it is imported."""
        if module not in self._effects:
            self._effects[module] = [
                one for one in module.definitions
                if Scope(self._library, one).has_effect(one.node)
            ]  # fmt: skip
        return self._effects[module]

    def executed(self, name: DottedName) -> list[Module]:
        """Modules on the way to a dotted name that importing it executes, but for plumbing."""
        if name not in self._ways:
            self._ways[name] = []
            for n in range(1, len(name) + 1):
                module = self._library.module(".".join(name[:n]))
                if module is None or module.name in OPAQUE:
                    break
                self._ways[name].append(module)
        return self._ways[name]


class _Walk:
    """A walk over all that is reached, from one script.

    Definitions are numbered in the order in which they are first referred to, and references are
    written as these numbers. So neither names nor places matter, but it does matter which of two
    definitions is used, and whether two uses share one.
    """

    def __init__(self, reach: Reach, start: Syntax) -> None:
        self._reach = reach
        self._syntaxes = [start]
        self._numbers: dict[Definition | Module, int] = {}
        self._targets: list[Definition | Module] = []
        self._seen: set[Module] = set()
        self._executed: list[Module] = []

    def texts(self) -> Iterator[str]:
        """Text of all that is reached, in a form that is the same wherever it lies."""
        yield from self._write(self._syntaxes[0])
        n_read = n_executed = 0
        while n_read < len(self._targets) or n_executed < len(self._executed):
            if n_read < len(self._targets):
                yield "\n"
                yield from self._write(self._read(self._targets[n_read]))
                n_read += 1
            else:
                for effect in self._reach.effects(self._executed[n_executed]):
                    yield f"\neffect {self._number(effect)}"
                n_executed += 1
        if any(one.reads_names for one in self._syntaxes):
            yield "\nnames " + " ".join(_names(one) for one in self._targets)
        if any(one.reads_text for one in self._syntaxes):
            yield "\ntext " + "\n".join(_text(one) for one in self._targets)

    def _write(self, syntax: Syntax) -> Iterator[str]:
        for part in syntax.parts:
            yield part if isinstance(part, str) else str(self._number(part))

    def _number(self, target: Definition | Module) -> int:
        if target not in self._numbers:
            self._numbers[target] = len(self._targets)
            self._targets.append(target)
        return self._numbers[target]

    def _read(self, target: Definition | Module) -> Syntax:
        """Syntax of what is reached; notes the modules that are imported for it."""
        syntax = self._reach.syntax(target)
        self._syntaxes.append(syntax)
        module = target.module if isinstance(target, Definition) else target
        if module.name:
            self._import(tuple(module.name.split(".")))
        elif not module.is_script:
            self._execute(module)
        for name in syntax.imports:
            self._import(name)
        return syntax

    def _import(self, name: DottedName) -> None:
        for module in self._reach.executed(name):
            self._execute(module)

    def _execute(self, module: Module) -> None:
        """Note that a module is executed, after those that it imports."""
        if module not in self._seen:
            self._seen.add(module)
            for name in module.imports:
                self._import(name)
            self._executed.append(module)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from looking for unused cycles: trees hold none, and it takes a third longer."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _names(target: Definition | Module) -> str:
    return ",".join(target.names) if isinstance(target, Definition) else ""


def _text(target: Definition | Module) -> str:
    """Source of a definition with its decorators."""
    if isinstance(target, Module) or target.module.path is None:
        return ""
    lines = target.module.path.read_text(encoding="utf-8").splitlines()
    node = target.node
    if isinstance(node, ast.Module):
        return "\n".join(lines)
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    return "\n".join(lines[first - 1 : node.end_lineno])
