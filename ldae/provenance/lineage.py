"""Where a file of a study comes from: its jobs, how they depend on each other, and groups of them.

A :class:`Lineage` holds every job behind one file. Jobs of one rule that read from the same jobs
and are read by the same jobs differ only in their share of the work (a batch of scans): they form
one :class:`Group`, so that a cohort of any size has a lineage that fits a page.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ldae.errors import InputError
from ldae.provenance.history import History, Job

if TYPE_CHECKING:
    import pandas as pd

# Pattern in the names of metrics that compare a row's method with another.
COMPARISON = r"difference|_gain|share_of_ceiling|skill|speed_ratio"

CHANGED = "differs from its record"
GONE = "is not there"
UNCHANGED = "as recorded"


@dataclass(frozen=True)
class Cell:
    """Rows of a table that were asked about.

    Attributes
    ----------
    where
        Wanted value of each column.
    rows
        The rows that have them, as text.
    """

    where: Mapping[str, str]
    rows: pd.DataFrame

    @property
    def compares(self) -> bool:
        """Whether a row is a difference between methods, by the name of its metric."""
        return "metric" in self.rows and bool(self.rows["metric"].str.contains(COMPARISON).any())


@dataclass(frozen=True)
class Group:
    """Jobs of one rule that read from, and are read by, the same jobs; in order of time."""

    jobs: tuple[Job, ...]

    @property
    def rule(self) -> str:
        """Rule of all the jobs."""
        return self.jobs[0].rule

    @property
    def seconds(self) -> float:
        """Sum of the jobs' times in seconds."""
        return sum(float(job.record.get("wall_seconds", 0)) for job in self.jobs)


@dataclass(frozen=True)
class Lineage:
    """Every job behind one file.

    Attributes
    ----------
    history
        The study.
    target
        Name of the file in the records.
    jobs
        Jobs in order of time; the last wrote the file.
    cell
        The rows asked about, for a table.
    """

    history: History
    target: str
    jobs: tuple[Job, ...]
    cell: Cell | None = None

    @property
    def producer(self) -> Job:
        """The job that wrote the file."""
        return self.jobs[-1]

    @cached_property
    def parents(self) -> Mapping[str, tuple[Job, ...]]:
        """Jobs that each job read from, by its id, in order of time.

        A job can only have read what an earlier one wrote; a link back in time, which records that
        were meddled with may show, is left to the audit.
        """
        order = {job.id: number for number, job in enumerate(self.jobs)}
        return {
            job.id: tuple(p for p in self.history.parents(job) if order[p.id] < order[job.id])
            for job in self.jobs
        }

    @cached_property
    def aside(self) -> frozenset[str]:
        """Ids of jobs that the table was made from, but by their wildcards not the chosen rows.

        Where the rows have `method` ldae, a job whose wildcard `method` is another worked for other
        rows of the same table, and so did those that only it read from. For a number that compares
        methods none is put aside.
        """
        if self.cell is None or self.cell.compares:
            return frozenset()
        wanted = self.cell.where.items()
        matching = {
            name
            for parent in self.parents[self.producer.id]
            for name, value in wanted
            if parent.wildcards.get(name) == value
        }
        reached: set[str] = set()
        todo = [self.producer]
        while todo:
            job = todo.pop()
            other = any(
                name in matching and job.wildcards.get(name, value) != value
                for name, value in wanted
            )
            if job.id not in reached and not other:
                reached.add(job.id)
                todo.extend(self.parents[job.id])
        return frozenset(job.id for job in self.jobs if job.id not in reached)

    def groups(self, jobs: Iterable[Job]) -> list[Group]:
        """`jobs` put together where they differ only in their share of the work."""
        readers: dict[str, set[str]] = defaultdict(set)
        for job in self.jobs:
            for parent in self.parents[job.id]:
                readers[parent.id].add(job.id)
        found: dict[tuple[object, ...], list[Job]] = defaultdict(list)
        for job in jobs:
            parents = frozenset(parent.id for parent in self.parents[job.id])
            found[job.rule, parents, frozenset(readers[job.id])].append(job)
        return [Group(tuple(members)) for members in found.values()]

    def state_on_disk(self) -> str:
        """Whether the file is still the one that was recorded."""
        state = self.history.state(self.target)
        path = self.history.results / self.target.partition("/")[2]
        if not path.is_file():
            return GONE
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return UNCHANGED if state is not None and digest == state.sha256 else CHANGED


def trace_lineage(history: History, file: str | Path, where: Mapping[str, str]) -> Lineage:
    """Lineage of a file, or of rows of a table.

    Parameters
    ----------
    history
        The study.
    file
        File as a person would name it.
    where
        Column and value of the rows asked about; empty for the whole file.

    Raises
    ------
    InputError
        If no job wrote the file, it is no table with such columns, or no row has the values.
    """
    target = history.name(file)
    jobs = history.ancestors(target)
    if not jobs:
        raise InputError(
            file, "no job of this study wrote it", "Name a file that stands in its records."
        )
    cell = None
    if where:
        cell = _find_rows(history.results / target.partition("/")[2], where)
    # The producer is the end of the trace whatever other jobs began after it.
    producer = history.producer(target)
    ordered = [job for job in jobs if job is not producer]
    return Lineage(history, target, (*ordered, *([producer] if producer else [])), cell)


def _find_rows(path: Path, where: Mapping[str, str]) -> Cell:
    """Rows of a table; numbers are compared as numbers, so that 6 finds 6.0."""
    import pandas as pd

    if path.suffix != ".tsv" or not path.is_file():
        raise InputError(path, "is no table", "Choose rows of a .tsv file.")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    found = table
    for column, value in where.items():
        if column not in table:
            raise InputError(
                path, f"has no column {column}", f"Choose among {', '.join(table.columns)}."
            )
        same = found[column].map(lambda cell, value=value: _equal(cell, value))
        if not same.any():
            values = ", ".join(sorted(found[column].unique())[:10])
            raise InputError(path, f"no row has {column}={value}", f"Choose among {values}.")
        found = found[same]
    return Cell(where, found)


def _equal(cell: str, value: str) -> bool:
    try:
        return float(cell) == float(value)
    except ValueError:
        return cell == value
