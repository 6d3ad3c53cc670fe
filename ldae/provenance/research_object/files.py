"""Files of the study, lists of files of scans, and texts that are written for the crate."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from typing import Any, NamedTuple

from rocrate.model import Entity

from ldae.provenance.history import FileState
from ldae.provenance.payload import FileList, Payload, crate_name, group_files
from ldae.provenance.research_object.graph import Graph, add_reference

# Kinds of files that Python's table does not know.
MEDIA_TYPES = {
    ".md": "text/markdown",
    ".yaml": "application/yaml",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".safetensors": "application/octet-stream",
    ".npy": "application/octet-stream",
    ".npz": "application/zip",
    ".gz": "application/gzip",
    ".smk": "text/plain",
    ".lock": "text/plain",
}


class Item(NamedTuple):
    """What a job read or wrote, as the crate holds it.

    Attributes
    ----------
    entity
        A file, or a list of the files of scans below one folder.
    kind
        ``File`` or ``Dataset``.
    file
        The file; of a list, its first one.
    """

    entity: Entity
    kind: str
    file: FileState


@dataclass(frozen=True)
class Files:
    """The files of a crate.

    Attributes
    ----------
    graph
        The crate.
    payload
        What is copied into it.
    """

    graph: Graph
    payload: Payload

    def grouped(self, files: Iterable[FileState]) -> list[Item]:
        """Files that a job read or wrote: each by itself, but those of scans as lists."""
        single, lists = group_files(files)
        items = [Item(self.file(file), "File", file) for file in single]
        items += [Item(self._list(many), "Dataset", many.files[0]) for many in lists]
        return items

    def file(self, file: FileState) -> Entity:
        """One file, with its content where that is copied."""
        uri = self.payload.id(file)
        if uri in self.graph:
            return self.graph[uri]
        facts: dict[str, Any] = {
            "name": crate_name(file.path),
            "contentSize": str(file.size),
            "sha256": file.sha256,
            "encodingFormat": _media_type(file.path),
        }
        if self.payload.is_copied(file):
            source = self.payload.source(file)
            return self.graph.add_file(uri, crate_name(file.path), source, facts)
        entity = self.graph.entity(uri, "File", **facts)
        add_reference(self.graph.root, "hasPart", entity)
        return entity

    def _list(self, many: FileList) -> Entity:
        """A folder that holds nothing but the names and checksums of files."""
        if many.id in self.graph:
            return self.graph[many.id]
        number = len(many.files)
        table = self.text(
            f"{many.id}files.tsv", many.text, name=f"List of {number} files in {many.folder}"
        )
        facts = {
            "name": f"{number} files of scans in {many.folder}, by name and checksum",
            "description": "The files are not in the crate; the list tells size and SHA-256.",
            "hasPart": {"@id": table.id},
        }
        return self.graph.add_folder(many.id, facts)

    def text(self, path: str, text: str, **facts: str) -> Entity:
        """A text at a place in the crate.

        Raises
        ------
        InputError
            If it names people of a restricted cohort.
        """
        if path in self.graph:
            return self.graph[path]
        self.payload.refuse_labels([(path, text)])
        properties = {
            "contentSize": str(len(text.encode())),
            "encodingFormat": _media_type(path),
            **facts,
        }
        return self.graph.add_file(path, path, StringIO(text), properties)


def _media_type(name: str) -> str:
    suffix = "." + name.rpartition(".")[2]
    return MEDIA_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
