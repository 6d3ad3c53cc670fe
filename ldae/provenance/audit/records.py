"""Comparison of the records with their seals, and of the page with its seal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from ldae.errors import InputError
from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.study import Study
from ldae.provenance.history import RECORDS, REPORT, STARTED_SUFFIX, Job, Status
from ldae.provenance.places import RESULTS
from ldae.provenance.seal import (
    SEALS,
    Seal,
    page_digest,
    page_of,
    plain_digest,
    read_seals,
    unsealed_records,
)
from ldae.provenance.signature import signed_by

NAME = "records"
PAGE = f"{RESULTS}/{REPORT}"
# A record that ended longer than this before the last seal was made should be in a seal; otherwise
# it was added later. The margin allows for differences between clocks and for slow file systems.
LATE = timedelta(minutes=10)


def check_records(
    study: Study, noted: str | None, without: Sequence[str], signers: Path | None = None
) -> Check:
    """Compare every record with the seals, and the seals with each other.

    Parameters
    ----------
    study
        The study.
    noted
        Digest that was noted at the end of a run, perhaps shortened; a seal must have it, and
        records after that seal are reported.
    without
        Rules whose records need not be sealed yet.
    signers
        List of allowed signers: the last seal that one of them signed counts as noted.
    """
    history = study.history
    findings = [
        Finding(Level.ERROR, name, "a record", reason)
        for name, reason in history.unreadable.items()
    ]
    findings += [
        Finding(Level.ERROR, name, "what the record of the start has", f"other {fields}")
        for name, fields in history.contradictions.items()
    ]
    try:
        seals = read_seals(study.results)
    except InputError as error:
        findings.append(Finding(Level.ERROR, _name(study, error.source), "a seal", error.problem))
        return Check(NAME, "no seals", tuple(findings))
    findings += _check_seals(seals)
    sealed = {name: (sha256, seal) for seal in seals for name, sha256 in seal.records.items()}
    findings += _check_sealed(study, sealed)
    unsealed = [
        name
        for name in unsealed_records(study.results, seals)
        if name.partition("/")[0] not in without
    ]
    findings += _check_unsealed(study, unsealed, seals)
    page_seal, faults = _check_page(study, seals)
    findings += faults
    looked_at = f"{len(sealed) + len(unsealed):,} records, {len(seals)} seals"
    known = [plain_digest(noted)] if noted else []
    if signers is not None:
        signed, faults = _check_signatures(study, seals, signers)
        findings += faults
        if signed:
            seal, name = signed
            known.append(seal.digest)
            looked_at += f", seal {seal.number} signed by {name}"
    for digest in known:
        findings += _check_noted(study, digest, seals, unsealed, page_seal)
    return Check(NAME, looked_at, tuple(findings))


def _check_seals(seals: list[Seal]) -> Iterator[Finding]:
    previous = None
    for position, seal in enumerate(seals, 1):
        if seal.number != position:
            yield Finding(Level.ERROR, seal.name, f"seal {position}", f"seal {seal.number}")
        elif seal.previous != previous:
            yield Finding(
                Level.ERROR,
                seal.name,
                f"a link to the previous seal, sha256 {previous}",
                f"a link to sha256 {seal.previous}: a seal was changed or removed",
            )
        previous = seal.digest


def _check_sealed(study: Study, sealed: Mapping[str, tuple[str, Seal]]) -> Iterator[Finding]:
    affected = {job.id: study.history.targets_of([job]) for job in study.history.jobs}
    for name, (sha256, seal) in sorted(sealed.items()):
        digest = study.history.digests.get(name)
        if digest != sha256:
            found = f"sha256 {digest}" if digest else "no such file, or it is not readable"
            yield Finding(
                Level.ERROR,
                f"{RECORDS}/{name}",
                f"sha256 {sha256} as in seal {seal.number}",
                found,
                affected.get(_job_id(name), ()),
            )


def _check_unsealed(study: Study, names: list[str], seals: list[Seal]) -> Iterator[Finding]:
    """Report unsealed records.

    Records newer than the last seal belong to a run that was killed or is still running; older ones
    were added later. A page is built after its job has sealed the records, so a study with a page
    has a seal.
    """
    if not seals and study.history.producer(PAGE) is not None:
        found = "none: they were removed"
        yield Finding(
            Level.ERROR, SEALS.as_posix(), "the seal made before the report", found, (PAGE,)
        )
    jobs = {job.id: job for job in study.history.jobs}
    late = [name for name in names if seals and _is_late(jobs.get(_job_id(name)), seals[-1])]
    for name in late:
        yield Finding(
            Level.ERROR,
            f"{RECORDS}/{name}",
            f"listed in seal {seals[-1].number}, which is newer",
            "not listed: the record was added later than its own time",
        )
    others = [name for name in names if name not in late]
    if others:
        yield Finding(
            Level.WARNING,
            RECORDS,
            "a seal of every record",
            f"{len(others)} unsealed records of a run that was killed or is still running; "
            "the next run seals them, or: python -m ldae seal",
        )


def _is_late(job: Job | None, seal: Seal) -> bool:
    """Whether a record should be in a seal; unreadable records are reported separately."""
    return job is not None and (job.end or job.start) + LATE < seal.made


def _check_page(study: Study, seals: list[Seal]) -> tuple[Seal | None, list[Finding]]:
    """The seal that covers the page, if the page is still what was sealed, and what is wrong."""
    job = study.history.producer(PAGE)
    if job is None or "format" not in job.record:  # earlier pages show an older seal
        return None, []
    made = [seal for seal in seals if seal.page is not None]
    if not made:
        found = "none: it was removed"
        return None, [Finding(Level.ERROR, PAGE, "a seal of the page", found, (PAGE,))]
    seal = made[-1]
    try:
        digest = page_digest(page_of(study.results), seal)
    except OSError as error:
        digest = f"of no file ({error.strerror or error})"
    if digest == seal.page:
        return seal, []
    expected = f"sha256 {seal.page} without its digest, as in seal {seal.number}"
    return None, [Finding(Level.ERROR, PAGE, expected, f"sha256 {digest}", (PAGE,))]


def _check_signatures(
    study: Study, seals: list[Seal], signers: Path
) -> tuple[tuple[Seal, str] | None, list[Finding]]:
    """The last seal with a signature and who signed it, and what is wrong with signatures."""
    last: tuple[Seal, str] | None = None
    faults = []
    for seal in seals:
        try:
            name = signed_by(study.results, seal, signers)
        except ValueError as error:
            faults.append(Finding(Level.ERROR, seal.name, "an allowed signature", str(error)))
            continue
        if name is not None:
            last = (seal, name)
    if last is None:
        expected = f"a seal that is signed by one of {signers.name}"
        faults.append(Finding(Level.ERROR, SEALS.as_posix(), expected, "none"))
    return last, faults


def _check_noted(
    study: Study, digest: str, seals: list[Seal], unsealed: list[str], page_seal: Seal | None
) -> Iterator[Finding]:
    """Find the seal with a noted digest, and report what came after it."""
    matching = [seal for seal in seals if seal.digest.startswith(digest)]
    if len(matching) != 1:
        last = seals[-1].digest if seals else "none"
        found = f"{len(matching)} seals" if matching else f"none; the last is {last}"
        yield Finding(
            Level.ERROR,
            SEALS.as_posix(),
            f"a seal with the noted sha256 {digest}",
            f"{found}: seals were replaced, or this is another study",
        )
        return
    (noted,) = matching
    later = [*(n for seal in seals if seal.number > noted.number for n in seal.records), *unsealed]
    jobs = _jobs_of(study, later)
    covered = page_seal is not None and page_seal.number <= noted.number
    own = study.history.producer(PAGE)
    standing = [job for job in jobs if not (covered and job is own and _wrote_only_page(job))]
    targets = study.history.targets_of(standing)
    for target in targets:
        behind = {job.id for job in study.history.ancestors(target)}
        some = [job for job in standing if job.id in behind]
        yield Finding(
            Level.ERROR,
            target,
            f"records in seal {noted.number}, which was noted or signed, or before it",
            f"later records of jobs behind it: {some[0].case} {some[0].id}"
            + (f" and {len(some) - 1} more" if some[1:] else ""),
            (target,),
        )
    if later:
        found = f"{len(later):,} later record files, such as {later[0]}"
        found += "" if targets else "; no figure or table depends on one"
        expected = f"no record after seal {noted.number}, which was noted or signed"
        yield Finding(Level.UNCHECKED, RECORDS, expected, found)


def _jobs_of(study: Study, names: list[str]) -> list[Job]:
    """Completed jobs with any of the given records."""
    ids = {_job_id(name) for name in names}
    jobs = study.history.jobs
    return [job for job in jobs if job.id in ids and job.status is Status.COMPLETED]


def _wrote_only_page(job: Job) -> bool:
    return [file.path for file in job.outputs] == [PAGE]


def _job_id(name: str) -> str:
    return Path(name).stem.removesuffix(STARTED_SUFFIX)


def _name(study: Study, source: str | Path) -> str:
    path = Path(source)
    inside = path.is_relative_to(study.results)
    return (path.relative_to(study.results) if inside else path).as_posix()
