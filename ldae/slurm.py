"""What SLURM tells a job about itself, and what a run must know about SLURM."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ldae.errors import InputError

# Seconds that the scheduler may take to answer.
QUERY_SECONDS = 60.0


def process_rank() -> int:
    """Number of this process among those of its job step; 0 outside SLURM."""
    return int(os.environ.get("SLURM_PROCID", "0")) if process_count() > 1 else 0


def process_count() -> int:
    """Processes of this job step that work together; 1 outside SLURM."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def node_count() -> int:
    """Nodes that the processes of this job step run on; 1 outside SLURM."""
    return int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))


def end_time() -> float | None:
    """Time at which SLURM will end this job, seconds since the epoch; None where there is no limit.

    The variable is set by newer versions of SLURM, else by :func:`note_end_time`.
    """
    found = os.environ.get("SLURM_JOB_END_TIME")
    return float(found) if found else None


def starts_processes() -> bool:
    """Whether this process runs in a job's batch script and so has to start the job's tasks.

    Jobs of one task are started as a job step by Snakemake's executor; those of several are left to
    the workflow (resource ``mpi``).
    """
    return "SLURM_JOB_ID" in os.environ and "SLURM_STEP_ID" not in os.environ


def note_end_time() -> None:
    """Tell the processes of this job its end, if SLURM knows one.

    For the process that starts a job's work: inside a container SLURM cannot be asked.
    """
    if "SLURM_JOB_ID" not in os.environ or shutil.which("squeue") is None:
        return
    try:
        answer = _squeue("--format=%e", "--jobs", os.environ["SLURM_JOB_ID"])
        end = datetime.fromisoformat(answer.strip()).timestamp()
    except (subprocess.SubprocessError, ValueError):  # no answer, or no limit
        return
    os.environ["SLURM_JOB_END_TIME"] = str(end)


def _squeue(*arguments: str) -> str:
    """What squeue says.

    Raises
    ------
    subprocess.SubprocessError
        If it fails, or says nothing in time.
    """
    command = ["squeue", "--noheader", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=QUERY_SECONDS
    ).stdout


@dataclass(frozen=True)
class LeftJob:
    """A SLURM job that an earlier run has left behind."""

    number: str
    rule: str
    state: str


def left_jobs(folder: Path) -> list[LeftJob]:
    """Jobs of this user whose working folder is `folder`.

    Parameters
    ----------
    folder
        Working folder of the workflow.

    Raises
    ------
    InputError
        If SLURM does not answer.
    """
    try:
        answer = _squeue("--me", "--format=%i|%T|%Z|%k")
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise InputError(
            "SLURM", f"it does not say which jobs run ({said})", "Try again when squeue answers"
        ) from error
    found = []
    for line in answer.splitlines():
        number, state, place, comment = line.split("|", 3)
        if comment.startswith("rule_") and Path(place).resolve() == folder.resolve():
            found.append(LeftJob(number, comment.removeprefix("rule_"), state.lower()))
    return found


def check_cluster(folder: Path) -> None:
    """Stop before the work where SLURM is missing or still works for an earlier run.

    Parameters
    ----------
    folder
        Working folder of the workflow.

    Raises
    ------
    InputError
        If ``sbatch`` is missing, SLURM does not answer, or jobs of an earlier run are left.
    """
    missing = [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]
    if missing:
        raise InputError(
            "SLURM",
            f"{' and '.join(missing)} cannot be found on this machine",
            "Run this on a login node of the cluster, or leave out --profile slurm",
        )
    jobs = left_jobs(folder)
    if jobs:
        numbers = " ".join(job.number for job in jobs)
        names = ", ".join(f"{job.rule} ({job.number}, {job.state})" for job in jobs)
        raise InputError(
            "SLURM",
            f"jobs of an earlier run still work in this folder: {names}",
            f"Wait for their end or run `scancel {numbers}`, then `snakemake --unlock` if that "
            "run was killed, and give the same command again. Finished files are kept, trainings "
            "go on from their last checkpoint",
        )
