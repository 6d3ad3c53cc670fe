"""Lineage of a file: the jobs on which it depends, their dependencies, and groups of jobs.

A :class:`Lineage` contains every job behind one file. Jobs of the same rule that read from the same
jobs and are read by the same jobs differ only in their batch of scans. They form one
:class:`Group`, so that the lineage of a large cohort still fits on one page.
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

# Pattern in the names of metrics that compare the method of a row with another method.
COMPARISON = r"difference|_gain|skill|speed_ratio"

CHANGED = "differs from its record"
GONE = "missing"
UNCHANGED = "as recorded"


@dataclass(frozen=True)
class Cell:
    """Selected rows of a table.

    Attributes
    ----------
    where
        Column names and the values that the rows must have.
    rows
        The matching rows, as text.
    """

    where: Mapping[str, str]
    rows: pd.DataFrame

    @property
    def compares(self) -> bool:
        """Whether a row compares methods, judged by the name of its metric."""
        return "metric" in self.rows and bool(self.rows["metric"].str.contains(COMPARISON).any())


@dataclass(frozen=True)
class Group:
    """Jobs of one rule that read from and are read by the same jobs, in chronological order."""

    jobs: tuple[Job, ...]

    @property
    def rule(self) -> str:
        """Rule of the jobs."""
        return self.jobs[0].rule

    @property
    def seconds(self) -> float:
        """Total run time of the jobs in seconds."""
        return sum(float(job.record.get("wall_seconds", 0)) for job in self.jobs)


@dataclass(frozen=True)
class Lineage:
    """All jobs behind one file.

    Attributes
    ----------
    history
        History of the study.
    target
        Name of the file in the records.
    jobs
        Jobs in chronological order; the last one wrote the file.
    cell
        The selected rows if the file is a table, else None.
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
        """For each job, by its id, the jobs whose outputs it read, in chronological order.

        A job can only read the output of an earlier job. Links to later jobs, which occur only in
        manipulated records, are ignored here; the audit reports them.
        """
        order = {job.id: number for number, job in enumerate(self.jobs)}
        return {
            job.id: tuple(p for p in self.history.parents(job) if order[p.id] < order[job.id])
            for job in self.jobs
        }

    @cached_property
    def aside(self) -> frozenset[str]:
        """Ids of jobs that contributed to the table but, by their wildcards, not to the rows.

        If the rows have the value `ldae` in column `method`, jobs with another value of the
        wildcard `method` belong to other rows, as do jobs that only those read from. The set is
        empty if the rows compare methods.
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
        """Groups of the given jobs; the jobs of a group differ only in their batch."""
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
        """Whether the file is missing, changed or still as recorded."""
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
        History of the study.
    file
        The file, as given by the user.
    where
        Columns and values that select rows of a table; empty for the whole file.

    Raises
    ------
    InputError
        If no job wrote the file, it is not a table with these columns, or no row has the values.
    """
    target = history.name(file)
    jobs = history.ancestors(target)
    if not jobs:
        raise InputError(
            file, "no job of this study wrote this file", "Name a file that the study has written."
        )
    cell = None
    if where:
        cell = _find_rows(history.results / target.partition("/")[2], where)
    # The producer comes last, even if other jobs started later.
    producer = history.producer(target)
    ordered = [job for job in jobs if job is not producer]
    return Lineage(history, target, (*ordered, *([producer] if producer else [])), cell)


def _find_rows(path: Path, where: Mapping[str, str]) -> Cell:
    """Rows of a table with the given values; numbers are compared as numbers: 6 matches 6.0."""
    import pandas as pd

    if path.suffix != ".tsv" or not path.is_file():
        raise InputError(path, "the file is not a table", "Select rows of a .tsv file.")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    found = table
    for column, value in where.items():
        if column not in table:
            raise InputError(
                path, f"there is no column {column}", f"Choose among {', '.join(table.columns)}."
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
