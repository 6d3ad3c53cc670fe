"""The study that a crate describes: history, settings and workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from ldae.provenance.history import History, Job
from ldae.provenance.source_code import ARCHIVE, SourceCode


@dataclass(frozen=True)
class Study:
    """A study with at least one job.

    Attributes
    ----------
    history
        History of all its jobs.
    config
        Complete settings.
    code
        Source code of the workflow.
    """

    history: History
    config: Mapping[str, Any]
    code: SourceCode

    @cached_property
    def rules(self) -> list[str]:
        """Rules that have jobs, ordered by their first jobs."""
        return list(dict.fromkeys(job.rule for job in self.history.jobs))

    def jobs(self, rule: str) -> list[Job]:
        """Jobs of a rule, in chronological order."""
        return [job for job in self.history.jobs if job.rule == rule]

    @property
    def commit(self) -> str | None:
        """Commit of the last job, used for the workflow; each tool has its own commit."""
        commit: str | None = self.history.jobs[-1].record["commit"]
        return commit

    @property
    def home(self) -> str:
        """Address of the workflow, or the SWHID of its commit."""
        return self.code.address or f"{ARCHIVE}/swh:1:rev:{self.commit}"

    @cached_property
    def snakemake(self) -> str:
        """Version of Snakemake."""
        versions = (job.record.get("software", {}).get("snakemake") for job in self.history.jobs)
        return max(filter(None, versions), default="unknown")

    @property
    def start(self) -> datetime:
        """Start of the first job."""
        return self.history.jobs[0].start

    @cached_property
    def end(self) -> datetime:
        """End of the last job."""
        return max(job.end or job.start for job in self.history.jobs)
