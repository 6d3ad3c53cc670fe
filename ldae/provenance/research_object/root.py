"""Root data entity of the crate: description, profiles, authors and licence."""

from __future__ import annotations

from ldae.provenance.research_object.agents import add_authors, add_license
from ldae.provenance.research_object.graph import Graph
from ldae.provenance.research_object.study import Study
from ldae.provenance.research_object.terms import PROFILES, RO_CRATE, WORKFLOW_CRATE


def describe_root(graph: Graph, study: Study) -> None:
    """Set the properties of the root data entity."""
    crate, root = graph.crate, graph.root
    crate.name = f"{study.config['title']} ({study.config['study']})"
    crate.description = (
        f"A study of latent diffusion autoencoders with its complete history: {len(study.rules)}"
        f" steps, {len(study.history.jobs)} jobs. Made with: {study.code.citation['title']}."
    )
    crate.datePublished = study.end
    root["conformsTo"] = [
        graph.entity(uri, "CreativeWork", name=name, version=version)
        for uri, name, version in PROFILES
    ]
    crate.metadata["conformsTo"] = [
        {"@id": f"https://w3id.org/ro/crate/{RO_CRATE}"},
        {"@id": WORKFLOW_CRATE},
    ]
    root["license"] = add_license(graph, study)
    authors = root["author"] = add_authors(graph, study)
    root["publisher"] = graph.entity(
        "#publisher", "Organization", name=authors[0]["name"], url=study.home
    )
