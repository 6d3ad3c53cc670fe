"""Run of the workflow, from settings and raw scans to figures, tables and report."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from rocrate.model import Entity

from ldae.provenance.payload import CONFIG
from ldae.provenance.research_object.files import Files
from ldae.provenance.research_object.graph import Graph
from ldae.provenance.research_object.parameters import Parameters, place, stand_for
from ldae.provenance.research_object.study import Study
from ldae.provenance.research_object.terms import action_status, time_stamp


def add_run(
    graph: Graph,
    study: Study,
    files: Files,
    parameters: Parameters,
    workflow: Entity,
    agent: Entity | None,
) -> Entity:
    """Add the study as one action of the workflow, with the parameters of the workflow."""
    inputs = [
        *_inputs(study, files, parameters, workflow),
        *_settings_of_engine(graph, study, files),
    ]
    run = graph.entity(
        "#run",
        "CreateAction",
        name=f"Run of the study {study.config['study']}",
        description=f"{len(study.history.jobs)} jobs of {len(study.rules)} rules.",
        instrument={"@id": workflow.id},
        object=inputs,
        result=_outputs(study, files, parameters, workflow),
        startTime=time_stamp(study.start),
        endTime=time_stamp(study.end),
        actionStatus=action_status(completed=True),
    )
    if agent is not None:
        run["agent"] = agent
    return run


def _inputs(study: Study, files: Files, parameters: Parameters, workflow: Entity) -> list[Entity]:
    """Settings, and files that no job wrote."""
    found: list[Entity] = []
    settings = study.history.state(CONFIG)
    if settings is not None:
        parameter = parameters.of_workflow(workflow, "input", "config", "config", "File")
        found.append(files.file(settings))
        stand_for(found[-1], parameter)
    for entity, kind, file in files.grouped(study.history.raw_inputs(study.history.current)):
        where = place(file.path, None)
        uri = f"input/{quote(where)}"
        stand_for(entity, parameters.of_workflow(workflow, "input", uri, where, kind))
        found.append(entity)
    return found


def _outputs(study: Study, files: Files, parameters: Parameters, workflow: Entity) -> list[Entity]:
    """Figures, tables and report, connected to the outputs of tools."""
    found: list[Entity] = []
    links: dict[str, Entity] = {}
    for target in study.history.targets:
        state, job = study.history.state(target), study.history.producer(target)
        if state is None or job is None:
            continue
        entity, where = files.file(state), place(target, job)
        uri = f"output/{quote(where)}"
        parameter = parameters.of_workflow(workflow, "output", uri, where, "File")
        if parameter.id not in links:
            source = parameters.of_tool(job, "output", where, "File")
            links[parameter.id] = parameters.connection(
                f"workflow/{len(links) + 1}", source.id, parameter.id
            )
        stand_for(entity, parameter)
        found.append(entity)
    if links:
        workflow["connection"] = list(links.values())
    return found


def _settings_of_engine(graph: Graph, study: Study, files: Files) -> list[Entity]:
    """Snakemake profile and lock files; the validator requires them here, not at the engine."""
    slurm = any(job.record.get("slurm") for job in study.history.jobs)
    profile = f"profiles/{'slurm' if slurm else 'default'}/profile.v9+.yaml"
    text = study.code.read(study.commit, profile)
    return [files.text(profile, text, name=profile), *_locks(graph, study, files)]


def _locks(graph: Graph, study: Study, files: Files) -> list[Entity]:
    """Lock files of the environments of all jobs, with their text if it is unchanged."""
    locks = {
        (path, digest)
        for job in study.history.jobs
        for path, digest in (job.record.get("locks") or {}).items()
    }
    found = []
    for path, digest in sorted(locks):
        text = study.code.read(study.commit, path)
        if hashlib.sha256(text.encode()).hexdigest() == digest:
            found.append(files.text(path, text, name=path))
        else:
            found.append(graph.entity(f"#lock/{digest}", "CreativeWork", name=path, sha256=digest))
    return found
