"""What a study's plan asks the scheduler for, and whether a partition can give it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ldae.workflow.doctor.findings import Check, Finding, problem
from ldae.workflow.doctor.scheduler import Partition, spell_minutes
from ldae.workflow.gpu import number_asked

PLAN_SECONDS = 600.0
REQUEST = re.compile(r"^(\w+): (threads=.*)$", re.MULTILINE)
MOST_RULES = 6
"""Rules that are named one by one; the others are counted together."""


@dataclass(frozen=True)
class Request:
    """What one job asks for.

    Attributes
    ----------
    rule
        Its rule.
    minutes, mem_mb, threads, gpus
        Of the job.
    partition
        Named partition; empty for the default one.
    """

    rule: str
    minutes: int
    mem_mb: int
    threads: int
    gpus: int
    partition: str


def plan_checks(command: Sequence[str], found: Sequence[Partition]) -> dict[str, Check]:
    """Check of what the plan asks for.

    Parameters
    ----------
    command
        Command line of Snakemake's dry run with resources (``--profile slurm``).
    found
        Partitions of this cluster; empty where there is none.
    """

    def check() -> Iterator[Finding]:
        done = subprocess.run(
            [sys.executable, "-m", *command], capture_output=True, text=True, check=False,
            timeout=PLAN_SECONDS,
        )  # fmt: skip
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
            error = next((line for line in lines if line.startswith("Error: ")), lines[-1])
            yield problem("plan", error.removeprefix("Error: "), "Correct it, and look again")
            return
        asked = read_requests(done.stdout)
        yield from describe_requests(asked)
        yield from beyond_limits(asked, found)

    return {"plan": check}


def read_requests(output: str) -> list[Request]:
    """Requests of the jobs in a dry run (:class:`ldae.workflow.progress.PlanHandler`)."""
    found = []
    for rule, text in REQUEST.findall(output):
        pairs = (pair.partition("=") for pair in text.split(", "))
        values = {name: value for name, _, value in pairs}
        gpus = {name: values[name] for name in ("gpu", "gres") if name in values}
        found.append(
            Request(
                rule=rule,
                minutes=int(values.get("runtime", 0)),
                mem_mb=int(values.get("mem_mb", 0)),
                threads=int(values["threads"]),
                gpus=number_asked(gpus),
                partition=values.get("slurm_partition", ""),
            )
        )
    return found


def describe_requests(asked: Sequence[Request]) -> Iterator[Finding]:
    """Jobs by rule, and the largest requests."""
    if not asked:
        yield Finding("plan", "nothing to be done")
        return
    counts = {
        rule: sum(r.rule == rule for r in asked) for rule in dict.fromkeys(r.rule for r in asked)
    }
    ordered = sorted(counts, key=lambda rule: -counts[rule])
    rest = sum(counts[rule] for rule in ordered[MOST_RULES:])
    words = [f"{counts[rule]} {rule}" for rule in ordered[:MOST_RULES]]
    words += [f"{rest} of {len(ordered) - MOST_RULES} more rules"] if rest else []
    yield Finding("plan", f"{len(asked)} jobs: {', '.join(words)}")
    longest, largest = max(asked, key=lambda r: r.minutes), max(asked, key=lambda r: r.mem_mb)
    widest = max(asked, key=lambda r: r.threads)
    on_gpu = [r for r in asked if r.gpus]
    yield Finding(
        "largest",
        f"{spell_minutes(longest.minutes)} ({longest.rule}), {largest.mem_mb / 1000:.0f} GB "
        f"({largest.rule}), {widest.threads} CPUs ({widest.rule}); {len(on_gpu)} jobs with a GPU, "
        f"{max((r.gpus for r in on_gpu), default=0)} at most",
    )


def beyond_limits(asked: Iterable[Request], found: Sequence[Partition]) -> Iterator[Finding]:
    """Requests that no node of their partition can give, once for each rule and kind."""
    by_name = {one.name: one for one in found}
    default = next((one for one in found if one.default), None)
    seen: set[tuple[str, str]] = set()
    for request in sorted(asked, key=lambda r: (-r.minutes, -r.mem_mb)):
        place = by_name.get(request.partition) if request.partition else default
        if place is None:
            key = (request.partition, "partition")
            if request.partition and found and key not in seen:
                seen.add(key)
                remedy = f"Name one of {', '.join(by_name)}"
                yield problem("partition", f"there is no partition {request.partition}", remedy)
            continue
        for kind, text, remedy in _excesses(request, place):
            if (request.rule, kind) not in seen:
                seen.add((request.rule, kind))
                yield problem("limits", f"{request.rule} asks for {text}", remedy)


def _excesses(request: Request, place: Partition) -> Iterator[tuple[str, str, str]]:
    """Kind, text and remedy of what a partition cannot give."""
    rule, name = request.rule, place.name
    if request.minutes > place.minutes:
        text = f"{spell_minutes(request.minutes)}, {name} allows {spell_minutes(place.minutes)}"
        yield "time", text, f"site: {{max_minutes: {place.minutes:.0f}}} in the settings"
    if place.mem_mb and request.mem_mb > place.mem_mb:
        text = f"{request.mem_mb} MB, a node of {name} has {place.mem_mb}"
        yield "memory", text, f"site: {{max_memory_mb: {place.mem_mb}}} in the settings"
    if place.cpus and request.threads > place.cpus:
        text = f"{request.threads} CPUs, a node of {name} has {place.cpus}"
        yield "threads", text, f"set-threads: {{{rule}: {place.cpus}}} in the site's profile"
    if request.gpus and not place.gpus:
        text = f"a GPU, and {name} has none"
        yield "gpu", text, "gpu: {partition: NAME} in the settings, with a partition that has GPUs"
