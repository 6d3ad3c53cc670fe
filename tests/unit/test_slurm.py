"""Queries to SLURM: a scheduler without an answer is not mistaken for one without jobs."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from ldae import slurm
from ldae.errors import InputError
from ldae.workflow import slurm_states


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


@pytest.mark.parametrize(
    ("name", "place", "found"),
    [
        ("{tag}_uuid", "{here}", True),
        ("{tag}_uuid", "/another/clone", True),
        ("{tag}_mine_uuid", "{here}", True),  # with a user's prefix
        ("{other}_uuid", "{here}", False),  # another study of this clone
        ("uuid", "{here}", True),  # of an older version
        ("uuid", "/", False),
    ],
)
def test_jobs_of_this_study_are_found(
    name: str, place: str, found: bool, squeue: Path, tmp_path: Path
) -> None:
    results, other = tmp_path / "results/a", tmp_path / "results/b"
    words = {"tag": slurm.study_tag(results), "other": slurm.study_tag(other), "here": tmp_path}
    line = f"5|RUNNING|{name}|{place}|rule_train_prior".format(**words)
    answer(squeue, f"echo '{line}'; echo '6|RUNNING|x|/|something else'")
    expected = [slurm.LeftJob("5", "train_prior", "running")] if found else []
    assert slurm.left_jobs(results, tmp_path) == expected


def test_tag_is_a_name_that_slurm_takes(tmp_path: Path) -> None:
    tags = [slurm.study_tag(tmp_path / name) for name in ("a b/ä-1", "a b/ä-2", "x" * 300)]
    assert len(set(tags)) == 3 and all(slurm.TAG.match(f"{tag}_uuid") for tag in tags)
    assert all(tag.replace("_", "").replace("-", "").isalnum() and len(tag) < 50 for tag in tags)


@pytest.mark.parametrize("text", ["echo 'Unable to contact' >&2; exit 1", "exec sleep 5"])
def test_scheduler_without_an_answer_is_an_error(
    squeue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(slurm, "QUERY_SECONDS", 0.2)
    answer(squeue, text)
    with pytest.raises(InputError, match="did not list the running jobs"):
        slurm.left_jobs(tmp_path, tmp_path)
    slurm.note_end_time()
    assert slurm.end_time() is None, "without an answer the job has no end time"


def test_completing_job_is_waited_for(
    squeue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.01)
    asked = tmp_path / "asked"
    line = f"5|COMPLETING|x|{tmp_path}|rule_train_prior"
    answer(squeue, f"test -e {asked} || echo '{line}'; touch {asked}")
    assert slurm.remaining_jobs(tmp_path, tmp_path) == []


def test_job_that_does_not_end_is_reported(squeue: Path, tmp_path: Path) -> None:
    place = f"x|{tmp_path}|rule_train_prior"
    answer(squeue, f"echo '5|COMPLETING|{place}'; echo '6|RUNNING|{place}'")
    assert [job.number for job in slurm.remaining_jobs(tmp_path, tmp_path)] == ["5", "6"]
    answer(squeue, f"echo '5|COMPLETING|{place}'")
    assert [job.number for job in slurm.remaining_jobs(tmp_path, tmp_path, patience=0)] == ["5"]


def test_end_time_is_read_from_squeue(squeue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", "")
    answer(squeue, "echo 2024-05-31T10:00:00")
    slurm.note_end_time()
    end = slurm.end_time()
    assert end is not None and 1.7e9 < end < 1.72e9


# --- states that the executor plugin would misread ------------------------------------------------

LATE = slurm_states.SETTLING_SECONDS


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (["RUNNING", "COMPLETED"], "COMPLETED"),
        (["CANCELLED by 1000"], "CANCELLED"),  # what sacct says after scancel by a user
        (["CANCELLED+"], "CANCELLED"),
        (["PREEMPTED"], "PREEMPTED"),  # SLURM may requeue it
        (["PREEMPTED", "PENDING"], "PENDING"),  # and has
        (["PREEMPTED", "PENDING", "PREEMPTED"], "PREEMPTED"),  # again
        (["PREEMPTED", "PREEMPTED"], "CANCELLED"),  # PreemptMode=CANCEL
        (["NODE_FAIL"], "NODE_FAIL"),  # the plugin leaves the node out from now on
        (["NODE_FAIL", "NODE_FAIL"], "CANCELLED"),  # JobRequeue=0
        (["UNKNOWN"], None),  # as if it were not listed yet, and never a success
        (["UNKNOWN", "RUNNING"], "RUNNING"),
        (["UNKNOWN", "UNKNOWN"], "CANCELLED"),
        ([""], None),
    ],
)
def test_states_are_settled(seen: list[str], expected: str | None) -> None:
    cancelled: list[str] = []
    warnings: list[str] = []
    states = slurm_states.States(cancelled.append)
    for number, state in enumerate(seen):
        found = states.settled({"7": state}, LATE * number, warnings.append)
    assert found.get("7") == expected
    given_up = expected == "CANCELLED" and "CANCELLED" not in seen[0]
    # cancelled before its successor is submitted, so that two never write
    assert cancelled == (["7"] if given_up else []) and len(warnings) == len(cancelled)
    again = states.settled({"7": seen[-1]}, LATE * 9, warnings.append)
    assert len(warnings) <= 1 and (not given_up or again == {"7": "CANCELLED"})


def test_the_executor_reads_settled_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin's executor queries by the name that is replaced."""
    import snakemake_executor_plugin_slurm as plugin

    async def query(command: str, log: object) -> tuple[dict[str, str], float]:
        return {"7": "CANCELLED by 0", "8": "UNKNOWN"}, 0.1

    monkeypatch.setattr(plugin, "query_job_status", query)
    slurm_states.settle()
    log = logging.getLogger("test")
    assert asyncio.run(plugin.query_job_status("", log)) == ({"7": "CANCELLED"}, 0.1)
    assert "query_job_status" in plugin.Executor.check_active_jobs.__code__.co_names


def test_the_executor_asks_at_steady_intervals() -> None:
    import snakemake_executor_plugin_slurm as plugin

    class Executor(plugin.Executor):  # the patch stays in this class
        pass

    executor = object.__new__(Executor)
    settings = plugin.ExecutorSettings(init_seconds_before_status_checks=7)
    executor.workflow = SimpleNamespace(executor_settings=settings)
    slurm_states.ask_steadily(executor)
    for seconds, kept in ((7, 7), (17, 7), (180, 7), (1, 1)):
        executor.next_seconds_between_status_checks = seconds
        assert executor.next_seconds_between_status_checks == kept
