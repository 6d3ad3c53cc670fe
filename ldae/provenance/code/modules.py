"""Python files taken apart: the statements of a module, and what each of its names is bound to."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard

DottedName = tuple[str, ...]

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
INNER_SCOPES = (*DEFINITIONS, ast.Lambda, *COMPREHENSIONS)
HOLDERS = (ast.stmt, ast.ExceptHandler, ast.match_case)
SCOPES = frozenset({*INNER_SCOPES, ast.Module})
# Nodes that bind a name without a node for it.
BINDERS = frozenset(
    {*DEFINITIONS, ast.arg, ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping}
)


class CodeError(ValueError):
    """Code whose digest cannot be made."""


class Definition:
    """A statement of a module that binds names, or does something when the module is imported.

    Attributes
    ----------
    module
        Where it stands.
    node
        Its syntax; the whole file for a script.
    names
        Names of the module that it binds, in their order.
    """

    __slots__ = ("module", "names", "node")

    def __init__(self, module: Module, node: ast.stmt | ast.Module, names: Iterable[str]) -> None:
        self.module = module
        self.node = node
        self.names = tuple(names)


class Module:
    """One file of Python.

    Parameters
    ----------
    name
        Dotted name; empty for a script or a file outside every package.
    path
        The file; None for a folder of modules without an ``__init__`` file.
    script
        Whether the file is run as a whole: it is then one definition.

    Attributes
    ----------
    definitions
        Its statements but imports, in order.
    bindings
        What each name is bound to: definitions, or dotted names that were imported.
    imports
        Dotted names that importing it imports, in order.
    """

    def __init__(self, name: str, path: Path | None, *, script: bool = False) -> None:
        self.name = name
        self.path = path
        self.is_script = script
        self.definitions: list[Definition] = []
        self.bindings: dict[str, list[Definition | DottedName]] = {}
        self.imports: list[DottedName] = []
        tree = parse(path.read_bytes()) if path else ast.Module([], [])
        if script:
            self.definitions = [Definition(self, tree, ())]
        else:
            for statement in tree.body:
                self._add(statement)

    @property
    def package(self) -> DottedName:
        """Dotted name of the package that relative imports start from."""
        parts = tuple(self.name.split(".")) if self.name else ()
        inside = self.path is None or self.path.name == "__init__.py"
        return parts if inside else parts[:-1]

    def imported(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, DottedName]]:
        """Names that an import statement binds, and what to.

        Raises
        ------
        CodeError
            At ``from … import *``, which may bind anything.
        """
        if isinstance(node, ast.Import):
            for alias in node.names:
                path = tuple(alias.name.split("."))
                yield (alias.asname, path) if alias.asname else (path[0], path[:1])
            return
        base = self.package[: len(self.package) - node.level + 1] if node.level else ()
        base += tuple(node.module.split(".")) if node.module else ()
        for alias in node.names:
            if alias.name == "*":
                raise CodeError(f"{self.path}:{node.lineno}: import names, not *")
            yield alias.asname or alias.name, (*base, alias.name)

    def executed(self, node: ast.Import | ast.ImportFrom) -> list[DottedName]:
        """Dotted names of the modules that an import statement executes, some of them perhaps."""
        if isinstance(node, ast.Import):
            return [tuple(alias.name.split(".")) for alias in node.names]
        return [path for _, path in self.imported(node)]

    def _add(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
        elif is_typing_only(node):
            for statement in node.orelse:
                self._add(statement)
        elif not is_main_only(node) and not is_overload(node):
            for statement in _imports_in(node):
                self._import(statement)
            definition = Definition(self, node, bound_names(node))
            self.definitions.append(definition)
            for name in definition.names:
                self.bindings.setdefault(name, []).append(definition)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.imports += self.executed(node)
        for name, path in self.imported(node):
            self.bindings.setdefault(name, []).append(path)


@cache
def parse(content: bytes) -> ast.Module:
    """Syntax tree of a file."""
    return ast.parse(content)


def is_typing_only(node: ast.AST) -> TypeGuard[ast.If]:
    """Whether a statement is an ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and (dotted(node.test) or ("",))[-1] == "TYPE_CHECKING"


def is_main_only(node: ast.AST) -> bool:
    """Whether a statement is an ``if __name__ == "__main__":``, which no import runs."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and dotted(node.test.left) == ("__name__",)
        and isinstance(node.test.ops[0], ast.Eq)
        and not node.orelse
    )


def is_overload(node: ast.AST) -> bool:
    """Whether a statement is a function's ``@overload``, for the type checker only."""
    decorators = node.decorator_list if isinstance(node, DEFINITIONS) else []
    return any((dotted(one) or ("",))[-1] == "overload" for one in decorators)


def dotted(node: ast.AST) -> DottedName | None:
    """Parts of ``a.b.c``; None of any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return (node.id, *reversed(parts))


def children(node: ast.AST) -> list[ast.AST]:
    """Nodes right below a node that have fields; a faster :func:`ast.iter_child_nodes`."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [one for one in value if isinstance(one, ast.AST)]
        elif isinstance(value, ast.AST) and value._fields:  # not an operator, nor the context
            found.append(value)
    return found


def bound_names(node: ast.stmt) -> list[str]:
    """Names that a statement binds in the scope it stands in, but for imports, in order."""
    found: list[str] = []
    for child in _walk_scope(node):
        if isinstance(child, ast.Name) and not isinstance(child.ctx, ast.Load):
            found.append(child.id)
        else:
            found += _bound_by_text(child)
    return list(dict.fromkeys(found))


def local_names(node: ast.AST) -> set[str]:
    """Names that functions, classes and comprehensions within a statement bind for themselves.

    Those that a function declares as global are not its own. All names of a script are local to it.
    """
    found: set[str] = set()
    _collect_names(node, set(), set(), found)
    return found


def _collect_names(node: ast.AST, stored: set[str], shared: set[str], found: set[str]) -> None:
    """Add names that a node stores to those of its scope, and those of inner scopes to `found`."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            stored.add(node.id)
        return
    kind = type(node)
    inner = kind in SCOPES
    if kind in BINDERS:
        stored.update(_bound_by_text(node))
    elif isinstance(node, ast.Global):
        shared.update(node.names)
    if inner:
        stored, shared = set(), set()
    for child in children(node):
        _collect_names(child, stored, shared, found)
    if inner:
        found |= stored - shared


def imports_within(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements anywhere in a statement, but for those of the type checker only."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    elif is_typing_only(node):
        for statement in node.orelse:
            yield from imports_within(statement)
    else:
        for child in children(node):
            if isinstance(child, HOLDERS):
                yield from imports_within(child)


def _imports_in(node: ast.stmt) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements of the scope that a statement stands in."""
    return (n for n in _walk_scope(node) if isinstance(n, ast.Import | ast.ImportFrom))


def _walk_scope(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those within it that belong to the same scope, in order."""
    yield node
    if isinstance(node, COMPREHENSIONS):  # binds names outside by := only
        yield from (n.target for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
    elif not isinstance(node, INNER_SCOPES):
        for child in children(node):
            yield from _walk_scope(child)


def _bound_by_text(node: ast.AST) -> list[str]:
    """Names that a node binds without a node for the name."""
    if type(node) not in BINDERS:
        return []
    attribute = {ast.MatchMapping: "rest", ast.arg: "arg"}.get(type(node), "name")
    name = getattr(node, attribute)
    return [name] if name else []
