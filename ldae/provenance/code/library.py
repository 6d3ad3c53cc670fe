"""The modules of a repository, and what a dotted name in one of them refers to."""

from __future__ import annotations

import hashlib
import importlib.util
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ldae.paths import SOURCE
from ldae.provenance.code.listing import Listing
from ldae.provenance.code.modules import CodeError, Definition, DottedName, Module
from ldae.provenance.code.plumbing import OPAQUE, STANDS_FOR

PACKAGE = "ldae"
REPOSITORY = SOURCE

# Longer string constants are text, not names of data files.
MAX_FILE_NAME = 120
CODE_SUFFIXES = (".py", ".pyc")
# In a working tree of git's own making .git is a file, and says where the tree lies.
NO_DATA = (".git", "__init__.py")


class Reference(NamedTuple):
    """What a dotted name refers to.

    Attributes
    ----------
    target
        A definition, a whole module, or None for what is not followed.
    text
        What else tells it apart: its place among the names that the definition binds and the
        attributes asked of it, or the dotted name of what lies outside.
    plumbing
        The module that it lies in, if that is opaque.
    """

    target: Definition | Module | None
    text: str
    plumbing: str = ""


class Library:
    """The package of a repository, and packages and files of one's own beside it.

    Modules are read when something first asks for them, and once only.

    Parameters
    ----------
    root
        Folder that holds the package ``ldae``.
    packages
        Names of the other packages; they are found as Python would find them.
    """

    def __init__(self, root: Path, packages: Iterable[str] = ()) -> None:
        self.root = root.resolve()
        self._listing = Listing(self.root)
        self._folders = {PACKAGE: [self.root / PACKAGE]}
        self._folders |= {name: _package_folders(name) for name in packages}
        self._modules: dict[str, Module | None] = {}
        self._files: dict[Path, Module] = {}

    def module(self, name: str) -> Module | None:
        """A module of a known package by its dotted name, or None if there is none."""
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def refer(self, reference: str) -> list[Reference]:
        """What ``module:name`` or ``path/to/file.py:name`` refers to.

        Relative files are looked up in the working folder, then in the repository.

        Raises
        ------
        CodeError
            If the module, the file or the name is not there.
        """
        place, _, name = reference.partition(":")
        names = tuple(name.split(".")) if name else ()
        if place.endswith(".py"):
            module = self._file(place)
            found = self.resolve(module, names) if names else [Reference(module, "")]
        else:
            found = self.follow((*place.split("."), *names)) if self.module(place) else []
        if not any(one.target or one.plumbing for one in found):
            raise CodeError(f"{reference}: there is no such function")
        return found

    def resolve(
        self,
        module: Module,
        name: DottedName,
        local: Mapping[str, Iterable[DottedName]] | None = None,
    ) -> list[Reference]:
        """What a dotted name in a module refers to; nothing if it is local or built in.

        Parameters
        ----------
        module
            Where it is used.
        name
            Its parts.
        local
            What import statements beside it bind names to.
        """
        first, rest = name[0], name[1:]
        bound = [*(local or {}).get(first, ()), *module.bindings.get(first, ())]
        return self._bound(bound, first, rest, frozenset())

    def follow(
        self, name: DottedName, seen: frozenset[tuple[str, str]] = frozenset()
    ) -> list[Reference]:
        """What an absolute dotted name refers to."""
        module = self.module(name[0]) if name[0] in self._folders else None
        if module is None:
            return [Reference(None, ".".join(name))]
        for i in range(1, len(name) + 1):
            rest = name[i:]
            if module.name in OPAQUE:
                return self._opaque(module, rest)
            if not rest:
                return [Reference(module, "")]
            below = self.module(f"{module.name}.{rest[0]}")
            bound = [] if (module.name, rest[0]) in seen else module.bindings.get(rest[0], [])
            if bound:
                seen |= {(module.name, rest[0])}
                found = self._bound(bound, rest[0], rest[1:], seen)
                return [*found, *(self.follow(name[: i + 1]) if below else ())]
            if below is None:
                asked = module.bindings.get("__getattr__", [])
                return [Reference(None, "." + ".".join(rest))] + [
                    Reference(one, ".".join(rest)) for one in asked if isinstance(one, Definition)
                ]
            module = below
        raise AssertionError(name)

    def data_files(self, text: str, module: Module) -> list[str]:
        """SHA-256 of the data files that a string constant of a module names, sorted.

        A path may begin anywhere in a package, beside the module, or in the repository.
        """
        if not may_name_file(text):
            return []
        inside = self._package_data.get(text.rpartition("/")[2], ())
        found = {path for path in inside if path.as_posix().endswith(f"/{text}")}
        beside = module.path.parent if module.path else self.root
        for folder in {beside, self.root}:
            if not self._listing.has_file(folder / text):  # first: resolving asks for every folder
                continue
            path = (folder / text).resolve()
            if path.is_relative_to(folder) and path.name not in NO_DATA:
                found.add(path)
        return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in found)

    @cached_property
    def _package_data(self) -> dict[str, list[Path]]:
        """Data files of the packages by name."""
        found: dict[str, list[Path]] = defaultdict(list)
        for folder in chain.from_iterable(self._folders.values()):
            for path in folder.rglob("*"):
                if path.suffix not in CODE_SUFFIXES and path.is_file():
                    found[path.name].append(path)
        return found

    def _read(self, name: str) -> Module | None:
        """A module from its file, or from its folder where that has no ``__init__`` file."""
        top, *below = name.split(".")
        above = self.module(name.rpartition(".")[0]) if below else None
        if above is not None and above.path is not None and above.path.name != "__init__.py":
            return None  # a module has none inside: the file system is not asked for each name
        for folder in self._folders.get(top, ()):
            place = folder.joinpath(*below)
            for path in (place / "__init__.py", place.with_suffix(".py")):
                if self._listing.has_file(path):
                    return Module(name, path)
            if self._listing.has_folder(place):
                return Module(name, None)
        return None

    def _file(self, name: str) -> Module:
        """A file of definitions outside the packages."""
        for path in (Path(name), self.root / name):
            if path.is_file():
                path = path.resolve()
                if path not in self._files:
                    self._files[path] = Module("", path)
                return self._files[path]
        raise CodeError(f"{name}: there is no such file")

    def _bound(
        self,
        bound: Iterable[Definition | DottedName],
        name: str,
        rest: DottedName,
        seen: frozenset[tuple[str, str]],
    ) -> list[Reference]:
        """References of a name with what it is bound to."""
        found: list[Reference] = []
        for one in bound:
            if isinstance(one, Definition):
                found.append(Reference(one, ".".join((str(one.names.index(name)), *rest))))
            else:
                found += self.follow((*one, *rest), seen)
        return found

    def _opaque(self, module: Module, rest: DottedName) -> list[Reference]:
        """A name of a module of plumbing, with the module that it stands for."""
        stands_for = STANDS_FOR.get(module.name)
        target = self.module(stands_for) if stands_for else None
        if stands_for and target is None:
            raise CodeError(f"{module.name} stands for {stands_for}, which is not there")
        return [Reference(target, ".".join(rest), module.name)]


def may_name_file(text: str) -> bool:
    """Whether a string constant may be the name of a data file."""
    return 0 < len(text) <= MAX_FILE_NAME and "\n" not in text and "." in text


def _package_folders(name: str) -> list[Path]:
    """Folders of a package, which is not imported; a module of one file has its folder's place."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin).with_suffix("")] if spec.origin else []
