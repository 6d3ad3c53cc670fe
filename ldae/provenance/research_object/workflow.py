"""The workflow: its Snakefile, its files of rules, and one step per rule."""

from __future__ import annotations

import hashlib
from io import StringIO

from rocrate.model import Entity

from ldae.provenance.research_object.agents import add_authors, add_license
from ldae.provenance.research_object.files import Files
from ldae.provenance.research_object.graph import Graph
from ldae.provenance.research_object.study import Study
from ldae.provenance.research_object.terms import BIOSCHEMAS
from ldae.provenance.research_object.tools import Tools

SNAKEFILE = "Snakefile"


def add_workflow(graph: Graph, study: Study, files: Files) -> Entity:
    """Add the Snakefile and the files of rules at the commit of the study."""
    code, commit = study.code, study.commit
    text = code.read(commit, SNAKEFILE)
    workflow = graph.crate.add_workflow(
        StringIO(text),
        SNAKEFILE,
        main=True,
        lang="snakemake",
        lang_version=study.snakemake,
        gen_cwl=False,
        properties={
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": code.citation["title"],
            "contentSize": str(len(text.encode())),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "version": commit or code.citation["version"],
            "url": code.uri(commit, SNAKEFILE) or study.home,
            "conformsTo": {"@id": f"{BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"},
            "license": {"@id": add_license(graph, study).id},
            "creator": [{"@id": author.id} for author in add_authors(graph, study)],
            "encodingFormat": "text/plain",
        },
    )
    for path in code.files(commit, "rules", ".smk"):
        files.text(path, code.read(commit, path), name=path)
    return workflow


def add_steps(graph: Graph, study: Study, tools: Tools, workflow: Entity) -> dict[str, Entity]:
    """Add the steps of the workflow, by rule, and the tools of all its jobs."""
    steps = {
        rule: graph.entity(
            f"{SNAKEFILE}#{rule}",
            "HowToStep",
            name=rule,
            position=str(number),
            workExample=tools.tool(study.jobs(rule)[-1]),
        )
        for number, rule in enumerate(study.rules, start=1)
    }
    used = dict.fromkeys(tools.tool(job).id for job in study.history.jobs)
    workflow["hasPart"] = [{"@id": tool} for tool in used]
    workflow["step"] = list(steps.values())
    return steps
