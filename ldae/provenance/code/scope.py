"""What the names in a definition stand for, as far as a digest has to know."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cached_property

from ldae.provenance.code import plumbing
from ldae.provenance.code.library import Library, Reference
from ldae.provenance.code.modules import (
    COMPREHENSIONS,
    DEFINITIONS,
    Definition,
    DottedName,
    dotted,
    imports_within,
    is_overload,
    is_typing_only,
    local_names,
)

Decorated = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

SILENT = (ast.Pass, ast.Global, ast.Import, ast.ImportFrom)
# Expressions that may do something, or use up an iterator.
EFFECTS = (
    *(ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Starred),
    *COMPREHENSIONS,
)


class ClassKind(IntEnum):
    """What the annotations in a class mean when the program runs."""

    PLAIN = 0
    """Nothing."""
    FIELDS = 1
    """The annotated names, in their order, are the fields: a dataclass."""
    TYPED = 2
    """The types are read too: a model of pydantic."""


class Scope:
    """The names in one definition.

    Parameters
    ----------
    library
        The modules that they may come from.
    definition
        Where they stand.
    """

    def __init__(self, library: Library, definition: Definition) -> None:
        self._library = library
        self._module = definition.module
        self._node = definition.node
        self._known: dict[DottedName, tuple[list[Reference], frozenset[str]]] = {}

    @cached_property
    def local(self) -> set[str]:
        """Names that functions and classes within the definition bind for themselves."""
        return local_names(self._node)

    @cached_property
    def imports(self) -> list[DottedName]:
        """Dotted names of what the definition imports when it runs."""
        return [name for one in imports_within(self._node) for name in self._module.executed(one)]

    @cached_property
    def _imported(self) -> dict[str, list[DottedName]]:
        found: dict[str, list[DottedName]] = defaultdict(list)
        for node in imports_within(self._node):
            for name, path in self._module.imported(node):
                found[name].append(path)
        return found

    def references(self, node: ast.AST) -> list[Reference]:
        """What an expression refers to, if it is a dotted name from outside the definition."""
        name = dotted(node)
        return [] if name is None else self._look_up(name)[0]

    def certain(self, node: ast.AST) -> list[Reference]:
        """The same, but nothing if the name may also be a local one."""
        name = dotted(node)
        return [] if name is None or name[0] in self.local else self._look_up(name)[0]

    def outside(self, node: ast.AST) -> frozenset[str]:
        """Dotted names of library or built-in functions that an expression may refer to.

        Empty if it may refer to anything else.
        """
        name = dotted(node)
        return frozenset() if name is None else self._look_up(name)[1]

    def _look_up(self, name: DottedName) -> tuple[list[Reference], frozenset[str]]:
        """What a dotted name refers to, and what that is called if none of it is followed."""
        if name not in self._known:
            found = self._library.resolve(self._module, name, self._imported)
            outside: Iterable[str] = [r.text for r in found] if found else [".".join(name)]
            if name[0] in self.local or any(r.target or r.plumbing for r in found):
                outside = ()
            self._known[name] = found, frozenset(outside)
        return self._known[name]

    def is_numberless(self, node: ast.AST) -> bool:
        """Whether calls of this expression make something without a number."""
        found = [reference.target for reference in self.certain(node)]
        return bool(found) and all(
            isinstance(one, Definition)
            and len(one.names) == 1
            and (one.module.name, one.names[0]) in plumbing.NUMBERLESS_CALLS
            for one in found
        )

    def makes_error(self, node: ast.AST) -> bool:
        """Whether calls of this expression make one of the package's errors."""
        found = self.certain(node)
        return bool(found) and all(one.plumbing == plumbing.ERRORS for one in found)

    def is_foreseen_error(self, node: ast.AST) -> bool:
        """Whether an expression is an exception whose arguments are a message."""
        return self.makes_error(node) or bool(self.outside(node) & plumbing.FORESEEN_ERRORS)

    def is_message(self, node: ast.AST) -> bool:
        """Whether a statement only logs, warns or notes something."""
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            return False
        function = node.value.func
        found = self.certain(function)
        return (
            self.outside(function) in [{name} for name in plumbing.WARNINGS]
            or (bool(found) and all(r.plumbing and not r.target for r in found))
            or (
                isinstance(function, ast.Attribute)
                and function.attr in plumbing.LOG_METHODS
                and self._is_logger(function.value)
            )
        )

    def is_silent(self, node: ast.stmt) -> bool:
        """Whether a statement says or declares something at most; it may hold calls that count."""
        if isinstance(node, ast.If):
            body = [] if is_typing_only(node) else node.body
            return all(self.is_silent(statement) for statement in [*body, *node.orelse])
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Constant) or self.is_message(node)
        return isinstance(node, SILENT) or is_overload(node)

    def calls_in(self, node: ast.AST) -> Iterator[ast.AST]:
        """Outermost expressions with a possible effect in what a silent statement says."""
        if isinstance(node, ast.expr):
            yield from self._calls_in_expression(node)
        elif isinstance(node, ast.If) and not is_typing_only(node):
            for child in (node.test, *node.body, *node.orelse):
                yield from self.calls_in(child)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            for child in (*node.value.args, *node.value.keywords):
                yield from self._calls_in_expression(child)

    def class_kind(self, node: ast.ClassDef) -> ClassKind:
        """What the annotations in a class mean."""
        kinds = [ClassKind.PLAIN]
        for decorator in node.decorator_list:
            if self.outside(_called(decorator)) == plumbing.FIELD_DECORATORS:
                kinds.append(ClassKind.FIELDS)
            elif not self.is_plain_decorator(decorator):
                kinds.append(ClassKind.TYPED)
        return max([*kinds, *(self._kind_of_base(base) for base in node.bases)])

    def is_plain_decorator(self, node: ast.expr) -> bool:
        """Whether a decorator neither reads annotations nor notes the decorated anywhere."""
        name, outside = dotted(_called(node)), self.outside(_called(node))
        if name and len(name) == 2 and name[0] in self.local:
            return name[1] in plumbing.PROPERTY_DECORATORS
        return bool(outside) and all(
            one in plumbing.PLAIN_BUILTIN_DECORATORS or one.startswith(plumbing.PLAIN_DECORATORS)
            for one in outside
        )

    def has_effect(self, node: ast.AST) -> bool:
        """Whether a statement of a module does more than to bind names."""
        if isinstance(node, DEFINITIONS):
            return self._registers(node)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            return self._assigns_elsewhere(node)
        if isinstance(node, ast.stmt) and self.is_silent(node):
            return any(True for _ in self.calls_in(node))
        bodies = [s for s in ast.iter_child_nodes(node) if isinstance(s, ast.stmt)]
        bodies += [s for part in ast.iter_child_nodes(node) for s in getattr(part, "body", [])
                   if isinstance(part, ast.ExceptHandler | ast.match_case)]  # fmt: skip
        return any(self.has_effect(statement) for statement in bodies) if bodies else True

    def _assigns_elsewhere(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> bool:
        """Whether an assignment changes an object, or throws a value away."""
        if isinstance(node, ast.AnnAssign) and node.value is None:
            return False
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        stored = [n for t in targets for n in ast.walk(t) if isinstance(n, ast.expr)]
        if any(isinstance(n, ast.Attribute | ast.Subscript) for n in stored):
            return True
        names = [n.id for n in stored if isinstance(n, ast.Name)]
        imported = (isinstance(p, tuple) for n in names for p in self._module.bindings.get(n, ()))
        return not "".join(names).strip("_") or (isinstance(node, ast.AugAssign) and any(imported))

    def _registers(self, node: Decorated) -> bool:
        """Whether a function or class may be noted elsewhere when it is defined."""
        if not all(self.is_plain_decorator(one) for one in node.decorator_list):
            return True
        if not isinstance(node, ast.ClassDef):
            return False
        if node.keywords or any(self._notes_subclasses(base) for base in node.bases):
            return True
        return any(
            self._registers(one)
            if isinstance(one, DEFINITIONS)
            else isinstance(one, ast.Expr) and not self.is_silent(one)
            for one in node.body
        )

    def _notes_subclasses(self, base: ast.expr) -> bool:
        """Whether a base class of the package hears of its subclasses."""
        for target in (reference.target for reference in self.references(_subscripted(base))):
            if isinstance(target, Definition) and isinstance(target.node, ast.ClassDef):
                scope = Scope(self._library, target)
                names = {getattr(statement, "name", "") for statement in target.node.body}
                if "__init_subclass__" in names or target.node.keywords:
                    return True
                if any(scope._notes_subclasses(one) for one in target.node.bases):
                    return True
        return False

    def _kind_of_base(self, base: ast.expr) -> ClassKind:
        base = _subscripted(base)
        outside = self.outside(base)
        if outside:
            if outside <= plumbing.FIELD_BASES:
                return ClassKind.FIELDS
            untyped = all(
                "." not in name or name.partition(".")[0] in plumbing.UNTYPED_PACKAGES
                for name in outside
            )
            return ClassKind.PLAIN if untyped else ClassKind.TYPED
        found = self.certain(base)
        if found and all(reference.plumbing for reference in found):
            return ClassKind.PLAIN
        kinds = [
            Scope(self._library, target).class_kind(target.node)
            for target in (reference.target for reference in found)
            if isinstance(target, Definition) and isinstance(target.node, ast.ClassDef)
        ]
        return max(kinds, default=ClassKind.TYPED)

    def _is_logger(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return self.outside(node.func) == {plumbing.LOGGER_MAKER}
        targets = [reference.target for reference in self.certain(node)]
        return bool(targets) and all(
            isinstance(one, Definition)
            and isinstance(one.node, ast.Assign)
            and isinstance(one.node.value, ast.Call)
            and Scope(self._library, one)._is_logger(one.node.value)
            for one in targets
        )

    def _calls_in_expression(self, node: ast.AST) -> Iterator[ast.AST]:
        pure = isinstance(node, ast.Call) and self.outside(node.func) & plumbing.PURE_BUILTINS
        if isinstance(node, EFFECTS) and not pure:
            yield node
            return
        for child in ast.iter_child_nodes(node):
            yield from self._calls_in_expression(child)


def _called(node: ast.expr) -> ast.expr:
    """A decorator without its arguments."""
    return node.func if isinstance(node, ast.Call) else node


def _subscripted(node: ast.expr) -> ast.expr:
    """A base class without its type parameters."""
    return node.value if isinstance(node, ast.Subscript) else node
