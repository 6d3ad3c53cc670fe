"""Provenance Run Crate of a study: workflow, tools, steps, one action per job, and all files.

The profile is Workflow Run RO-Crate 0.5 (https://www.researchobject.org/workflow-run-crate/).
All statements in the crate come from the records.

Each module adds one kind of entity. All modules read from one :class:`~.study.Study` and write into
one :class:`~.graph.Graph`, which creates each entity only once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocrate.rocrate import ROCrate

from ldae.provenance.history import History
from ldae.provenance.payload import Payload
from ldae.provenance.research_object.agents import add_person
from ldae.provenance.research_object.engine import add_engine
from ldae.provenance.research_object.files import Files
from ldae.provenance.research_object.graph import Graph
from ldae.provenance.research_object.guide import add_readme, add_scans
from ldae.provenance.research_object.jobs import JobActions
from ldae.provenance.research_object.parameters import Parameters
from ldae.provenance.research_object.preview import add_preview
from ldae.provenance.research_object.root import describe_root
from ldae.provenance.research_object.run import add_run
from ldae.provenance.research_object.study import Study
from ldae.provenance.research_object.tools import Tools
from ldae.provenance.research_object.workflow import add_steps, add_workflow
from ldae.provenance.source_code import SourceCode

__all__ = ["build_research_object"]


def build_research_object(
    history: History,
    payload: Payload,
    config: Mapping[str, Any],
    code: SourceCode,
    agent: Mapping[str, str] | None,
) -> tuple[ROCrate, str]:
    """Crate of a study, ready to be written, and the text of its preview.

    Parameters
    ----------
    history, payload
        History of the study, and the selection of files to copy.
    config
        Complete settings of the study.
    code
        Source code of the workflow.
    agent
        ``name`` and optionally ``orcid`` of the person who ran the study; None to leave it out.

    Raises
    ------
    InputError
        If a file to be copied differs from its record, a list or text contains subject labels of a
        restricted cohort, or CITATION.cff is missing or incomplete.
    """
    study, graph = Study(history, config, code), Graph()
    files, tools = Files(graph, payload), Tools(graph, study)
    parameters = Parameters(graph, tools)
    # Entities that others refer to come first.
    person = add_person(graph, agent, study.home) if agent else None
    describe_root(graph, study)
    workflow = add_workflow(graph, study, files)
    steps = add_steps(graph, study, tools, workflow)
    jobs = JobActions(graph, history, files, tools, parameters, person)
    actions = {job.id: jobs.add(job) for job in history.jobs}
    parameters.add_connections(steps)
    run = add_run(graph, study, files, parameters, workflow, person)
    add_engine(graph, study, tools, steps, actions, run, person)
    add_scans(files, history)
    add_readme(graph, files, restricted=payload.restricted)
    graph.root["mentions"] = [run, *actions.values()]
    graph.simplify()
    preview = add_preview(graph, study, payload)
    return graph.crate, preview
