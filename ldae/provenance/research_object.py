"""A study as a Provenance Run Crate: workflow, tools, steps, one action per job, and all files.

The profile is Workflow Run RO-Crate 0.5 (https://www.researchobject.org/workflow-run-crate/).
Everything is taken from the records; what they do not hold is not claimed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import mimetypes
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from io import StringIO
from typing import Any
from urllib.parse import quote

from rocrate.model import ContextEntity, Entity
from rocrate.rocrate import ROCrate

from ldae.provenance.history import FileState, History, Job, Status
from ldae.provenance.payload import (
    CONFIG,
    SCANS,
    FileList,
    Payload,
    crate_name,
    group_files,
    raw_scans,
    scan_name,
)
from ldae.provenance.record import COMPLETED, FAILED
from ldae.provenance.seal import read_seals
from ldae.provenance.source_code import ARCHIVE, SourceCode
from ldae.provenance.wording import describe_commit, describe_device

RO_CRATE = "1.1"
RUN_CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
RUN_TERMS = "https://w3id.org/ro/terms/workflow-run#"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    (WORKFLOW_CRATE, "Workflow RO-Crate", "1.0"),
)
BIOSCHEMAS = "https://bioschemas.org/profiles"
SCHEMA_ORG = "http://schema.org"
ORCID = "https://orcid.org/"

SNAKEFILE = "Snakefile"
README = "README.md"

# Kinds of files that Python's table does not know.
MEDIA_TYPES = {
    ".md": "text/markdown",
    ".yaml": "application/yaml",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".safetensors": "application/octet-stream",
    ".npy": "application/octet-stream",
    ".npz": "application/zip",
    ".gz": "application/gzip",
    ".smk": "text/plain",
    ".lock": "text/plain",
}

README_TEXT = """# {title}

{description}

`ro-crate-metadata.json` tells the whole history by the profile Provenance Run Crate 0.5: workflow,
steps, tools, one action per job, and every file by its SHA-256.

* `results/`: figures, tables, report and settings
* `lists/`: names and checksums of files of single scans, which are not here
* `{scans}`: the raw scans by {held} and checksum; whoever holds them can compare with
  `python -m ldae verify CRATE --bids FOLDER`
