"""Page by which a person can read a crate: what it holds, its figures, steps and files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import jinja2

from ldae.provenance.history import Status
from ldae.provenance.payload import PAGE, SCANS, Payload, crate_name
from ldae.provenance.research_object.graph import Graph
from ldae.provenance.research_object.study import Study
from ldae.provenance.seal import read_seals
from ldae.provenance.wording import describe_seconds, describe_size

PREVIEW = "ro-crate-preview.html"
TEMPLATE = "preview.html.j2"
PICTURES = (".png", ".jpg")


def add_preview(graph: Graph, study: Study, payload: Payload) -> str:
    """Describe the page in the metadata, after all other entities, and return its text.

    Raises
    ------
    InputError
        If the text contains subject labels of a restricted cohort.
    """
    files = sorted(_files(graph), key=lambda file: str(file["name"]))
    here = [str(file["link"]) for file in files if file["here"]]
    report = quote(crate_name(PAGE))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.get_template(TEMPLATE).render(
        title=graph.crate.name,
        description=graph.crate.description,
        facts=_facts(study),
        scans=SCANS in here,
        report=report if report in here else None,
        figures=[n for n in here if n.endswith(PICTURES) and n.startswith("results/figures/")],
        steps=list(_steps(study)),
        files=files,
    )
    payload.refuse_labels([(PREVIEW, text)])
    digest = hashlib.sha256(text.encode()).hexdigest()
    graph.entity(PREVIEW, "CreativeWork", name="Preview", about=graph.root, sha256=digest)
    return text


def _facts(study: Study) -> dict[str, str]:
    seals = read_seals(study.history.results)
    authors = study.code.citation["authors"]
    names = (" ".join(filter(None, (a.get("given-names"), a.get("family-names")))) for a in authors)
    return {
        "computed": f"{study.start:%Y-%m-%d %H:%M} to {study.end:%Y-%m-%d %H:%M} UTC",
        "workflow": f"{study.code.citation['title']}, commit {study.commit or 'unknown'}",
        "authors of the workflow": ", ".join(filter(None, names)) or "see the metadata",
        "licence": str(study.code.citation["license"]),
        "last seal of the records": f"sha256 {seals[-1].digest}" if seals else "none",
    }


def _steps(study: Study) -> Iterator[dict[str, Any]]:
    for rule in study.rules:
        jobs = study.jobs(rule)
        seconds = sum(float(job.record.get("wall_seconds", 0)) for job in jobs)
        failed = sum(job.status is not Status.COMPLETED for job in jobs)
        yield {
            "rule": rule,
            "jobs": len(jobs),
            "failed": failed,
            "time": describe_seconds(seconds),
        }


def _files(graph: Graph) -> Iterator[Mapping[str, Any]]:
    """Files of the crate, and those that it names only."""
    for entity in graph.crate.get_entities():
        facts = entity.properties()
        if "sha256" not in facts or "File" not in facts["@type"]:
            continue
        here = "://" not in entity.id
        yield {
            "name": unquote(entity.id) if here else facts["name"],
            "link": entity.id,
            "here": here,
            "size": describe_size(int(facts["contentSize"])),
            "sha256": facts["sha256"],
        }
