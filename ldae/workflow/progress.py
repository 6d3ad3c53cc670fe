"""Progress of the workflow and its remaining time, as lines on standard error.

A logging handler for Snakemake's logger receives the start and end of each job. The expected run
time of a rule is taken from benchmark files of an earlier run, or else from
``resources/expected_seconds.tsv``.
"""

from __future__ import annotations

import csv
import logging
import re
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

# The running jobs are reported after this time without any other line, seconds.
HEARTBEAT_SECONDS = 60.0

# The remaining time is estimated from the observed pace once this share of the work is done.
PACE_FROM_SHARE = 0.05

# Precedes the message of a failed job in its log; written by ldae.workflow.entry.
ERROR_MARK = " ERROR ldae.problem"
_MARKED = re.compile(re.escape(ERROR_MARK) + r"\.(permanent|passing): (.*)")

# How the executor plugin for SLURM says in which state a job ended.
SLURM_STATE = re.compile(r"SLURM status is: '(\w+)")

# Messages of Snakemake that the lines of this module replace.
REPLACED_EVENTS = frozenset(
    {"run_info", "job_info", "job_started", "job_finished", "progress", "resources_info"}
)

# Resources that Snakemake adds, or that only the workflow's own code reads.
INTERNAL_RESOURCES = frozenset(
    {"_cores", "_nodes", "tmpdir", "mem", "mem_mib", "disk", "disk_mb", "disk_mib",
     "checkpoint_minutes", "local_copy", "micro_batch"}
)  # fmt: skip

# Expected seconds of a rule that is not listed: the time to start Python and plot a figure.
DEFAULT_SECONDS = 10.0


def expected_seconds(table: Path, benchmarks: Path) -> dict[str, float]:
    """Expected run time in seconds of one job of each rule.

    Parameters
    ----------
    table
        Default values: columns ``rule`` and ``seconds``.
    benchmarks
        Folder with Snakemake's benchmark files ``<rule>.tsv`` or ``<rule>/<case>.tsv``; the mean
        over the files of a rule replaces its default.
    """
    seconds: dict[str, float] = {}
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            seconds[row["rule"]] = float(row["seconds"])
    measured: dict[str, list[float]] = {}
    for path in sorted(benchmarks.rglob("*.tsv")):
        rule = path.relative_to(benchmarks).with_suffix("").parts[0]
        with path.open(newline="", encoding="utf-8") as file:
            rows = [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
        measured.setdefault(rule, []).extend(rows)
    seconds.update({rule: sum(all_) / len(all_) for rule, all_ in measured.items() if all_})
    return seconds


def spell(seconds: float) -> str:
    """Duration as text: ``45 s``, ``4 min 10 s``, ``2 h 05 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def replace_messages(logger: logging.Logger, progress: ProgressHandler) -> None:
    """Replace Snakemake's own lines about jobs on standard error by those of `progress`.

    Snakemake's log file under ``.snakemake/log`` still contains all of them.
    """
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(_is_not_replaced)
    logger.addHandler(progress)


def _is_not_replaced(record: logging.LogRecord) -> bool:
    return str(getattr(record, "event", None) or "") not in REPLACED_EVENTS


def hide_traces(logger: logging.Logger) -> None:
    """Hide Snakemake's trace of a failed script, so that the script's own message is visible."""
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(_is_not_trace)


def _is_not_trace(record: logging.LogRecord) -> bool:
    event = str(getattr(record, "event", None) or "")
    failed_script = event == "error" and "CalledProcessError" in record.getMessage()
    return event != "job_error" and not failed_script


class PlanHandler(logging.Handler):
    """Logging handler that prints the resource requests of each job in a dry run.

    Parameters
    ----------
    stream
        Stream on which the plan is printed.
    """

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        super().__init__(logging.INFO)
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Print the resource requests if the event of Snakemake announces a job."""
        if str(getattr(record, "event", None) or "") == "job_info" and record.rule_msg:  # type: ignore[attr-defined]
            asked = {"threads": record.threads}  # type: ignore[attr-defined]
            asked |= dict(record.resources.items())  # type: ignore[attr-defined]
            shown = [f"{k}={v}" for k, v in asked.items() if k not in INTERNAL_RESOURCES]
            self._stream.write(f"{record.rule_name}: {', '.join(shown)}\n")  # type: ignore[attr-defined]


def last_error(log: Path, since: float) -> str:
    """Message that :mod:`ldae.workflow.entry` wrote to the log of a failed job; empty if none.

    Parameters
    ----------
    log
        Log file of the job.
    since
        Start time of the job, seconds since 1970. An older log file belongs to an earlier job and
        is ignored.
    """
    if not log.is_file() or log.stat().st_mtime < since:
        return ""
    return _marked(log)[1]


def is_permanent(log: Path, since: float) -> bool:
    """Whether a failed job's log ends with an error that another attempt would meet again.

    Parameters
    ----------
    log, since
        As for :func:`last_error`.
    """
    return log.is_file() and log.stat().st_mtime >= since and _marked(log)[0] == "permanent"


def _marked(log: Path) -> tuple[str, str]:
    """Kind and message of the error that a log ends with; empty if it ends otherwise."""
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line]
    found = _MARKED.search(lines[-1]) if lines else None
    return (found[1], found[2]) if found else ("", "")