* `Snakefile`, `rules/`, `envs/`, `profiles/`: the workflow as it ran
"""

UNENDED_ERROR = "The job never ended: it was killed, or its machine failed."

# Images are files that the workflow's own definitions are built into.
LOCAL_IMAGES = "none (built from containers/ of the workflow)"

# Resource use of a job: key of the record, name, unit in the vocabulary of QUDT.
USES = (
    ("wall_seconds", "wall time", "http://qudt.org/vocab/unit/SEC"),
    (
        "process_mib",
        "largest resident memory of the process",
        "http://qudt.org/vocab/unit/MebiBYTE",
    ),
    ("child_mib", "largest resident memory of a child", "http://qudt.org/vocab/unit/MebiBYTE"),
    ("gpu_mib", "largest GPU memory", "http://qudt.org/vocab/unit/MebiBYTE"),
)

Properties = dict[str, Any]


def build_research_object(
    history: History,
    payload: Payload,
    config: Mapping[str, Any],
    code: SourceCode,
    agent: Mapping[str, str] | None,
) -> ROCrate:
    """Crate of a study, ready to be written.

    Parameters
    ----------
    history, payload
        The study and what of it is copied.
    config
        Its resolved settings.
    code
        The workflow.
    agent
        ``name`` and perhaps ``orcid`` of who ran the study; None where it shall not be told.
    """
    return _Builder(history, payload, config, code, agent).build()


class _Builder:
    def __init__(
        self,
        history: History,
        payload: Payload,
        config: Mapping[str, Any],
        code: SourceCode,
        agent: Mapping[str, str] | None,
    ) -> None:
        self.history = history
        self.payload = payload
        self.config = config
        self.code = code
        self.crate = ROCrate(version=RO_CRATE)
        self.crate.metadata.extra_contexts.append(RUN_CONTEXT)
        self.known: dict[str, Entity] = {}
        self.rules = list(dict.fromkeys(job.rule for job in history.jobs))
        # The commit of the last job stands for the workflow; every tool has its own.
        self.commit = history.jobs[-1].record["commit"]
        self.agent = self._person(agent) if agent else None

    def build(self) -> ROCrate:
        """Add everything, beginning with what others refer to."""
        self._describe_root()
        workflow = self._add_workflow()
        actions = {job.id: self._add_action(job) for job in self.history.jobs}
        self._connect()
        run = self._add_run(workflow)
        self._add_engine(run, actions)
        self._add_scans()
        self._add_readme()
        self.crate.root_dataset["mentions"] = [run, *actions.values()]
        for entity in self.crate.get_entities():
            _simplify(entity)
        return self.crate

    # -- the study ------------------------------------------------------------------------------

    def _describe_root(self) -> None:
        citation, root = self.code.citation, self.crate.root_dataset
        last = max(job.end or job.start for job in self.history.jobs)
        self.crate.name = f"{self.config['title']} ({self.config['study']})"
        self.crate.description = (
            f"A study of latent diffusion autoencoders with its complete history: {len(self.rules)}"
            f" steps, {len(self.history.jobs)} jobs. Made with: {citation['title']}."
        )
        self.crate.datePublished = last
        profiles = [
            self._context(uri, "CreativeWork", name=name, version=version)
            for uri, name, version in PROFILES
        ]
        root["conformsTo"] = profiles
        self.crate.metadata["conformsTo"] = [
            {"@id": f"https://w3id.org/ro/crate/{RO_CRATE}"},
            {"@id": WORKFLOW_CRATE},
        ]
        root["license"] = self.license
        root["author"] = self.authors
        root["publisher"] = self._context(
            "#publisher", "Organization", name=self.authors[0]["name"], url=self._home
        )

    @property
    def _home(self) -> str:
        """Address of the workflow, or the standard identifier of its commit."""
        return self.code.address or f"{ARCHIVE}/swh:1:rev:{self.commit}"

    @cached_property
    def license(self) -> Entity:
        """Licence of the workflow, which is that of what it made."""
        name = str(self.code.citation["license"])
        uri = f"https://spdx.org/licenses/{name}"
        return self._context(
            uri,
            "CreativeWork",
            name=name,
            url=uri,
            description=f"The licence {name} of the SPDX list.",
        )

    @cached_property
    def authors(self) -> list[Entity]:
        """Authors of the workflow."""
        return [self._person(author) for author in self.code.citation["authors"]]

    def _person(self, entry: Mapping[str, str]) -> Entity:
        """A person, or a group under one name."""
        whole = (
            entry.get("name") or f"{entry.get('given-names', '')} {entry['family-names']}".strip()
        )
        orcid = entry.get("orcid")
        kind = "Organization" if "name" in entry and not orcid else "Person"
        uri = (orcid if orcid.startswith(ORCID) else ORCID + orcid) if orcid else f"#{_slug(whole)}"
        person = self._context(uri, kind, name=whole)
        if kind == "Organization":
            person["url"] = self._home
        return person

    # -- the workflow, its steps and tools ------------------------------------------------------

    def _add_workflow(self) -> Entity:
        code = self.code
        workflow = self.crate.add_workflow(
            StringIO(code.read(self.commit, SNAKEFILE)),
            SNAKEFILE,
            main=True,
            lang="snakemake",
            lang_version=self._snakemake_version,
            gen_cwl=False,
            properties={
                "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
                "name": code.citation["title"],
                "version": self.commit or code.citation["version"],
                "url": code.uri(self.commit, SNAKEFILE) or self._home,
                "conformsTo": {"@id": f"{BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"},
                "license": {"@id": self.license.id},
                "creator": [{"@id": author.id} for author in self.authors],
                "encodingFormat": "text/plain",
            },
        )
        self.workflow = workflow
        for path in code.files(self.commit, "rules", ".smk"):
            self._text(path, code.read(self.commit, path), name=path)
        self.steps = {rule: self._add_step(number, rule) for number, rule in enumerate(self.rules)}
        tools = list(dict.fromkeys(self._tool(job).id for job in self.history.jobs))
        workflow["hasPart"] = [{"@id": tool} for tool in tools]
        workflow["step"] = list(self.steps.values())
        return workflow

    @cached_property
    def _snakemake_version(self) -> str:
        versions = (job.record.get("software", {}).get("snakemake") for job in self.history.jobs)
        return max(filter(None, versions), default="unknown")

    def _add_step(self, number: int, rule: str) -> Entity:
        last = [job for job in self.history.jobs if job.rule == rule][-1]
        return self._context(
            f"{SNAKEFILE}#{rule}",
            "HowToStep",
            name=rule,
            position=str(number + 1),
            workExample=self._tool(last),
        )

    def _tool(self, job: Job) -> Entity:
        """The script of a job's rule at the job's commit."""
        path = f"scripts/{job.rule}.py"
        commit = job.record["commit"]
        uri = self.code.uri(commit, path) or f"#tool/{job.rule}"
        if uri not in self.known:
            software = job.record.get("software", {})
            self._context(
                uri,
                "SoftwareApplication",
                name=job.rule,
                description=self._purpose(commit, path),
                url=uri if ":" in uri else self._home,
                softwareVersion=describe_commit(job.record),
                softwareRequirements=[self._package(n, v) for n, v in sorted(software.items())],
            )
        return self.known[uri]

    def _purpose(self, commit: str | None, path: str) -> str:
        """What a script says that it does."""
        text = ast.get_docstring(ast.parse(self.code.read(commit, path))) or path
        return text.removeprefix("Rule entry point: ").strip()

    def _package(self, name: str, version: str) -> Entity:
        uri = f"https://pypi.org/project/{name}/{version}/"
        if name == "python":
            uri = f"https://www.python.org/downloads/release/python-{version.replace('.', '')}/"
        return self._context(
            uri, "SoftwareApplication", name=name, softwareVersion=version, url=uri
        )

    # -- the jobs -------------------------------------------------------------------------------

    def _add_action(self, job: Job) -> Entity:
        record = job.record
        case = " ".join(f"{name}={value}" for name, value in job.wildcards.items())
        facts = [describe_commit(record), f"seed {record['seed']}", f"{record['threads']} threads"]
        facts += filter(None, [describe_device(record)])
        used = [
            *self._files(job.inputs, job, as_input=True),
            *self._params(job),
        ]
        made = self._files(job.outputs, job, as_input=False)
        action = self._context(
            f"#job/{job.id}",
            "CreateAction",
            name=f"{job.rule} {case}".rstrip(),
            description=f"Job of the rule {job.rule}: {', '.join(facts)}.",
            instrument=self._tool(job),
            startTime=_time(job.start),
            actionStatus=_status(job),
            object=used,
            result=made,
            resourceUsage=self._uses(job),
            environment=[
                self._value(f"#environment/{name}/{value}", name, value)
                for name, value in (("OMP_NUM_THREADS", record["threads"]),)
            ],
        )
        if job.end is not None:
            action["endTime"] = _time(job.end)
        if self.agent is not None:
            action["agent"] = self.agent
        if job.status is Status.FAILED:
            action["error"] = f"{record['error']['type']}: {record['error']['message']}"
        if job.status is Status.UNENDED:
            action["error"] = UNENDED_ERROR
        if record.get("container"):
            action["containerImage"] = self._image(record["container"])
        return action

    def _uses(self, job: Job) -> list[Entity]:
        measured = {**(job.record.get("peak_memory") or {}), **job.record}
        found = []
        for key, name, unit in USES:
            if measured.get(key) is not None:
                entity = self._value(f"#use/{job.id}/{key}", name, measured[key])
                entity["propertyID"] = f"{RUN_TERMS}resourceUsage/{key}"
                entity["unitCode"] = unit
                found.append(entity)
        return found

    def _image(self, container: Mapping[str, str]) -> Entity:
        digest = container.get("sha256")
        image = self._context(
            f"#image/{digest or quote(container['name'])}",
            "ContainerImage",
            additionalType={"@id": f"{RUN_TERMS}SIFImage"},
            name=container["name"],
            registry=LOCAL_IMAGES,
        )
        if digest:
            image["sha256"] = digest
        return image

    def _params(self, job: Job) -> list[Entity]:
        """Values of the rule's named parameters."""
        found = []
        for name, value in job.record["params"].items():
            text = value if isinstance(value, (str, int, float, bool)) else json.dumps(value)
            digest = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
            entity = self._value(f"#value/{job.rule}/{name}/{digest}", name, text)
            self._realize(entity, self._parameter(job, "input", name, "PropertyValue"))
            found.append(entity)
        return found

    def _files(self, files: Iterable[FileState], job: Job, as_input: bool) -> list[Entity]:
        """Files of a job, those of scans as lists, linked to the parameters that they stand for."""
        single, lists = group_files(files)
        entities: list[tuple[Entity, str, FileState]] = [
            (self._file(file), "File", file) for file in single
        ]
        entities += [(self._list(many), "Dataset", many.files[0]) for many in lists]
        for entity, kind, file in entities:
            source = self.history.source(job, file) if as_input else job
            place = _pattern(file.path, source)
            side = "input" if as_input else "output"
            parameter = self._parameter(job, side, place, kind)
            self._realize(entity, parameter)
            if as_input and source is not None:
                origin = self._parameter(source, "output", place, kind)
                self.connections[job.rule][parameter.id] = origin.id
        return [entity for entity, _, _ in entities]

    @cached_property
    def connections(self) -> dict[str, dict[str, str]]:
        """For each rule, its input parameters and the output parameters that feed them."""
        return defaultdict(dict)

    def _parameter(self, job: Job, side: str, name: str, kind: str) -> Entity:
        """Formal parameter of a job's tool, the same at every commit."""
        parameter = self._formal(f"#parameter/{job.rule}/{side}/{quote(name)}", name, kind)
        _append(self._tool(job), side, parameter)
        return parameter

    def _formal(self, uri: str, name: str, kind: str) -> Entity:
        return self._context(
            uri,
            "FormalParameter",
            name=name,
            additionalType=kind,
            conformsTo={"@id": f"{BIOSCHEMAS}/FormalParameter/1.0-RELEASE"},
        )

    def _realize(self, entity: Entity, parameter: Entity) -> None:
        """Say that a file or value is what a parameter stands for."""
        _append(entity, "exampleOfWork", parameter)

    def _connect(self) -> None:
        """Say which outputs became which inputs."""
        for rule, pairs in self.connections.items():
            links: list[Entity] = []
            for target, source in pairs.items():
                links.append(
                    self._context(
                        f"#connection/{rule}/{len(links) + 1}",
                        "ParameterConnection",
                        name=f"{source} to {target}",
                        sourceParameter={"@id": source},
                        targetParameter={"@id": target},
                    )
                )
            self.steps[rule]["connection"] = links

    # -- the run as a whole ---------------------------------------------------------------------

    def _add_run(self, workflow: Entity) -> Entity:
        """The run of the workflow: from settings and raw scans to figures, tables and report."""
        inputs: list[Entity] = []
        settings = self.history.state(CONFIG)
        if settings is not None:
            parameter = self._formal("#parameter/workflow/config", "config", "File")
            _append(workflow, "input", parameter)
            inputs.append(self._file(settings))
            self._realize(inputs[-1], parameter)
        raw = self.history.raw_inputs(self.history.current)
        single, lists = group_files(raw)
        for entity, file in [
            *((self._file(file), file) for file in single),
            *((self._list(many), many.files[0]) for many in lists),
        ]:
            place = _pattern(file.path, None)
            kind = "Dataset" if entity.id.endswith("/") else "File"
            parameter = self._formal(f"#parameter/workflow/input/{quote(place)}", place, kind)
            _append(workflow, "input", parameter)
            self._realize(entity, parameter)
            inputs.append(entity)
        inputs += self._settings_of_engine()
        outputs: list[Entity] = []
        links: list[Entity] = []
        for target in self.history.targets:
            state, job = self.history.state(target), self.history.producer(target)
            if state is None or job is None:
                continue
            entity, place = self._file(state), _pattern(target, job)
            uri = f"#parameter/workflow/output/{quote(place)}"
            if uri not in self.known:
                parameter = self._formal(uri, place, "File")
                _append(workflow, "output", parameter)
                source = self._parameter(job, "output", place, "File")
                links.append(
                    self._context(
                        f"#connection/workflow/{len(links) + 1}",
                        "ParameterConnection",
                        name=f"{source.id} to {uri}",
                        sourceParameter={"@id": source.id},
                        targetParameter={"@id": uri},
                    )
                )
            self._realize(entity, self.known[uri])
            outputs.append(entity)
        if links:
            workflow["connection"] = links
        start, end = self._span
        run = self._context(
            "#run",
            "CreateAction",
            name=f"Run of the study {self.config['study']}",
            description=f"{len(self.history.jobs)} jobs of {len(self.rules)} rules.",
            instrument={"@id": workflow.id},
            object=inputs,
            result=outputs,
            startTime=start,
            endTime=end,
            actionStatus=f"{SCHEMA_ORG}/{COMPLETED}",
        )
        if self.agent is not None:
            run["agent"] = self.agent
        return run

    @cached_property
    def _span(self) -> tuple[str, str]:
        jobs = self.history.jobs
        start, end = jobs[0].start, max(job.end or job.start for job in jobs)
        return _time(start), _time(end)

    def _add_engine(self, run: Entity, actions: Mapping[str, Entity]) -> None:
        """Snakemake, what it was given, and the jobs that it started for each step."""
        version = self._snakemake_version
        engine = self._package("snakemake", version)
        controls = []
        for rule, step in self.steps.items():
            jobs = [job for job in self.history.jobs if job.rule == rule]
            done = any(job.status is Status.COMPLETED for job in jobs)
            controls.append(
                self._context(
                    f"#control/{rule}",
                    "ControlAction",
                    name=f"Jobs of {rule}",
                    instrument=step,
                    object=[actions[job.id] for job in jobs],
                    actionStatus=f"{SCHEMA_ORG}/{COMPLETED if done else FAILED}",
                )
            )
        start, end = self._span
        engine_run = self._context(
            "#engine-run",
            "OrganizeAction",
            name=f"Snakemake {version}",
            description="Order of the jobs, from what each reads and writes.",
            instrument=engine,
            object=controls,
            result=run,
            startTime=start,
            endTime=end,
            actionStatus=f"{SCHEMA_ORG}/{COMPLETED}",
        )
        if self.agent is not None:
            engine_run["agent"] = self.agent
        seals = read_seals(self.history.results)
        if seals:
            engine_run["identifier"] = self._value(
                f"#seal/{seals[-1].number}",
                "SHA-256 of the last seal of the records",
                seals[-1].digest,
            )

    def _settings_of_engine(self) -> list[Entity]:
        """Profile and locks: the validator wants them here, not at the run of the engine."""
        slurm = any(job.record.get("slurm") for job in self.history.jobs)
        profile = f"profiles/{'slurm' if slurm else 'default'}/profile.v9+.yaml"
        text = self.code.read(self.commit, profile)
        return [self._text(profile, text, name=profile), *self._locks()]

    def _locks(self) -> list[Entity]:
        """Locks of the environments that the jobs ran in; with their text where it is still so."""
        locks = {
            (path, digest)
            for job in self.history.jobs
            for path, digest in (job.record.get("locks") or {}).items()
        }
        found = []
        for path, digest in sorted(locks):
            text = self.code.read(self.commit, path)
            if hashlib.sha256(text.encode()).hexdigest() == digest:
                found.append(self._text(path, text, name=path, sha256=digest))
            else:
                found.append(
                    self._context(f"#lock/{digest}", "CreativeWork", name=path, sha256=digest)
                )
        return found

    # -- files ----------------------------------------------------------------------------------

    def _file(self, file: FileState) -> Entity:
        uri = self.payload.id(file)
        if uri in self.known:
            return self.known[uri]
        facts: Properties = {
            "name": crate_name(file.path),
            "contentSize": str(file.size),
            "sha256": file.sha256,
            "encodingFormat": _media_type(file.path),
        }
        if not self.payload.is_copied(file):
            entity = self._context(uri, "File", **facts)
            _append(self.crate.root_dataset, "hasPart", entity)
            return entity
        source = self.payload.source(file)
        self.known[uri] = self.crate.add_file(source, crate_name(file.path), properties=facts)
        return self.known[uri]

    def _list(self, many: FileList) -> Entity:
        if many.id in self.known:
            return self.known[many.id]
        number = len(many.files)
        table = self._text(
            f"{many.id}files.tsv", many.text, name=f"List of {number} files in {many.folder}"
        )
        folder = self.crate.add_dataset(
            dest_path=many.id,
            properties={
                "name": f"{number} files of scans in {many.folder}, by name and checksum",
                "description": "The files are not in the crate; the list tells size and SHA-256.",
                "hasPart": {"@id": table.id},
            },
        )
        self.known[many.id] = folder
        return folder

    def _add_scans(self) -> None:
        scans = raw_scans(self.history)
        rows = (f"{scan_name(f.path)}\t{f.size}\t{f.sha256}\n" for f in scans)
        self._text(
            SCANS,
            "scan\tsize\tsha256\n" + "".join(rows),
            name="Raw scans of the study, by path in the BIDS folder and checksum",
        )

    def _add_readme(self) -> None:
        held = "pseudonym" if self.payload.restricted else "name"
        text = README_TEXT.format(
            title=self.crate.name, description=self.crate.description, scans=SCANS, held=held
        )
        readme = self._text(README, text, name="What is in this crate")
        readme["about"] = self.crate.root_dataset

    def _text(self, path: str, text: str, **facts: str) -> Entity:
        if path not in self.known:
            self.payload.refuse_labels([(path, text)])
            properties = {
                "contentSize": str(len(text.encode())),
                "encodingFormat": _media_type(path),
                **facts,
            }
            self.known[path] = self.crate.add_file(StringIO(text), path, properties=properties)
        return self.known[path]

    # -- entities -------------------------------------------------------------------------------

    def _value(self, uri: str, name: str, value: Any) -> Entity:
        return self._context(uri, "PropertyValue", name=name, value=value)

    def _context(self, uri: str, kind: str, **properties: Any) -> Entity:
        """The entity with this identifier, made if it is not there yet."""
        if uri not in self.known:
            plain = {key: _plain(value) for key, value in properties.items()}
            entity = ContextEntity(self.crate, uri, properties={"@type": kind, **plain})
            self.known[uri] = self.crate.add(entity)
        return self.known[uri]


