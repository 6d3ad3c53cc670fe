"""Source code of the workflow as described in a crate: authors, address, and files by commit."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ldae.errors import InputError
from ldae.paths import WORKFLOW
from ldae.provenance.record import git

ARCHIVE = "https://archive.softwareheritage.org"


@dataclass(frozen=True)
class SourceCode:
    """A clone or copy of the workflow.

    Attributes
    ----------
    folder
        Root folder of the clone or copy.
    """

    folder: Path = WORKFLOW
    _trees: dict[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @cached_property
    def citation(self) -> Mapping[str, Any]:
        """Content of ``CITATION.cff``: title, authors, licence, version and, if public, address.

        Raises
        ------
        InputError
            If the file is missing, or lacks title, authors, licence or version.
        """
        path = self.folder / "CITATION.cff"
        try:
            found = dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise InputError(
                path, "the file cannot be read", "Restore it from the repository."
            ) from error
        missing = [key for key in ("title", "authors", "license", "version") if key not in found]
        if missing:
            raise InputError(path, f"missing: {', '.join(missing)}", "Add it.")
        return found

    @property
    def address(self) -> str | None:
        """Web address of the repository; None if CITATION.cff gives none."""
        address = self.citation.get("repository-code")
        return str(address).rstrip("/") if address else None

    def uri(self, commit: str | None, path: str) -> str | None:
        """Address of one file at a commit; None if the commit is not available.

        If the repository has no public address, the SWHID of the content is returned (ISO/IEC
        18670), which follows from git's digests. The Software Heritage archive resolves it once it
        holds the repository.
        """
        if commit and self.address:
            return f"{self.address}/blob/{commit}/{path}"
        blob = self._tree(commit).get(path) if commit else None
        if blob is None:
            return None
        return f"{ARCHIVE}/swh:1:cnt:{blob};anchor=swh:1:rev:{commit};path=/{path}"

    def _tree(self, commit: str) -> Mapping[str, str]:
        """Digest of every file of a commit; empty if git does not know the commit."""
        if commit not in self._trees:
            try:
                lines = git("ls-tree", "-r", commit, repository=self.folder).splitlines()
            except (OSError, subprocess.SubprocessError):
                lines = []
            entries = (line.partition("\t") for line in lines)
            self._trees[commit] = {path: facts.split()[2] for facts, _, path in entries}
        return self._trees[commit]

    def read(self, commit: str | None, path: str) -> str:
        """Text of a file at a commit, or its current text if git does not know the commit."""
        if commit and path in self._tree(commit):
            return git("show", f"{commit}:{path}", repository=self.folder) + "\n"
        return (self.folder / path).read_text(encoding="utf-8")

    def files(self, commit: str | None, folder: str, suffix: str) -> list[str]:
        """Sorted paths below a folder at a commit, or currently if git does not know the commit."""
        known = self._tree(commit) if commit else {}
        if not known:
            found = (self.folder / folder).rglob(f"*{suffix}")
            known = {path.relative_to(self.folder).as_posix(): "" for path in found}
        return sorted(p for p in known if p.startswith(f"{folder}/") and p.endswith(suffix))
