"""What a study took: attempts, failures, time and memory of its jobs, from their records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ldae.provenance.history import History, Job, Status
from ldae.provenance.wording import describe_seconds
from ldae.wording import counted

MIB_PER_GIB = 1024
SECONDS_PER_HOUR = 3600
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class RuleEffort:
    """What all jobs of one rule took.

    Attributes
    ----------
    rule
        Its name.
    jobs, attempts
        Cases, and how often they were started in all.
    failed
        Attempts that failed or never ended.
    seconds, longest
        Sum over all attempts that ended, and the longest one.
    memory_gib
        Largest peak of a process or of its largest child.
    gpu_gib, gpu_hours
        Largest peak, and the time with a GPU; 0 without one.
    """

    rule: str
    jobs: int
    attempts: int
    failed: int
    seconds: float
    longest: float
    memory_gib: float
    gpu_gib: float
    gpu_hours: float


@dataclass(frozen=True)
class Problem:
    """An attempt that failed or never ended: its rule and case, when, and why."""

    case: str
    when: str
    reason: str
    repeated: bool
    """Whether a later attempt at the same job completed."""


@dataclass(frozen=True)
class Effort:
    """What a study took, rule by rule, the slowest first, and the attempts that failed."""

    rules: tuple[RuleEffort, ...]
    problems: tuple[Problem, ...]

    @property
    def sentence(self) -> str:
        """The whole in words."""
        attempts = sum(rule.attempts for rule in self.rules)
        jobs = sum(rule.jobs for rule in self.rules)
        seconds = sum(rule.seconds for rule in self.rules)
        gpu = sum(rule.gpu_hours for rule in self.rules)
        memory = max((rule.memory_gib for rule in self.rules), default=0.0)
        retries = "none failed" if not self.problems else f"{len(self.problems)} failed"
        return (
            f"Before this page, {counted(jobs, 'job')} ran in {counted(attempts, 'attempt')}, of "
            f"which {retries}. They took {describe_seconds(seconds)} of computing in all"
            f"{f', {gpu:.1f} GPU hours' if gpu else ', without a GPU'}, and at most "
            f"{memory:.1f} GiB of memory in one job."
        )


def describe_effort(history: History, running: str = "") -> Effort:
    """Sum up a study's jobs.

    Parameters
    ----------
    history
        History of the study.
    running
        Case of the job that asks. Its last attempt, which has not ended yet, is left out.
    """
    unended = [j for j in history.jobs if j.case == running and j.status is Status.UNENDED]
    own = max(unended, key=lambda job: job.start, default=None)
    attempts = [job for job in history.jobs if job is not own]
    jobs: dict[str, list[Job]] = defaultdict(list)
    for job in attempts:
        jobs[job.rule].append(job)
    rules = sorted((_rule(name, of) for name, of in jobs.items()), key=lambda rule: -rule.seconds)
    done = {job.case: job for job in history.current}
    problems = [
        Problem(
            job.case,
            f"{job.start:%Y-%m-%d %H:%M}",
            _reason(job),
            job.case in done and done[job.case].start > job.start,
        )
        for job in attempts
        if job.status is not Status.COMPLETED
    ]
    return Effort(tuple(rules), tuple(problems))


def _rule(name: str, jobs: Sequence[Job]) -> RuleEffort:
    seconds = [float(job.record.get("wall_seconds") or 0.0) for job in jobs]
    memory = [job.record.get("peak_memory") or {} for job in jobs]
    on_gpu = [(job.record.get("device") or {}).get("kind") == "cuda" for job in jobs]
    return RuleEffort(
        rule=name,
        jobs=len({job.case for job in jobs}),
        attempts=len(jobs),
        failed=sum(job.status is not Status.COMPLETED for job in jobs),
        seconds=sum(seconds),
        longest=max(seconds),
        memory_gib=max(
            max(float(m.get(k) or 0.0) for k in ("process_mib", "child_mib")) for m in memory
        )
        / MIB_PER_GIB,
        gpu_gib=max(float(m.get("gpu_mib") or 0.0) for m in memory) / MIB_PER_GIB,
        gpu_hours=sum(s for s, used in zip(seconds, on_gpu, strict=True) if used)
        / SECONDS_PER_HOUR,
    )


def _reason(job: Job) -> str:
    """The first line of an attempt's error."""
    if job.status is Status.UNENDED:
        return "never ended: killed, or the machine stopped"
    error = job.record.get("error")
    text = str(error.get("message", error) if isinstance(error, dict) else error or "no reason")
    return text.splitlines()[0][:300]
