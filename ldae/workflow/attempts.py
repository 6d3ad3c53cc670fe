"""Which failed jobs are tried again: those that came further, or may come further another time."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from ldae.workflow.entry import pieces_folder
from ldae.workflow.progress import is_permanent

Job = Any
"""Snakemake's object of a job; it has no types."""


class Attempts(logging.Handler):
    """Logging handler that decides after each failure how many attempts a job has left.

    Snakemake counts the failures of a job and compares them with the rule's ``retries`` just after
    it has announced one. An error that another attempt would meet again, such as a bad input or a
    batch that does not fit into the GPU, uses up all attempts. A failure after which there are
    newer checkpoints than before does not count, nor does it raise what the job asks for: the next
    attempt continues where this one ended.

    Parameters
    ----------
    workflow
        Snakemake's.
    """

    def __init__(self, workflow: Any) -> None:
        super().__init__(logging.ERROR)
        self._workflow = workflow
        self._progress: dict[int, float] = {}
        self._start = time.time()

    def emit(self, record: logging.LogRecord) -> None:
        """Count an attempt if the event of Snakemake announces a failure."""
        if str(getattr(record, "event", None) or "") != "job_error":
            return
        number = int(record.jobid)  # type: ignore[attr-defined]
        dag = self._workflow.dag
        job = next((job for job in dag.jobs if dag.jobid(job) == number), None)
        if job is None or not job.log:
            return
        former = self._progress.get(number, 0.0)
        self._progress[number] = max(former, last_progress(job))
        if is_permanent(Path(job.log[0]), self._start):
            job.attempt = job.restart_times + 1
        elif job.restart_times and self._progress[number] > former:
            job.attempt -= 1  # Snakemake adds one before it tries again


def last_progress(job: Job) -> float:
    """When a job last kept something to resume from, seconds since 1970; 0 if it never did."""
    folders = [pieces_folder(Path(job.log[0]))]
    if "work_dir" in job.params.keys():
        folders.append(Path(job.params.work_dir))
    times = [path.stat().st_mtime for folder in folders for path in folder.glob("*/*.*")]
    return max(times, default=0.0)
