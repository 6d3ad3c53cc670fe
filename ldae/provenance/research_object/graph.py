"""Entities of a crate, each created only once, and the references between them."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity, Entity
from rocrate.rocrate import ROCrate

from ldae.provenance.research_object.terms import RO_CRATE, RUN_CONTEXT


class Graph:
    """Crate with access to its entities by identifier.

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
        """The root data entity of the crate."""
        return self.crate.root_dataset

    def __contains__(self, uri: str) -> bool:
        return uri in self._known

    def __getitem__(self, uri: str) -> Entity:
        return self._known[uri]

    def entity(self, uri: str, kind: str, **properties: Any) -> Entity:
        """Entity with a given identifier, created if it does not exist."""
        if uri not in self._known:
            plain = {key: _plain(value) for key, value in properties.items()}
            entity = ContextEntity(self.crate, uri, properties={"@type": kind, **plain})
            self._known[uri] = self.crate.add(entity)
        return self._known[uri]

    def value(self, uri: str, name: str, value: Any) -> Entity:
        """Named value with a given identifier, created if it does not exist."""
        return self.entity(uri, "PropertyValue", name=name, value=value)

    def add_file(
        self, uri: str, path: str, source: Path | StringIO, properties: Mapping[str, Any]
    ) -> Entity:
        """Add a new file to the crate, and return its entity.

        Parameters
        ----------
        uri
            Identifier for later access.
        path
            Path in the crate.
        source
            Content: a file to copy, or a text.
        properties
            Properties of the entity.
        """
        self._known[uri] = self.crate.add_file(source, path, properties=dict(properties))
        return self._known[uri]

    def add_folder(self, path: str, properties: Mapping[str, Any]) -> Entity:
        """Add a new folder to the crate; its identifier is `path`, which ends with a slash."""
        self._known[path] = self.crate.add_dataset(dest_path=path, properties=dict(properties))
        return self._known[path]

    def simplify(self) -> None:
        """Replace one-item lists by the item and remove empty lists, as the profile recommends."""
        for entity in self.crate.get_entities():
            for key, value in list(entity._jsonld.items()):
                if isinstance(value, list) and key != "@type":
                    if not value:
                        del entity._jsonld[key]
                    elif len(value) == 1:
                        entity._jsonld[key] = value[0]


def add_reference(entity: Entity, key: str, other: Entity) -> None:
    """Add a reference to another entity to the property `key`, unless it is there already."""
    present = entity._jsonld.setdefault(key, [])
    if isinstance(present, dict):
        present = entity._jsonld[key] = [present]
    reference = {"@id": other.id}
    if reference not in present:
        present.append(reference)


def _plain(value: Any) -> Any:
    """Value with entities replaced by references to them."""
    if isinstance(value, Entity):
        return {"@id": value.id}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
