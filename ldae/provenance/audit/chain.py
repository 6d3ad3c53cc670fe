"""Check that every figure and table is traceable to raw scans through consistent jobs."""

from __future__ import annotations

from collections.abc import Iterator

from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.study import Study
from ldae.provenance.history import FileState, Job, Status
from ldae.provenance.payload import is_raw_image
from ldae.provenance.places import RESULTS


def check_chain(study: Study) -> Check:
    """Follow every link from the figures and tables to the raw scans."""
    findings: list[Finding] = []
    n_links = 0
    for job in study.chain:
        for file in job.inputs:
            n_links += 1
            findings += _check_link(study, job, file)
    findings += _without_scans(study)
    if not study.history.targets:
        expected = "records of figures and tables"
        findings.append(Finding(Level.UNCHECKED, "records", expected, "none yet"))
    looked_at = f"{len(study.history.targets)} figures and tables, {n_links:,} links"
    return Check("chain", looked_at, tuple(findings))


def _check_link(study: Study, job: Job, file: FileState) -> Iterator[Finding]:
    """Check one input of a job: a job wrote it with these bytes, and no job changed it later."""
    history = study.history
    affected = history.targets_of([job])
    read = f"sha256 {file.sha256}, read by {job.case} {job.id}"
    writer = history.source(job, file)
    if writer is None:
        if file.path.startswith(f"{RESULTS}/"):
            yield Finding(
                Level.ERROR,
                file.path,
                f"a record of the job that wrote it ({read})",
                "none",
                affected,
            )
        return
    left = writer.written[file.path]
    if left != file:
        yield Finding(
            Level.ERROR,
            file.path,
            read,
            f"sha256 {left.sha256}, written by {writer.case} {writer.id}: changed in between",
            affected,
        )
        return
    last = history.state(file.path)
    if last is not None and last != file:
        maker = history.producer(file.path)
        by = f"{maker.case} {maker.id}" if maker else "a job"
        yield Finding(
            Level.ERROR,
            file.path,
            read,
            f"sha256 {last.sha256}, written by {by}: results of the older file are out of date",
            affected,
        )


def _without_scans(study: Study) -> Iterator[Finding]:
    """Figures and tables that are not derived from any raw scan."""
    for target in study.history.targets:
        jobs = study.history.ancestors(target)
        files = (file for job in jobs for file in (*job.inputs, *job.outputs))
        if not any(is_raw_image(file.path) for file in files):
            yield Finding(Level.ERROR, target, "a chain from raw scans", "none", (target,))


def check_attempts(study: Study) -> Check:
    """Find attempts that failed or never ended, unless a later one of the same case completed."""
    last = {job.case: job for job in study.history.current}
    findings = []
    for job in _last_attempts(study):
        completed = last.get(job.case)
        after = f"nothing after the completed attempt {completed.id}" if completed else ""
        findings.append(
            Finding(
                Level.WARNING,
                f"records/{job.case}/{job.id}",
                after or "a completed attempt",
                f"an attempt that {_outcome(job)}: outputs may be missing",
                study.history.targets_of([completed] if completed else []),
            )
        )
    counts = {s: sum(job.status is s for job in study.history.jobs) for s in Status}
    looked_at = ", ".join(f"{n:,} {status}" for status, n in counts.items() if n)
    return Check("attempts", looked_at or "none", tuple(findings))


def _last_attempts(study: Study) -> list[Job]:
    """Attempts that did not complete and are the last ones of their cases."""
    last = {job.case: job for job in study.history.jobs}
    return [job for job in last.values() if job.status is not Status.COMPLETED]


def _outcome(job: Job) -> str:
    return "never ended" if job.status is Status.UNENDED else "failed"
