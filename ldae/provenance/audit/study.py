"""The study that the audit checks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ldae.provenance.audit.findings import Finding, Level
from ldae.provenance.history import History, Job
from ldae.provenance.places import Places


@dataclass(frozen=True)
class Study:
    """A study on this machine.

    Attributes
    ----------
    history
        Its records.
    places
        Locations of its folders.
    repository
        Clone of the code, in which commits are looked up.
    working
        Folder in which the workflow ran, with Snakemake's metadata.
    """

    history: History
    places: Places
    repository: Path
    working: Path

    @cached_property
    def chain(self) -> tuple[Job, ...]:
        """All jobs behind figures, tables and report, in chronological order."""
        found = {job for target in self.history.targets for job in self.history.ancestors(target)}
        return tuple(sorted(found, key=lambda job: (job.start, job.id)))

    @cached_property
    def chain_ids(self) -> frozenset[str]:
        """Ids of the jobs of the chain."""
        return frozenset(job.id for job in self.chain)

    def finding(self, level: Level, jobs: list[Job], expected: str, found: str) -> Finding:
        """One finding about one or more jobs."""
        more = f" and {len(jobs) - 1} more" if jobs[1:] else ""
        name = f"{jobs[0].case} {jobs[0].id}{more}"
        return Finding(level, name, expected, found, self.history.targets_of(jobs))

    @property
    def results(self) -> Path:
        """Results folder."""
        return self.history.results