def scheduler_state(record: logging.LogRecord) -> str:
    """How SLURM says that a job ended, of the event of its failure; empty if it says nothing.

    A job that reached its time limit or took too much memory may be killed before it writes why.
    """
    found = SLURM_STATE.search(str(getattr(record, "rule_msg", None) or ""))
    return f"SLURM reports {found[1]}." if found else ""


class ProgressHandler(logging.Handler):
    """Logging handler that prints lines like ``[12/61 jobs, 4 min 10 s, about 9 min left] …``.

    Parameters
    ----------
    expected
        Expected seconds per job of each rule.
    side_by_side
        Number of jobs that usually run at the same time.
    stream
        Stream on which the lines are printed.
    """

    def __init__(
        self, expected: dict[str, float], side_by_side: int = 1, stream: TextIO = sys.stderr
    ) -> None:
        super().__init__(logging.INFO)
        self._expected = expected
        self._side_by_side = side_by_side
        self._stream = stream
        self._counts: dict[str, int] = {}
        self._finished: list[str] = []
        self._running: dict[int, tuple[str, str, float]] = {}
        self._failed: dict[int, str] = {}
        self._start = time.monotonic()
        self._last_line = self._start
        self._over = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Process one event of Snakemake; see snakemake-interface-logger-plugins."""
        event = str(getattr(record, "event", None) or "")
        if event == "run_info":
            self._begin(record.stats)  # type: ignore[attr-defined]
        elif event == "job_info":
            self._job_started(record)
        elif event == "job_finished":
            self._job_finished(int(record.job_id))  # type: ignore[attr-defined]
        elif event == "job_error":
            self._job_failed(record)

    def close(self) -> None:
        """Stop the heartbeat, and list the failed jobs with the paths of their logs."""
        self._over.set()
        for text in self._failed.values():
            self._stream.write(f"Failed: {text}\n")
        self._failed.clear()
        self._stream.flush()
        super().close()

    def remaining(self) -> float:
        """Estimated remaining seconds, from the expected run times and the pace so far."""
        elapsed = time.monotonic() - self._start
        total = sum(self._of(rule) * n for rule, n in self._counts.items())
        done = sum(self._of(rule) for rule in self._finished)
        for rule, _, since in list(self._running.values()):
            done += min(time.monotonic() - since, 0.95 * self._of(rule))
        if not total or not elapsed:
            return 0.0
        pace = done / elapsed if done > PACE_FROM_SHARE * total else self._side_by_side
        return (total - done) / pace

    def _of(self, rule: str) -> float:
        return self._expected.get(rule, DEFAULT_SECONDS)

    def _begin(self, counts: dict[str, int]) -> None:
        self._counts = {rule: n for rule, n in counts.items() if rule not in ("all", "total")}
        self._start = time.monotonic()
        self._say(f"{sum(self._counts.values())} jobs, about {spell(self.remaining())}")
        threading.Thread(target=self._beat, daemon=True).start()

    def _job_started(self, record: logging.LogRecord) -> None:
        rule = str(record.rule_name)  # type: ignore[attr-defined]
        if rule in self._counts:
            title = str(getattr(record, "rule_msg", None) or rule)
            number = int(record.jobid)  # type: ignore[attr-defined]
            self._running[number] = (rule, title, time.monotonic())
            self._say(f"{title} ({rule})")

    def _job_finished(self, number: int) -> None:
        rule, _, since = self._running.pop(number, ("", "", 0.0))
        self._failed.pop(number, None)
        if rule:
            self._finished.append(rule)
            self._say(f"{rule} done in {spell(time.monotonic() - since)}")

    def _job_failed(self, record: logging.LogRecord) -> None:
        number, logs = int(record.jobid), list(record.log)  # type: ignore[attr-defined]
        rule, _, since = self._running.pop(number, (str(record.rule_name), "", 0.0))  # type: ignore[attr-defined]
        since_epoch = time.time() - (time.monotonic() - since)
        problem = last_error(Path(logs[0]), since_epoch) if logs else ""
        problem = problem or scheduler_state(record) or "There is no message."
        text = f"{rule} failed. {problem} Log: {', '.join(logs)}"
        self._failed[number] = text
        self._say(text)

    def _say(self, text: str) -> None:
        total = sum(self._counts.values())
        elapsed = spell(time.monotonic() - self._start)
        left = f"about {spell(self.remaining())} left" if self._counts else ""
        line = f"[{len(self._finished)}/{total} jobs, {elapsed}, {left}] {text}\n"
        self._last_line = time.monotonic()
        self._stream.write(line)
        self._stream.flush()

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            if time.monotonic() - self._last_line >= HEARTBEAT_SECONDS and self._running:
                self._say("running: " + ", ".join(rule for rule, _, _ in self._running.values()))
