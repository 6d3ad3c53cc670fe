"""The syntax of a definition without what can change no number, and with what it refers to."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ldae.provenance.code import plumbing
from ldae.provenance.code.library import Library, Reference
from ldae.provenance.code.modules import CodeError, Definition, DottedName, Module, dotted
from ldae.provenance.code.scope import ClassKind, Decorated, Scope

# ``module:name`` in a string refers to what has that name.
REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")

ANNOTATIONS = frozenset({"annotation", "returns"})
# Fields of the syntax that carry nothing, or nothing but types.
SKIPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_params"})

Part = str | Definition | Module


@dataclass
class Syntax:
    """What a digest takes of a definition or of a whole module.

    Attributes
    ----------
    parts
        Text, and the definitions and modules referred to, in order.
    imports
        Dotted names of what it imports when it runs.
    reads_names, reads_text
        Whether it looks at names of functions and classes, or at their docstrings or annotations.
    """

    parts: list[Part] = field(default_factory=list)
    imports: list[DottedName] = field(default_factory=list)
    reads_names: bool = False
    reads_text: bool = False

    def joined(self) -> Syntax:
        """The same with neighbouring text in one piece."""
        parts: list[Part] = []
        text: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                text.append(part)
            else:
                parts += ["".join(text), part]
                text.clear()
        return replace(self, parts=[*parts, "".join(text)])

    def refer(self, references: Iterable[Reference]) -> None:
        """Add what a name refers to."""
        for one in references:
            kind = "opaque" if one.plumbing else ""
            self.parts += [f"<{kind} ", one.target or "", f" {one.text}>"]


def read_definition(library: Library, definition: Definition) -> Syntax:
    """What a digest takes of a definition."""
    scope = Scope(library, definition)
    writer = _Writer(library, definition, scope)
    if isinstance(definition.node, ast.Module):
        writer.write(definition.node)
    else:
        writer.write_statements([definition.node])
    writer.finish()
    return writer.syntax.joined()


def read_module(library: Library, module: Module) -> Syntax:
    """What a digest takes of a module that is used as a whole: all that its names are bound to."""
    syntax = Syntax(["module"])
    for definition in module.definitions:
        syntax.refer([Reference(definition, "")])
    for name, bound in module.bindings.items():
        if any(isinstance(one, tuple) for one in bound):
            syntax.refer(library.resolve(module, (name,)))
    return syntax


class _Writer:
    """Writes the syntax of one definition; its methods are called by the kinds of nodes."""

    def __init__(self, library: Library, definition: Definition, scope: Scope) -> None:
        self.syntax = Syntax(imports=scope.imports)
        self._library = library
        self._definition = definition
        self._scope = scope
        self._kind = ClassKind.PLAIN  # of the class whose statements are being written
        self._annotations = False  # whether those of functions count
        self._namespaces: frozenset[str] = frozenset()
        self._put = self.syntax.parts.append
        self._writers: dict[type[ast.AST], Callable[[Any], None]] = {}

    def finish(self) -> None:
        """Add what can be said only when everything has been written."""
        if self._namespaces == plumbing.SELF_READERS:
            self._put(self._definition.module)

    def write(self, value: object) -> None:
        """Write a node, a list of nodes, or a value of a field."""
        if isinstance(value, ast.AST):
            kind = type(value)
            if kind not in self._writers:
                name = f"_write_{kind.__name__.lower()}"
                self._writers[kind] = getattr(self, name, self._write_fields)
            self._writers[kind](value)
        elif isinstance(value, list):
            self._put("[")
            for one in value:
                self.write(one)
            self._put("]")
        else:
            self._put(f" {value!a}")

    def _write_fields(self, node: ast.AST, without: Sequence[str] = ()) -> None:
        put = self._put
        put(f"({type(node).__name__}")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in SKIPPED_FIELDS or name in without:
                continue
            put(f" {name}=")
            if name in ANNOTATIONS and isinstance(value, ast.Constant):
                value = _unquoted(value)
            if isinstance(value, list) and isinstance(value[0], ast.stmt):
                start = len(self.syntax.parts)
                self.write_statements(value)
                if len(self.syntax.parts) == start:
                    self.syntax.parts.pop()
            else:
                self.write(value)
        put(")")

    def write_statements(self, statements: Iterable[ast.stmt]) -> None:
        """Write statements, and of those that only say something the calls they make for it."""
        for statement in statements:
            if self._scope.is_silent(statement):
                for call in self._scope.calls_in(statement):
                    self.write(call)
            else:
                self.write(statement)

    def _write_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        kept = self._kind, self._annotations
        plain = all(self._scope.is_plain_decorator(one) for one in node.decorator_list)
        self._kind, self._annotations = ClassKind.PLAIN, self._annotations or not plain
        without = [] if self._annotations else ["returns"]
        self._write_fields(self._without_typing(node), self._nameless(node, without))
        self._kind, self._annotations = kept

    _write_asyncfunctiondef = _write_functiondef

    def _write_classdef(self, node: ast.ClassDef) -> None:
        kept = self._kind, self._annotations
        self._kind = self._scope.class_kind(node)
        self._annotations = self._kind is ClassKind.TYPED
        self._write_fields(self._without_typing(node), self._nameless(node, []))
        self._kind, self._annotations = kept

    def _nameless(self, node: ast.stmt, without: list[str]) -> list[str]:
        """Fields to leave out: also the name, if it is the definition's own."""
        return [*without, "name"] if node is self._definition.node else without

    def _without_typing(self, node: Decorated) -> Decorated:
        """A function or class without decorators for the type checker only."""
        given = node.decorator_list
        kept = [one for one in given if not self._scope.outside(one) & plumbing.TYPING_DECORATORS]
        if len(kept) == len(given):
            return node
        return type(node)(**{**dict(ast.iter_fields(node)), "decorator_list": kept})

    def _write_arg(self, node: ast.arg) -> None:
        self._write_fields(node, [] if self._annotations else ["annotation"])

    def _write_annassign(self, node: ast.AnnAssign) -> None:
        if self._kind is ClassKind.TYPED:
            self._write_fields(node)
        elif self._kind is ClassKind.FIELDS:
            text = ast.unparse(node.annotation)
            marked = any(mark in text for mark in plumbing.FIELD_MARKS)
            self._write_fields(node, [] if marked else ["annotation"])
        elif node.value is not None:
            self.write(ast.Assign([node.target], node.value))

    def _write_assert(self, node: ast.Assert) -> None:
        self._write_fields(node, ["msg"])

    def _write_raise(self, node: ast.Raise) -> None:
        error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if error is not None and self._scope.is_foreseen_error(error):
            node = ast.Raise(error)
        self._write_fields(node)

    def _write_call(self, node: ast.Call) -> None:
        outside = self._scope.outside(node.func)
        first = node.args[0] if node.args else None
        if self._scope.is_numberless(node.func):
            self._put("(numberless)")
        elif self._scope.makes_error(node.func):
            self.write(node.func)
        elif outside == {plumbing.CAST} and len(node.args) == 2:
            self.write(node.args[1])
        else:
            if outside & plumbing.IMPORTERS and isinstance(first, ast.Constant):
                name = str(first.value)
                self.syntax.imports.append(tuple(name.split(".")))
                self.syntax.refer(self._library.follow(tuple(name.split("."))))
            if outside == {"vars"} and first is None:
                self._put(self._definition.module)
            self._write_fields(node)

    def _write_name(self, node: ast.Name) -> None:
        self._write_dotted(node, (node.id,))

    def _write_attribute(self, node: ast.Attribute) -> None:
        name = dotted(node)
        self.syntax.reads_names |= node.attr in plumbing.READS_NAMES
        self.syntax.reads_text |= node.attr in plumbing.READS_TEXT
        if node.attr == "__subclasses__":
            where = f"{self._definition.module.path}:{node.lineno}"
            raise CodeError(f"{where}: name the classes, which cannot be found otherwise")
        if name is None:
            self._write_fields(node)
        else:
            self._write_dotted(node, name)

    def _write_dotted(self, node: ast.expr, name: DottedName) -> None:
        found = self._scope.references(node)
        if not found or name[0] in self._scope.local:
            self._put(f" ${'.'.join(name)}")
        self.syntax.refer(found)
        outside = self._scope.outside(node)
        self.syntax.reads_text |= any(one.startswith(plumbing.TEXT_READERS) for one in outside)
        self._namespaces |= outside & plumbing.SELF_READERS
        if outside & plumbing.NAMESPACE_READERS:
            self._put(self._definition.module)

    def _write_binop(self, node: ast.BinOp) -> None:
        """``folder / "data" / "table.tsv"`` names one file."""
        parts: list[str] = []
        left: ast.expr = node
        while (
            isinstance(left, ast.BinOp)
            and isinstance(left.op, ast.Div)
            and isinstance(left.right, ast.Constant)
            and isinstance(left.right.value, str)
        ):
            parts.insert(0, left.right.value)
            left = left.left
        if len(parts) > 1 and self._write_files("/".join(parts)):
            self.write(left)
        else:
            self._write_fields(node)

    def _write_joinedstr(self, node: ast.JoinedStr) -> None:
        """Neighbouring pieces of text are joined: versions of Python cut them differently."""
        text = ""
        self._put("(JoinedStr")
        for value in node.values:
            if isinstance(value, ast.Constant):
                text += str(value.value)
                continue
            self._put(f" {text!a}")
            text = ""
            self.write(value)
        self._put(f" {text!a})")

    def _write_constant(self, node: ast.Constant) -> None:
        text = node.value
        if isinstance(text, str):
            if REFERENCE.fullmatch(text) and self._refer_to(text):
                return
            if self._write_files(text):
                return
        self._put(f" {text!a}")

    def _refer_to(self, text: str) -> bool:
        """Write what ``module:name`` refers to, if it is there."""
        place, _, name = text.partition(":")
        if self._library.module(place) is None:
            return False
        found = self._library.follow((*place.split("."), *name.split(".")))
        self.syntax.imports.append(tuple(place.split(".")))
        self.syntax.refer(found)
        return True

    def _write_files(self, text: str) -> bool:
        """Write the contents of the data files that a string names, if it names any."""
        found = self._library.data_files(text, self._definition.module)
        for digest in found:
            self._put(f"(file {digest})")
        return bool(found)


def _unquoted(node: ast.Constant) -> ast.AST:
    """Syntax of an annotation that is written as a string."""
    return ast.parse(node.value, mode="eval").body if isinstance(node.value, str) else node
