"""Queries to SLURM: a scheduler without an answer is not mistaken for one without jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldae import slurm
from ldae.errors import InputError


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replacement of squeue; a test writes the script that it runs."""
    program = tmp_path / "squeue"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    return program


def answer(program: Path, text: str) -> None:
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_jobs_of_this_folder_are_found(squeue: Path, tmp_path: Path) -> None:
    answer(squeue, f"echo '5|RUNNING|{tmp_path}|rule_train_prior'; echo '6|RUNNING|/|rule_x'")
    assert slurm.left_jobs(tmp_path) == [slurm.LeftJob("5", "train_prior", "running")]


@pytest.mark.parametrize("text", ["echo 'Unable to contact' >&2; exit 1", "exec sleep 5"])
def test_scheduler_without_an_answer_is_an_error(
    squeue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(slurm, "QUERY_SECONDS", 0.2)
    answer(squeue, text)
    with pytest.raises(InputError, match="did not list the running jobs"):
        slurm.left_jobs(tmp_path)
    slurm.note_end_time()
    assert slurm.end_time() is None, "without an answer the job has no end time"


def test_completing_job_is_waited_for(
    squeue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.01)
    asked = tmp_path / "asked"
    line = f"5|COMPLETING|{tmp_path}|rule_train_prior"
    answer(squeue, f"test -e {asked} || echo '{line}'; touch {asked}")
    assert slurm.remaining_jobs(tmp_path) == []


def test_job_that_does_not_end_is_reported(squeue: Path, tmp_path: Path) -> None:
    place = f"{tmp_path}|rule_train_prior"
    answer(squeue, f"echo '5|COMPLETING|{place}'; echo '6|RUNNING|{place}'")
    assert [job.number for job in slurm.remaining_jobs(tmp_path)] == ["5", "6"]
    answer(squeue, f"echo '5|COMPLETING|{place}'")
    assert [job.number for job in slurm.remaining_jobs(tmp_path, patience=0)] == ["5"]


def test_end_time_is_read_from_squeue(squeue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", "")
    answer(squeue, "echo 2024-05-31T10:00:00")
    slurm.note_end_time()
    end = slurm.end_time()
    assert end is not None and 1.7e9 < end < 1.72e9
