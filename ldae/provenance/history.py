"""History of a study, read from the records of its jobs.

A record is written at the start and at the end of every attempt (:mod:`ldae.provenance.record`).
This module combines both into one :class:`Job` and links jobs by the files that they wrote and
read. Files are named as in the records: ``<results>/…`` is inside the results folder, ``<bids>/…``
is a raw scan of a real cohort, and any other name is relative to the working folder.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from sys import intern
from types import MappingProxyType
from typing import Any

from ldae.provenance.places import RESULTS
from ldae.provenance.reading import read_regular
from ldae.provenance.record import COMPLETED, ID_TIME, Record
from ldae.provenance.schema import validate_record

RECORDS = "records"
STARTED_SUFFIX = ".started"

# Folders with final results, each of which must be traceable to raw scans.
TARGET_FOLDERS = ("figures", "tables")
REPORT = "report.html"
VIEWER = "viewer.html"


class Status(StrEnum):
    """Outcome of an attempt."""

    COMPLETED = "completed"
    FAILED = "failed"
    UNENDED = "never ended"


@dataclass(frozen=True, slots=True)
class FileState:
    """State of a file when a job read or wrote it: name, size in bytes, SHA-256 (hexadecimal)."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Job:
    """One attempt at one job.

    Attributes
    ----------
    id
        Time and random digits, unique in the study; name of its record files.
    rule, wildcards
        Rule and wildcards of the job.
    case
        Folder of its records, relative to ``records/``; the same for every attempt.
    status
        Outcome; a job that was killed never ended.
    start, end
        Times with time zone; `end` is None if the job never ended.
    record
        Content of the record without its files: the final one if it exists, else the one of the
        start.
    inputs, outputs
        Files read and written, sorted by name; folders are listed file by file.
    """

    id: str
    rule: str
    wildcards: Mapping[str, str]
    case: str
    status: Status
    start: datetime
    end: datetime | None
    record: Mapping[str, Any]
    inputs: tuple[FileState, ...]
    outputs: tuple[FileState, ...]

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def script(self) -> str:
        """Its script, relative to the repository; older records do not name it."""
        return str(self.record.get("script", f"scripts/{self.rule}.py"))

    @property
    def references(self) -> tuple[str, ...]:
        """What it used by computed names, as ``module:name``."""
        return tuple(self.record.get("references", ()))

    @cached_property
    def written(self) -> Mapping[str, FileState]:
        """Files written, by name."""
        return {file.path: file for file in self.outputs}


