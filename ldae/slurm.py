"""Information from SLURM about the current job, and checks before a run on a cluster."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ldae.errors import InputError

# Timeout for queries to the scheduler, seconds.
QUERY_SECONDS = 60.0

# A cancelled job is listed as "completing" until its processes have ended and the epilog has run:
# KillWait (30 seconds by default) and some more.
COMPLETING_SECONDS = 120.0
POLL_SECONDS = 2.0

TAG = re.compile(r"ldae-.*-[0-9a-f]{8}_")
"""Begin of the names of jobs of a study (:func:`study_tag`)."""


def process_rank() -> int:
    """Rank of this process within its job step; 0 outside SLURM."""
    return int(os.environ.get("SLURM_PROCID", "0")) if process_count() > 1 else 0


def process_count() -> int:
    """Number of processes of this job step; 1 outside SLURM."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def node_count() -> int:
    """Number of nodes of this job step; 1 outside SLURM."""
    return int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))


def end_time() -> float | None:
    """Time at which SLURM will end this job, seconds since 1970; None if there is no limit.

    The environment variable is set by recent versions of SLURM, or else by :func:`note_end_time`.
    """
    found = os.environ.get("SLURM_JOB_END_TIME")
    return float(found) if found else None


def starts_processes() -> bool:
    """Whether this process is the batch script of a job and must start the tasks of the job.

    Snakemake's executor starts jobs with one task as a job step. Jobs with several tasks (resource
    ``mpi``) are started by the workflow.
    """
    return "SLURM_JOB_ID" in os.environ and "SLURM_STEP_ID" not in os.environ


def note_end_time() -> None:
    """Set an environment variable to the end time of this job, if it has a time limit.

    Call this in the process that starts the work of a job: SLURM cannot be queried from inside a
    container.
    """
    if "SLURM_JOB_ID" not in os.environ or shutil.which("squeue") is None:
        return
    try:
        answer = _squeue("--format=%e", "--jobs", os.environ["SLURM_JOB_ID"])
        end = datetime.fromisoformat(answer.strip()).timestamp()
    except (subprocess.SubprocessError, ValueError):  # no answer, or no time limit
        return
    os.environ["SLURM_JOB_END_TIME"] = str(end)


def _squeue(*arguments: str) -> str:
    """Output of squeue.

    Raises
    ------
    subprocess.SubprocessError
        If squeue fails or times out.
    """
    command = ["squeue", "--noheader", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=QUERY_SECONDS
    ).stdout


def longest_minutes(partitions: Sequence[str]) -> float:
    """Shortest of the time limits of some partitions, minutes; infinite where none is known.

    Parameters
    ----------
    partitions
        Their names; an empty one stands for the default partition, as no name at all does.
    """
    wanted = set(partitions) or {""}
    try:
        listed = subprocess.run(
            ["sinfo", "--noheader", "--format=%P|%l"],
            capture_output=True, text=True, check=True, timeout=QUERY_SECONDS,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return math.inf
    limits = []
    for line in listed.splitlines():
        name, _, limit = line.partition("|")
        if name.rstrip("*") in wanted or (name.endswith("*") and "" in wanted):
            limits.append(minutes_of(limit))
    return min(limits, default=math.inf)


def minutes_of(limit: str) -> float:
    """Minutes of a time limit of SLURM, such as ``1-12:00:00`` or ``30:00``; infinite if none."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):\d\d", limit.strip())
    if found is None:
        return math.inf
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return 1440 * days + 60 * hours + minutes


class NoAnswerError(InputError):
    """SLURM does not answer."""


@dataclass(frozen=True)
class LeftJob:
    """SLURM job of an earlier run that has not ended."""

    number: str
    rule: str
    state: str


def study_tag(results: Path) -> str:
    """Name that all jobs of a study begin with, the same for one results folder only.

    Several studies may run from one clone at a time, each with jobs of its own.

    Parameters
    ----------
    results
        Results folder of the study.
    """
    place = results.resolve()
    readable = re.sub(r"[^A-Za-z0-9]+", "_", place.name)[:20]
    return f"ldae-{readable}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"


def left_jobs(results: Path, folder: Path) -> list[LeftJob]:
    """Jobs of this user that compute the study in `results`.

    Parameters
    ----------
    results
        Results folder of the study.
    folder
        Working folder of the workflow. Jobs there without the tag of any study are of an older
        version, and count too.

    Raises
    ------
    NoAnswerError
        If SLURM does not answer.
    """
    try:
        answer = _squeue("--me", "--format=%i|%T|%j|%Z|%k")
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise NoAnswerError(
            "SLURM",
            f"squeue did not list the running jobs ({reason})",
            "Try again when squeue works.",
        ) from error
    found = []
    for line in answer.splitlines():
        number, state, name, place, comment = line.split("|", 4)
        untagged = not TAG.match(name) and Path(place).resolve() == folder.resolve()
        ours = name.startswith(f"{study_tag(results)}_") or untagged
        if ours and comment.startswith("rule_"):
            found.append(LeftJob(number, comment.removeprefix("rule_"), state.lower()))
    return found


def remaining_jobs(
    results: Path, folder: Path, patience: float = COMPLETING_SECONDS
) -> list[LeftJob]:
    """Jobs that compute the study in `results` and do not end by themselves in a short time.

    Parameters
    ----------
    results, folder
        See :func:`left_jobs`.
    patience
        Seconds to wait for jobs that are only completing.

    Raises
    ------
    NoAnswerError
        If SLURM does not answer.
    """
    end = time.monotonic() + patience
    jobs = left_jobs(results, folder)
    while jobs and all(job.state == "completing" for job in jobs) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        jobs = left_jobs(results, folder)
    return jobs


def check_commands() -> None:
    """Check before a run on SLURM that its commands are there.

    Raises
    ------
    InputError
        If one is missing.
    """
    missing = [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]
    if missing:
        raise InputError(
            "SLURM",
            f"{' and '.join(missing)} cannot be found on this machine",
            "Run this command on a login node of the cluster, leave out --profile slurm, or name "
            "another scheduler's plugin (--executor)",
        )


def check_left_jobs(results: Path, folder: Path) -> None:
    """Check before a run that SLURM has no jobs of an earlier run of the same study.

    Parameters
    ----------
    results, folder
        See :func:`left_jobs`.

    Raises
    ------
    NoAnswerError
        If SLURM does not answer.
    InputError
        If jobs of an earlier run have not ended.
    """
    jobs = remaining_jobs(results, folder)
    if jobs:
        numbers = " ".join(job.number for job in jobs)
        names = ", ".join(f"{job.rule} ({job.number}, {job.state})" for job in jobs)
        raise InputError(
            "SLURM",
            f"jobs of an earlier run of this study have not ended: {names}",
            f"Wait until they end or run `scancel {numbers}`; then run `snakemake --unlock` if the "
            "earlier run was killed and no other runs in this folder, and start this command "
            "again. Finished files are kept, and trainings resume from their last checkpoint. "
            "Another study has a results folder of its own (pathvars.results).",
        )
