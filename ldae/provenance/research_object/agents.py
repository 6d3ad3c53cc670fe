"""Persons, organisations and the licence."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rocrate.model import Entity

from ldae.provenance.research_object.graph import Graph
from ldae.provenance.research_object.study import Study

ORCID = "https://orcid.org/"


def add_person(graph: Graph, entry: Mapping[str, str], home: str) -> Entity:
    """Add a person or an organisation.

    Parameters
    ----------
    graph
        The crate.
    entry
        Names and optionally ``orcid``, with the keys of CITATION.cff.
    home
        Web address to use for an organisation.
    """
    whole = entry.get("name") or f"{entry.get('given-names', '')} {entry['family-names']}".strip()
    orcid = entry.get("orcid")
    kind = "Organization" if "name" in entry and not orcid else "Person"
    uri = (orcid if orcid.startswith(ORCID) else ORCID + orcid) if orcid else f"#{_slug(whole)}"
    person = graph.entity(uri, kind, name=whole)
    if kind == "Organization":
        person["url"] = home
    return person


def add_authors(graph: Graph, study: Study) -> list[Entity]:
    """Add the authors of the workflow."""
    return [add_person(graph, author, study.home) for author in study.code.citation["authors"]]


def add_license(graph: Graph, study: Study) -> Entity:
    """Add the licence of the workflow, which also applies to its results."""
    name = str(study.code.citation["license"])
    uri = f"https://spdx.org/licenses/{name}"
    return graph.entity(
        uri,
        "CreativeWork",
        name=name,
        url=uri,
        description=f"The licence {name} of the SPDX list.",
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
