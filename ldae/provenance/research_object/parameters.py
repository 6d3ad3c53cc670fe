"""Formal parameters: inputs and outputs of tools and workflow, and the connections between them.

A parameter is the same at every commit and for all wildcards of a rule. The files and values of
jobs are examples of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote

from rocrate.model import Entity

from ldae.provenance.history import FileState, Job
from ldae.provenance.payload import crate_name, group_files
from ldae.provenance.research_object.graph import Graph, add_reference
from ldae.provenance.research_object.terms import BIOSCHEMAS
from ldae.provenance.research_object.tools import Tools

Side = Literal["input", "output"]


class Parameters:
    """Formal parameters of a crate.

    Parameters
    ----------
    graph
        The crate.
    tools
        Its tools.
    """

    def __init__(self, graph: Graph, tools: Tools) -> None:
        self._graph = graph
        self._tools = tools
        # For each rule, its input parameters and the output parameters connected to them.
        self._sources: dict[str, dict[str, str]] = defaultdict(dict)

    def of_tool(self, job: Job, side: Side, name: str, kind: str) -> Entity:
        """Parameter of a job's tool.

        Parameters
        ----------
        job
            The job.
        side
            Whether it is an input or an output of the tool.
        name
            Name of a value, or :func:`place` of a file.
        kind
            Type of the files or values: ``File``, ``Dataset`` or ``PropertyValue``.
        """
        parameter = self._parameter(f"{job.rule}/{side}/{quote(name)}", name, kind)
        add_reference(self._tools.tool(job), side, parameter)
        return parameter

    def of_workflow(self, workflow: Entity, side: Side, uri: str, name: str, kind: str) -> Entity:
        """Parameter of the workflow; `uri` distinguishes it from other parameters."""
        parameter = self._parameter(f"workflow/{uri}", name, kind)
        add_reference(workflow, side, parameter)
        return parameter

    def _parameter(self, uri: str, name: str, kind: str) -> Entity:
        return self._graph.entity(
            f"#parameter/{uri}",
            "FormalParameter",
            name=name,
            additionalType=kind,
            conformsTo={"@id": f"{BIOSCHEMAS}/FormalParameter/1.0-RELEASE"},
        )

    def note_source(self, rule: str, target: Entity, source: Entity) -> None:
        """Store that an output is an input of a rule; a later call replaces an earlier one."""
        self._sources[rule][target.id] = source.id

    def add_connections(self, steps: Mapping[str, Entity]) -> None:
        """Add to each step the connections from outputs to its inputs."""
        for rule, sources in self._sources.items():
            steps[rule]["connection"] = [
                self.connection(f"{rule}/{number}", source, target)
                for number, (target, source) in enumerate(sources.items(), start=1)
            ]

    def connection(self, uri: str, source: str, target: str) -> Entity:
        """Connection from the parameter `source` to the parameter `target`, by identifier."""
        return self._graph.entity(
            f"#connection/{uri}",
            "ParameterConnection",
            name=f"{source} to {target}",
            sourceParameter={"@id": source},
            targetParameter={"@id": target},
        )


def stand_for(entity: Entity, parameter: Entity) -> None:
    """State that a file or value is an example of a parameter."""
    add_reference(entity, "exampleOfWork", parameter)


def place(name: str, job: Job | None) -> str:
    """Path of a file with wildcard values replaced by their names: ``probes/$method.tsv``."""
    single, lists = group_files([FileState(name, 0, "")])
    found = lists[0].folder if lists else crate_name(single[0].path)
    for wildcard, value in (job.wildcards if job else {}).items():
        found = re.sub(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", f"${wildcard}", found)
    return found