def _plain(value: Any) -> Any:
    """References for entities."""
    if isinstance(value, Entity):
        return {"@id": value.id}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _append(entity: Entity, key: str, other: Entity) -> None:
    """Add a reference once."""
    present = entity._jsonld.setdefault(key, [])
    if isinstance(present, dict):
        present = entity._jsonld[key] = [present]
    reference = {"@id": other.id}
    if reference not in present:
        present.append(reference)


def _simplify(entity: Entity) -> None:
    """Write lists of one as the one, and leave empty lists away, as the profile recommends."""
    for key, value in list(entity._jsonld.items()):
        if isinstance(value, list) and key != "@type":
            if not value:
                del entity._jsonld[key]
            elif len(value) == 1:
                entity._jsonld[key] = value[0]


def _pattern(name: str, job: Job | None) -> str:
    """Place of a file for every case of the job that wrote it: ``probes/$method.tsv``."""
    single, lists = group_files([FileState(name, 0, "")])
    place = lists[0].folder if lists else crate_name(single[0].path)
    for wildcard, value in (job.wildcards if job else {}).items():
        place = re.sub(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", f"${wildcard}", place)
    return place


def _status(job: Job) -> str:
    return f"{SCHEMA_ORG}/{COMPLETED if job.status is Status.COMPLETED else FAILED}"


def _time(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def _media_type(name: str) -> str:
    suffix = "." + name.rpartition(".")[2]
    return MEDIA_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
