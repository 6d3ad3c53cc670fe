"""Files of the study, lists of files of single scans, and texts that are written for the crate."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from typing import Any, NamedTuple

from rocrate.model import Entity

from ldae.provenance.history import FileState
from ldae.provenance.payload import FileList, Payload, crate_name, group_files
from ldae.provenance.research_object.graph import Graph, add_reference

# Media types that Python's mimetypes module does not know.
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
    """Entity of the crate for one or more files that a job read or wrote.

    Attributes
    ----------
    entity
        A file, or a list of the files of single scans below one folder.
    kind
        ``File`` or ``Dataset``.
    file
        The file, or the first file of the list.
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
        Selection of the files that are copied into it.
    """

    graph: Graph
    payload: Payload

    def grouped(self, files: Iterable[FileState]) -> list[Item]:
        """Entities for files that a job read or wrote; files of single scans become lists."""
        single, lists = group_files(files)
        items = [Item(self.file(file), "File", file) for file in single]
        items += [Item(self._list(many), "Dataset", many.files[0]) for many in lists]
        return items

    def file(self, file: FileState) -> Entity:
        """Entity for a file, with its content if it is copied."""
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
        """Entity for a folder that contains only a table of file names and checksums."""
        if many.id in self.graph:
            return self.graph[many.id]
        number = len(many.files)
        table = self.text(
            f"{many.id}files.tsv", many.text, name=f"List of {number} files in {many.folder}"
        )
        facts = {
            "name": f"{number} files of scans in {many.folder}, by name and checksum",
            "description": "The files are not in the crate; the list has their sizes and SHA-256.",
            "hasPart": {"@id": table.id},
        }
        return self.graph.add_folder(many.id, facts)

    def text(self, path: str, text: str, **facts: str) -> Entity:
        """Entity for a text that is written to a path in the crate.

        Raises
        ------
        InputError
            If the text contains subject labels of a restricted cohort.
        """
        if path in self.graph:
            return self.graph[path]
        self.payload.refuse_labels([(path, text)])
        properties = {
            "contentSize": str(len(text.encode())),
            "encodingFormat": _media_type(path),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            **facts,
        }
        return self.graph.add_file(path, path, StringIO(text), properties)


def _media_type(name: str) -> str:
    suffix = "." + name.rpartition(".")[2]
    return MEDIA_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
