"""Progress lines."""

import io
import logging
from types import SimpleNamespace

import pytest

from ldae.workflow.attempts import Attempts
from ldae.workflow.progress import (
    ERROR_MARK,
    PlanHandler,
    ProgressHandler,
    expected_seconds,
    last_error,
    spell,
)


def event(name: str, **values) -> logging.LogRecord:
    record = logging.LogRecord("snakemake", logging.INFO, "", 0, "", None, None)
    record.__dict__.update(event=name, **values)
    return record


def test_durations_are_spelt_out():
    assert [spell(s) for s in (4.4, 250, 7500)] == ["4 s", "4 min 10 s", "2 h 05 min"]


def test_benchmarks_replace_expectations(tmp_path):
    table = tmp_path / "table.tsv"
    table.write_text("rule\tseconds\na\t5\nb\t7\n")
    benchmarks = tmp_path / "benchmarks"
    (benchmarks / "b").mkdir(parents=True)
    (benchmarks / "b" / "1.tsv").write_text("s\th:m:s\n10\t0\n")
    (benchmarks / "b" / "2.tsv").write_text("s\th:m:s\n20\t0\n")
    assert expected_seconds(table, benchmarks) == {"a": 5, "b": 15}
    assert expected_seconds(table, tmp_path / "absent") == {"a": 5, "b": 7}


def test_lines_count_jobs_and_estimate_the_remaining_time():
    stream = io.StringIO()
    handler = ProgressHandler({"a": 30.0, "b": 90.0}, stream=stream)
    handler.emit(event("run_info", stats={"a": 2, "b": 1, "all": 1, "total": 4}))
    handler.emit(event("job_info", jobid=1, rule_name="a", rule_msg="Doing a"))
    handler.emit(event("job_finished", job_id=1))
    handler.emit(event("job_info", jobid=0, rule_name="all", rule_msg=None))
    handler.close()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "[0/3 jobs, 0 s, about 2 min 30 s left] 3 jobs, about 2 min 30 s"
    assert "Doing a (a)" in lines[1]
    assert lines[2].startswith("[1/3 jobs") and "a done" in lines[2]
    assert len(lines) == 3


def test_parallel_jobs_shorten_the_first_estimate():
    stream = io.StringIO()
    handler = ProgressHandler({"a": 30.0}, side_by_side=2, stream=stream)
    handler.emit(event("run_info", stats={"a": 4}))
    handler.close()
    assert "about 1 min 00 s left" in stream.getvalue()


def test_message_of_a_failed_job_is_shown(tmp_path):
    log = tmp_path / "a.log"
    log.write_text(f"12:00 INFO x: y\n12:01{ERROR_MARK}.permanent: scans.tsv: is empty. Fill it.\n")
    stream = io.StringIO()
    handler = ProgressHandler({}, stream=stream)
    handler.emit(event("run_info", stats={"a": 1}))
    handler._running[1] = ("a", "a", handler._start - 60)
    handler.emit(event("job_error", jobid=1, rule_name="a", log=[str(log)]))
    handler.close()
    last = stream.getvalue().splitlines()[-1]
    assert last == f"Failed: a failed. scans.tsv: is empty. Fill it. Log: {log}"


def test_a_job_that_was_killed_has_the_state_of_the_scheduler():
    stream = io.StringIO()
    handler = ProgressHandler({}, stream=stream)
    # as the executor plugin for SLURM words it
    message = "SLURM-job '20' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason …"
    handler.emit(event("job_error", jobid=1, rule_name="a", rule_msg=message, log=["a.log"]))
    handler.close()
    last = stream.getvalue().splitlines()[-1]
    assert last == "Failed: a failed. SLURM reports TIMEOUT. Log: a.log"


def test_job_that_succeeded_on_retry_is_not_listed_as_failed():
    stream = io.StringIO()
    handler = ProgressHandler({}, stream=stream)
    handler.emit(event("job_error", jobid=1, rule_name="a", log=[]))
    handler.emit(event("job_finished", job_id=1))
    handler.close()
    assert "Failed:" not in stream.getvalue()


def test_plan_lists_the_resource_requests_of_every_job():
    stream = io.StringIO()
    asked = {"_cores": 8, "tmpdir": "x", "mem_mb": 100, "runtime": 5, "gpu": 1}
    handler = PlanHandler(stream)
    for title in ("Doing a", None):  # rules without a message show their resources themselves
        job = event("job_info", rule_name="a", rule_msg=title, threads=8, resources=asked)
        handler.emit(job)
    assert stream.getvalue() == "a: threads=8, mem_mb=100, runtime=5, gpu=1\n"


def test_log_of_an_earlier_job_is_ignored(tmp_path):
    log = tmp_path / "a.log"
    log.write_text(f"12:01{ERROR_MARK}.passing: old news\n")
    assert last_error(log, since=log.stat().st_mtime + 10) == ""
    assert last_error(tmp_path / "absent", since=0) == ""


@pytest.mark.parametrize(
    ("end", "further", "attempts"),
    [
        ("permanent: micro_batch: 16 scans at a time do not fit", False, None),
        ("permanent: scans.tsv: is empty", True, None),
        ("passing: It stopped before its time limit", True, [1, 2]),
        ("passing: OSError: the server is gone", False, [2, 3]),
        (None, True, [1, 2]),  # killed, after a checkpoint
        (None, False, [2, 3]),
    ],
)
def test_a_failure_counts_if_nothing_was_gained_and_ends_a_job_that_must_fail(
    tmp_path, end, further, attempts
):
    log = tmp_path / "results/logs/evaluate/seed-0.log"
    log.parent.mkdir(parents=True)
    job = SimpleNamespace(log=[str(log)], params={}, attempt=1, restart_times=20)
    handler = Attempts(SimpleNamespace(dag=SimpleNamespace(jobs=[job], jobid=lambda one: 7)))
    log.write_text(f"12:01{ERROR_MARK}.{end}\n" if end else "12:01 INFO ldae: working\n")
    if further:
        piece = tmp_path / "results/checkpoints/evaluate-seed-0/identity/piece.pickle"
        piece.parent.mkdir(parents=True)
        piece.touch()
    found = []
    for _ in range(2):  # the second attempt comes no further
        handler.emit(event("job_error", jobid=7))
        again = job.restart_times > job.attempt - 1
        job.attempt += again  # as Snakemake counts
        found.append(job.attempt)
    assert found == attempts if attempts else not again
