"""Run of the workflow engine, Snakemake, and the jobs that it started for each step."""

from __future__ import annotations

from collections.abc import Mapping

from rocrate.model import Entity

from ldae.provenance.history import Status
from ldae.provenance.research_object.graph import Graph
from ldae.provenance.research_object.study import Study
from ldae.provenance.research_object.terms import action_status, time_stamp
from ldae.provenance.research_object.tools import Tools
from ldae.provenance.seal import read_seals


def add_engine(
    graph: Graph,
    study: Study,
    tools: Tools,
    steps: Mapping[str, Entity],
    actions: Mapping[str, Entity],
    run: Entity,
    agent: Entity | None,
) -> None:
    """Add the run of Snakemake and the jobs that it started for each step.

    Parameters
    ----------
    graph, study, tools
        The crate, the study that it describes, and its tools.
    steps
        Steps of the workflow by rule.
    actions
        Actions of the jobs, by the ids of the jobs.
    run
        The run of the workflow.
    agent
        The person who ran it; None to leave it out.
    """
    engine = tools.package("snakemake", study.snakemake)
    engine_run = graph.entity(
        "#engine-run",
        "OrganizeAction",
        name=f"Snakemake {study.snakemake}",
        description="Scheduling of the jobs by their inputs and outputs.",
        instrument=engine,
        object=[_control(graph, study, rule, steps[rule], actions) for rule in study.rules],
        result=run,
        startTime=time_stamp(study.start),
        endTime=time_stamp(study.end),
        actionStatus=action_status(completed=True),
    )
    if agent is not None:
        engine_run["agent"] = agent
    seals = read_seals(study.history.results)
    if seals:
        engine_run["identifier"] = graph.value(
            f"#seal/{seals[-1].number}",
            "SHA-256 of the last seal of the records",
            seals[-1].digest,
        )


def _control(
    graph: Graph, study: Study, rule: str, step: Entity, actions: Mapping[str, Entity]
) -> Entity:
    """Action by which the engine started the jobs of one step."""
    jobs = study.jobs(rule)
    return graph.entity(
        f"#control/{rule}",
        "ControlAction",
        name=f"Jobs of {rule}",
        instrument=step,
        object=[actions[job.id] for job in jobs],
        actionStatus=action_status(any(job.status is Status.COMPLETED for job in jobs)),
    )
