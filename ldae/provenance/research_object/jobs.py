"""Actions of the jobs: tool, files, parameters, container image, times and resource usage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rocrate.model import Entity

from ldae.provenance.history import History, Job, Status
from ldae.provenance.research_object.files import Files
from ldae.provenance.research_object.graph import Graph
from ldae.provenance.research_object.parameters import Parameters, place, stand_for
from ldae.provenance.research_object.terms import RUN_TERMS, action_status, time_stamp
from ldae.provenance.research_object.tools import Tools
from ldae.provenance.wording import describe_commit, describe_device

UNENDED_ERROR = "The job never ended: it was killed, or its machine failed."

# Container images are local files, built from the definitions in the workflow.
LOCAL_IMAGES = "none (built from containers/ of the workflow)"

# Resource usage of a job: key in the record, name, unit in the QUDT vocabulary.
USES = (
    ("wall_seconds", "wall time", "http://qudt.org/vocab/unit/SEC"),
    (
        "process_mib",
        "peak resident memory of the process",
        "http://qudt.org/vocab/unit/MebiBYTE",
    ),
    ("child_mib", "peak resident memory of a child", "http://qudt.org/vocab/unit/MebiBYTE"),
    ("gpu_mib", "peak GPU memory", "http://qudt.org/vocab/unit/MebiBYTE"),
)


@dataclass(frozen=True)
class JobActions:
    """Actions of the jobs of a study.

    Attributes
    ----------
    graph
        The crate.
    history
        History of the study.
    files, tools, parameters
        Entities to which the actions refer.
    agent
        The person who ran the study; None to leave it out.
    """

    graph: Graph
    history: History
    files: Files
    tools: Tools
    parameters: Parameters
    agent: Entity | None

    def add(self, job: Job) -> Entity:
        """Add the action of one job and all entities to which it refers."""
        record = job.record
        case = " ".join(f"{name}={value}" for name, value in job.wildcards.items())
        facts = [describe_commit(record), f"seed {record['seed']}", f"{record['threads']} threads"]
        facts += filter(None, [describe_device(record)])
        action = self.graph.entity(
            f"#job/{job.id}",
            "CreateAction",
            name=f"{job.rule} {case}".rstrip(),
            description=f"Job of the rule {job.rule}: {', '.join(facts)}.",
            instrument=self.tools.tool(job),
            startTime=time_stamp(job.start),
            actionStatus=action_status(job.status is Status.COMPLETED),
            object=[*self._inputs(job), *self._values(job)],
            result=self._outputs(job),
            resourceUsage=self._uses(job),
            environment=[self._variable("OMP_NUM_THREADS", record["threads"])],
        )
        if job.end is not None:
            action["endTime"] = time_stamp(job.end)
        if self.agent is not None:
            action["agent"] = self.agent
        if job.status is Status.FAILED:
            action["error"] = f"{record['error']['type']}: {record['error']['message']}"
        if job.status is Status.UNENDED:
            action["error"] = UNENDED_ERROR
        if record.get("container"):
            action["containerImage"] = self._image(record["container"])
        return action

    def _inputs(self, job: Job) -> list[Entity]:
        """Files that a job read; also notes of which jobs they are outputs."""
        items = self.files.grouped(job.inputs)
        for entity, kind, file in items:
            source = self.history.source(job, file)
            where = place(file.path, source)
            parameter = self.parameters.of_tool(job, "input", where, kind)
            stand_for(entity, parameter)
            if source is not None:
                origin = self.parameters.of_tool(source, "output", where, kind)
                self.parameters.note_source(job.rule, parameter, origin)
        return [item.entity for item in items]

    def _outputs(self, job: Job) -> list[Entity]:
        """Files that a job wrote."""
        items = self.files.grouped(job.outputs)
        for entity, kind, file in items:
            stand_for(entity, self.parameters.of_tool(job, "output", place(file.path, job), kind))
        return [item.entity for item in items]

    def _values(self, job: Job) -> list[Entity]:
        """Values of the rule's named parameters."""
        found = []
        for name, value in job.record["params"].items():
            text = value if isinstance(value, (str, int, float, bool)) else json.dumps(value)
            digest = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
            entity = self.graph.value(f"#value/{job.rule}/{name}/{digest}", name, text)
            stand_for(entity, self.parameters.of_tool(job, "input", name, "PropertyValue"))
            found.append(entity)
        return found

    def _variable(self, name: str, value: Any) -> Entity:
        """An environment variable of the job."""
        return self.graph.value(f"#environment/{name}/{value}", name, value)

    def _uses(self, job: Job) -> list[Entity]:
        """Resource usage of a job, as far as it was measured."""
        measured = {**(job.record.get("peak_memory") or {}), **job.record}
        found = []
        for key, name, unit in USES:
            if measured.get(key) is not None:
                entity = self.graph.value(f"#use/{job.id}/{key}", name, measured[key])
                entity["propertyID"] = f"{RUN_TERMS}resourceUsage/{key}"
                entity["unitCode"] = unit
                found.append(entity)
        return found

    def _image(self, container: Mapping[str, str]) -> Entity:
        """Container image of a job, identified by its digest if that is known."""
        digest = container.get("sha256")
        image = self.graph.entity(
            f"#image/{digest or quote(container['name'])}",
            "ContainerImage",
            additionalType={"@id": f"{RUN_TERMS}SIFImage"},
            name=container["name"],
            registry=LOCAL_IMAGES,
        )
        if digest:
            image["sha256"] = digest
        return image