@dataclass(frozen=True)
class History:
    """All attempts of a study in chronological order.

    Attributes
    ----------
    results
        Folder whose ``records/`` were read.
    jobs
        All attempts, ordered by start time.
    unreadable
        Record files that cannot be read, relative to the results folder, with the reason.
    contradictions
        Records of ends that contradict the record of the start, relative to the results folder,
        with the fields.
    digests
        SHA-256 of each record file as it was read, by its path relative to ``records/``.
    set_aside
        Files that jobs wrote which were left out by :meth:`without`.
    """

    results: Path
    jobs: tuple[Job, ...]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    contradictions: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    set_aside: frozenset[str] = frozenset()

    def without(self, *rules: str) -> History:
        """History without the jobs of the given rules."""
        jobs = tuple(job for job in self.jobs if job.rule not in rules)
        left = {f.path for job in self.jobs if job.rule in rules for f in job.outputs}
        return replace(self, jobs=jobs, set_aside=self.set_aside | left)

    @cached_property
    def current(self) -> tuple[Job, ...]:
        """The last completed attempt of every case, in chronological order."""
        last = {job.case: job for job in self.jobs if job.status is Status.COMPLETED}
        return tuple(sorted(last.values(), key=_order))

    @cached_property
    def _writers(self) -> dict[str, list[Job]]:
        """Completed attempts that wrote each file, in chronological order."""
        found: dict[str, list[Job]] = defaultdict(list)
        for job in self.jobs:
            if job.status is Status.COMPLETED:
                for file in job.outputs:
                    found[file.path].append(job)
        return found

    @cached_property
    def _readers(self) -> dict[str, list[Job]]:
        """Current jobs that read each file."""
        found: dict[str, list[Job]] = defaultdict(list)
        for job in self.current:
            for path in {file.path for file in job.inputs}:
                found[path].append(job)
        return found

    @cached_property
    def files(self) -> frozenset[str]:
        """Names of all files that completed jobs wrote, in any version."""
        return frozenset(self._writers)

    def name(self, path: str | Path) -> str:
        """Name in the records of a file that a user has named.

        ``figures/roc.png``, ``results/figures/roc.png`` and ``<results>/figures/roc.png`` are the
        same file. A name that occurs in no record is returned unchanged.
        """
        text = Path(path).as_posix()
        inside = Path(path).absolute()
        candidates = [text, f"{RESULTS}/{text}"]
        if inside.is_relative_to(self.results.absolute()):
            relative = inside.relative_to(self.results.absolute()).as_posix()
            candidates.insert(0, f"{RESULTS}/{relative}")
        for name in candidates:
            if name in self._writers or name in self._readers:
                return name
        return text

    def producer(self, path: str) -> Job | None:
        """The last completed job that wrote a file; None if no job wrote it."""
        writers = self._writers.get(path)
        return writers[-1] if writers else None

    def state(self, path: str) -> FileState | None:
        """State of a file as last written or, if no job wrote it, as last read."""
        producer = self.producer(path)
        if producer is not None:
            return producer.written[path]
        readers = self._readers.get(path)
        if not readers:
            return None
        return next(file for file in readers[-1].inputs if file.path == path)

    def source(self, job: Job, file: FileState) -> Job | None:
        """The job that wrote the version of an input that `job` read.

        A writer of exactly the bytes that were read is preferred, then one that ended before `job`
        started. If several candidates remain, the last one is returned.
        """
        writers = [other for other in self._writers.get(file.path, []) if other is not job]
        before = [other for other in writers if other.end and other.end <= job.start]
        for candidates in (before, writers):
            same = [other for other in candidates if other.written[file.path] == file]
            if same:
                return same[-1]
        others = before or writers
        return others[-1] if others else None

    def parents(self, job: Job) -> list[Job]:
        """Jobs whose outputs `job` read, in chronological order."""
        return self._parents[job.id]

    @cached_property
    def _parents(self) -> dict[str, list[Job]]:
        found: dict[str, list[Job]] = {}
        for job in self.jobs:
            sources = {self.source(job, file) for file in job.inputs}
            found[job.id] = sorted((other for other in sources if other is not None), key=_order)
        return found

    def ancestors(self, path: str) -> list[Job]:
        """All jobs on which a file depends, its producer last; empty if no job wrote it."""
        producer = self.producer(path)
        return [] if producer is None else self._closure(producer)

    def _closure(self, job: Job) -> list[Job]:
        """`job` and all jobs on which it depends, in chronological order."""
        seen: set[Job] = set()
        todo = [job]
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo.extend(self.parents(one))
        return sorted(seen, key=_order)

    def raw_inputs(self, jobs: Iterable[Job]) -> list[FileState]:
        """Files that `jobs` read and that no job wrote, such as raw scans of a real cohort."""
        found = {f for job in jobs for f in job.inputs if f.path not in self._writers}
        return sorted(found, key=lambda file: file.path)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Figures, tables and report that the current jobs wrote, sorted."""
        written = {file.path for job in self.current for file in job.outputs}
        folders = tuple(f"{RESULTS}/{folder}/" for folder in TARGET_FOLDERS)
        return tuple(
            sorted(p for p in written if p.startswith(folders) or p == f"{RESULTS}/{REPORT}")
        )

    @cached_property
    def _targets_of(self) -> dict[str, set[str]]:
        """Targets that depend on each job, by the job's id."""
        found: dict[str, set[str]] = defaultdict(set)
        for target in self.targets:
            for job in self.ancestors(target):
                found[job.id].add(target)
        return found

    def targets_of(self, jobs: Iterable[Job]) -> tuple[str, ...]:
        """Figures, tables and report that depend on any of the given jobs, sorted."""
        return tuple(sorted({t for job in jobs for t in self._targets_of.get(job.id, ())}))

    def descendants(self, path: str) -> tuple[str, ...]:
        """Figures, tables and report that depend on a file, including the file itself, sorted."""
        readers = self._readers.get(path, [])
        return tuple(sorted({path} & set(self.targets) | set(self.targets_of(readers))))


