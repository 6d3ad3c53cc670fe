"""The entities of a crate, each made once, and the references between them."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity, Entity
from rocrate.rocrate import ROCrate

from ldae.provenance.research_object.terms import RO_CRATE, RUN_CONTEXT


class Graph:
    """A crate that knows its entities by identifier.

    Attributes
    ----------
    crate
        The crate.
    """

    def __init__(self) -> None:
        self.crate = ROCrate(version=RO_CRATE)
        self.crate.metadata.extra_contexts.append(RUN_CONTEXT)
        self._known: dict[str, Entity] = {}

    @property
    def root(self) -> Entity:
        """The crate as an entity of itself."""
        return self.crate.root_dataset

    def __contains__(self, uri: str) -> bool:
        return uri in self._known

    def __getitem__(self, uri: str) -> Entity:
        return self._known[uri]

    def entity(self, uri: str, kind: str, **properties: Any) -> Entity:
        """The entity with this identifier, made if it is not there yet."""
        if uri not in self._known:
            plain = {key: _plain(value) for key, value in properties.items()}
            entity = ContextEntity(self.crate, uri, properties={"@type": kind, **plain})
            self._known[uri] = self.crate.add(entity)
        return self._known[uri]

    def value(self, uri: str, name: str, value: Any) -> Entity:
        """The named value with this identifier, made if it is not there yet."""
        return self.entity(uri, "PropertyValue", name=name, value=value)

    def add_file(
        self, uri: str, path: str, source: Path | StringIO, properties: Mapping[str, Any]
    ) -> Entity:
        """Put a new file into the crate.

        Parameters
        ----------
        uri
            Identifier that it is asked for by.
        path
            Its place in the crate.
        source
            Its content: a file to copy, or a text.
        properties
            What is said of it.
        """
        self._known[uri] = self.crate.add_file(source, path, properties=dict(properties))
        return self._known[uri]

    def add_folder(self, path: str, properties: Mapping[str, Any]) -> Entity:
        """Put a new folder into the crate; `path`, with a slash at its end, is its identifier."""
        self._known[path] = self.crate.add_dataset(dest_path=path, properties=dict(properties))
        return self._known[path]

    def simplify(self) -> None:
        """Write lists of one as the one, and leave empty lists away, as the profile recommends."""
        for entity in self.crate.get_entities():
            for key, value in list(entity._jsonld.items()):
                if isinstance(value, list) and key != "@type":
                    if not value:
                        del entity._jsonld[key]
                    elif len(value) == 1:
                        entity._jsonld[key] = value[0]


def add_reference(entity: Entity, key: str, other: Entity) -> None:
    """Let the property `key` of an entity refer to another one too; twice is as good as once."""
    present = entity._jsonld.setdefault(key, [])
    if isinstance(present, dict):
        present = entity._jsonld[key] = [present]
    reference = {"@id": other.id}
    if reference not in present:
        present.append(reference)


def _plain(value: Any) -> Any:
    """References for entities."""
    if isinstance(value, Entity):
        return {"@id": value.id}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
