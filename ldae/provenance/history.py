"""History of a study, read from the records of its jobs.

A record is written at the start and at the end of every attempt (:mod:`ldae.provenance.record`).
This module combines both into one :class:`Job` and links jobs by the files that they wrote and
read. Files are named as in the records: ``<results>/…`` is inside the results folder, ``<bids>/…``
is a raw scan of a real cohort, and any other name is relative to the working folder.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ldae.provenance.places import RESULTS
from ldae.provenance.record import COMPLETED

RECORDS = "records"
STARTED_SUFFIX = ".started"

# Folders with final results, each of which must be traceable to raw scans.
TARGET_FOLDERS = ("figures", "tables")
REPORT = "report.html"


class Status(StrEnum):
    """Outcome of an attempt."""

    COMPLETED = "completed"
    FAILED = "failed"
    UNENDED = "never ended"


@dataclass(frozen=True)
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
        Content of the record: the final one if it exists, else the one of the start.
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
    """

    results: Path
    jobs: tuple[Job, ...]
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def without(self, *rules: str) -> History:
        """History without the jobs of the given rules."""
        jobs = tuple(job for job in self.jobs if job.rule not in rules)
        return History(self.results, jobs, self.unreadable)

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
    folder = results / RECORDS
    unreadable: dict[str, str] = {}
    jobs = []
    ended = {p for p in folder.rglob("*.json") if not p.stem.endswith(STARTED_SUFFIX)}
    stems = {p.parent / p.stem for p in ended}
    unended = {
        path
        for path in folder.rglob(f"*{STARTED_SUFFIX}.json")
        if path.parent / path.stem.removesuffix(STARTED_SUFFIX) not in stems
    }
    for path in sorted(ended | unended):
        try:
            jobs.append(_read_job(path, folder))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            unreadable[path.relative_to(results).as_posix()] = f"{type(error).__name__}: {error}"
    return History(results, tuple(sorted(jobs, key=_order)), MappingProxyType(unreadable))


def _read_job(path: Path, folder: Path) -> Job:
    record = json.loads(path.read_bytes())
    if path.stem.endswith(STARTED_SUFFIX):
        status = Status.UNENDED
    else:
        status = Status.COMPLETED if record["status"] == COMPLETED else Status.FAILED
    return Job(
        id=path.stem.removesuffix(STARTED_SUFFIX),
        rule=str(record["rule"]),
        wildcards=MappingProxyType({k: str(v) for k, v in record["wildcards"].items()}),
        case=path.parent.relative_to(folder).as_posix(),
        status=status,
        start=datetime.fromisoformat(record["start"]),
        end=datetime.fromisoformat(record["end"]) if "end" in record else None,
        record=MappingProxyType(record),
        inputs=_files(record.get("input", [])),
        outputs=_files(record.get("output", [])),
    )


def _files(entries: Iterable[Mapping[str, Any]]) -> tuple[FileState, ...]:
    found = {FileState(str(e["path"]), int(e["size"]), str(e["sha256"])) for e in entries}
    return tuple(sorted(found, key=lambda file: file.path))


def _order(job: Job) -> tuple[datetime, str]:
    return job.start, job.id
