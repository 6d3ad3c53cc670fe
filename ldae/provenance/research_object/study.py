"""What a crate tells about: a study's history, settings and workflow."""

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
        All its jobs.
    config
        Its resolved settings.
    code
        The workflow.
    """

    history: History
    config: Mapping[str, Any]
    code: SourceCode

    @cached_property
    def rules(self) -> list[str]:
        """Rules that have jobs, in order of their first ones."""
        return list(dict.fromkeys(job.rule for job in self.history.jobs))

    def jobs(self, rule: str) -> list[Job]:
        """Jobs of a rule, in order of time."""
        return [job for job in self.history.jobs if job.rule == rule]

    @property
    def commit(self) -> str | None:
        """The commit of the last job, which stands for the workflow; every tool has its own."""
        commit: str | None = self.history.jobs[-1].record["commit"]
        return commit

    @property
    def home(self) -> str:
        """Address of the workflow, or the standard identifier of its commit."""
        return self.code.address or f"{ARCHIVE}/swh:1:rev:{self.commit}"

    @cached_property
    def snakemake(self) -> str:
        """Version of Snakemake."""
        versions = (job.record.get("software", {}).get("snakemake") for job in self.history.jobs)
        return max(filter(None, versions), default="unknown")

    @property
    def start(self) -> datetime:
        """When the first job began."""
        return self.history.jobs[0].start

    @cached_property
    def end(self) -> datetime:
        """When the last job ended."""
        return max(job.end or job.start for job in self.history.jobs)
