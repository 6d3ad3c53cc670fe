"""What every check of the audit looks at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ldae.provenance.audit.findings import Finding, Level
from ldae.provenance.history import History, Job
from ldae.provenance.places import Places


@dataclass(frozen=True)
class Study:
    """A study on this disk.

    Attributes
    ----------
    history
        Its records.
    places
        Where its folders lie.
    repository
        Clone of the code that is asked about commits.
    working
        Folder that the workflow ran in, with Snakemake's own notes.
    """

    history: History
    places: Places
    repository: Path
    working: Path

    @cached_property
    def chain(self) -> tuple[Job, ...]:
        """Every job behind a figure, a table or the report, in order of time."""
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
        """Folder of everything computed."""
        return self.history.results