def load_history(results: Path) -> History:
    """History of a study from all its records.

    Parameters
    ----------
    results
        Results folder of the study, which contains ``records/``.
    """
    reader = _Reader(results)
    for stem in sorted({_stem(path) for path in (results / RECORDS).rglob("*.json")}):
        reader.read(stem)
    return History(
        results,
        tuple(sorted(reader.jobs, key=_order)),
        MappingProxyType(reader.unreadable),
        MappingProxyType(reader.contradictions),
        MappingProxyType(reader.digests),
    )


def _stem(path: Path) -> Path:
    """Path of an attempt's records without what tells them apart."""
    return path.parent / path.stem.removesuffix(STARTED_SUFFIX)


class _Reader:
    """Reads one attempt after another; a record at fault is noted, and the others are read."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.folder = results / RECORDS
        self.jobs: list[Job] = []
        self.unreadable: dict[str, str] = {}
        self.contradictions: dict[str, str] = {}
        self.digests: dict[str, str] = {}
        # jobs name the same files over and over: equal states are one object
        self.states: dict[FileState, FileState] = {}

    def read(self, stem: Path) -> None:
        """Read both records of one attempt."""
        begun = self._content(stem.with_name(f"{stem.name}{STARTED_SUFFIX}.json"))
        path = stem.with_name(f"{stem.name}.json")
        ended = self._content(path)
        if begun and ended:
            changed = [k for k, v in begun.items() if k != "status" and ended.get(k) != v]
            if changed:
                name = path.relative_to(self.results).as_posix()
                self.contradictions[name] = ", ".join(sorted(changed))
        if ended:
            self.jobs.append(self._job(stem, ended, ended=True))
        elif begun and not path.is_file():  # an unreadable end is reported as such
            self.jobs.append(self._job(stem, begun, ended=False))

    def _content(self, path: Path) -> Record | None:
        """Content of a record file; None if there is none, or it is at fault."""
        if not path.is_symlink() and not path.exists():
            return None
        try:
            content = read_regular(path)
            inside = path.relative_to(self.folder)
            self.digests[inside.as_posix()] = hashlib.sha256(content).hexdigest()
            record: Record = json.loads(content)
            validate_record(record)
            _check_place(record, inside)
        except (OSError, ValueError, RecursionError) as error:
            name = path.relative_to(self.results).as_posix()
            self.unreadable[name] = f"{type(error).__name__}: {error}"
            return None
        return record

    def _job(self, stem: Path, record: Record, *, ended: bool) -> Job:
        status = Status.UNENDED
        if ended:
            status = Status.COMPLETED if record["status"] == COMPLETED else Status.FAILED
        inputs = self._files(record.pop("input", []))
        outputs = self._files(record.pop("output", []))
        return Job(
            id=stem.name,
            rule=record["rule"],
            wildcards=MappingProxyType({k: str(v) for k, v in record["wildcards"].items()}),
            case=stem.parent.relative_to(self.folder).as_posix(),
            status=status,
            start=datetime.fromisoformat(record["start"]),
            end=datetime.fromisoformat(record["end"]) if record.get("end") else None,
            record=MappingProxyType(record),
            inputs=inputs,
            outputs=outputs,
        )

    def _files(self, entries: Iterable[Mapping[str, Any]]) -> tuple[FileState, ...]:
        found = set()
        for entry in entries:
            state = FileState(intern(entry["path"]), entry["size"], entry["sha256"])
            found.add(self.states.setdefault(state, state))
        return tuple(sorted(found, key=lambda file: file.path))


def _check_place(record: Record, inside: Path) -> None:
    """Refuse a record that lies in another rule's folder, or whose name has another time.

    Raises
    ------
    ValueError
        Naming both.
    """
    if inside.parts[0] != record["rule"]:
        raise ValueError(f"rule: {record['rule']}, in the folder of {inside.parts[0]}")
    start = datetime.fromisoformat(record["start"]).astimezone(UTC)
    if not inside.name.startswith(start.strftime(ID_TIME)):
        raise ValueError(f"start: {record['start']}, which is not the time in the file's name")


def _order(job: Job) -> tuple[datetime, str]:
    return job.start, job.id
