"""Files of a repository, looked up in lists of its folders: one call a folder, not one a name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

Entries = Mapping[str, "os.DirEntry[str]"]


class Listing:
    """Which files and folders lie in a repository, as they were when first asked for.

    A digest asks for each name that a module imports and for each string that may name a file:
    some thousand names, most of which lie nowhere. Each would cost a call to a shared file system.

    Parameters
    ----------
    root
        Folder of the repository. What lies elsewhere is asked for one by one.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._known: dict[str, Entries] = {}

    def has_file(self, path: Path) -> bool:
        """Whether `path` is a file or a link to one."""
        if not self._is_inside(path):
            return path.is_file()
        entry = self._entry(str(path))
        return entry is not None and entry.is_file()

    def has_folder(self, path: Path) -> bool:
        """Whether `path` is a folder or a link to one."""
        if not self._is_inside(path):
            return path.is_dir()
        entry = self._entry(str(path))
        return entry is not None and entry.is_dir()

    def _is_inside(self, path: Path) -> bool:
        return str(path).startswith(f"{self._root}{os.sep}") and ".." not in path.parts

    def _entry(self, path: str) -> os.DirEntry[str] | None:
        folder, name = os.path.split(path)
        return self._entries(folder).get(name)

    def _entries(self, folder: str) -> Entries:
        """What lies in a folder, by name; nothing where there is no such folder."""
        if folder not in self._known:
            entry = None if folder == self._root else self._entry(folder)
            there = folder == self._root or (entry is not None and entry.is_dir())
            self._known[folder] = _listed(folder) if there else {}
        return self._known[folder]


def _listed(folder: str) -> Entries:
    with os.scandir(folder) as entries:
        return {entry.name: entry for entry in entries}
