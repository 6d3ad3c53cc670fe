"""Comparison of the records with their seals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ldae.errors import InputError
from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.study import Study
from ldae.provenance.history import RECORDS, STARTED_SUFFIX
from ldae.provenance.seal import SEALS, Seal, digest_of, read_seals, unsealed_records

# A record that ended longer than this before the last seal was made should be in a seal; otherwise
# it was added later. The margin allows for differences between clocks and for slow file systems.
LATE = timedelta(minutes=10)


def check_records(study: Study, digest: str | None, without: Sequence[str]) -> Check:
    """Compare every record with the seals, and the seals with each other.

    Parameters
    ----------
    study
        The study.
    digest
        Digest that was noted at the end of a run; one of the seals must have it.
    without
        Rules whose records need not be sealed yet.
    """
    findings = [
        Finding(Level.ERROR, name, "a record", reason)
        for name, reason in study.history.unreadable.items()
    ]
    try:
        seals = read_seals(study.results)
    except InputError as error:
        findings.append(Finding(Level.ERROR, _name(study, error.source), "a seal", error.problem))
        return Check("records", "no seals", tuple(findings))
    findings += _check_seals(seals, digest)
    sealed = {name: (sha256, seal) for seal in seals for name, sha256 in seal.records.items()}
    findings += _check_sealed(study, sealed)
    unsealed = [
        name
        for name in unsealed_records(study.results, seals)
        if name.partition("/")[0] not in without
    ]
    findings += _check_unsealed(study, unsealed, seals)
    looked_at = f"{len(sealed) + len(unsealed):,} records, {len(seals)} seals"
    return Check("records", looked_at, tuple(findings))


def _check_seals(seals: list[Seal], digest: str | None) -> Iterator[Finding]:
    previous = None
    for position, seal in enumerate(seals, 1):
        name = f"{SEALS.as_posix()}/{seal.number:06d}.json"
        if seal.number != position:
            yield Finding(Level.ERROR, name, f"seal {position}", f"seal {seal.number}")
        elif seal.previous != previous:
            yield Finding(
                Level.ERROR,
                name,
                f"a link to the previous seal, sha256 {previous}",
                f"a link to sha256 {seal.previous}: a seal was changed or removed",
            )
        previous = seal.digest
    if digest and digest not in {seal.digest for seal in seals}:
        last = seals[-1].digest if seals else "none"
        yield Finding(
            Level.ERROR,
            SEALS.as_posix(),
            f"a seal with the noted sha256 {digest}",
            f"none; the last is {last}: seals were replaced, or this is another study",
        )


def _check_sealed(study: Study, sealed: dict[str, tuple[str, Seal]]) -> Iterator[Finding]:
    affected = {job.id: study.history.targets_of([job]) for job in study.history.jobs}
    for name, (sha256, seal) in sorted(sealed.items()):
        path = study.results / RECORDS / name
        found = f"sha256 {digest_of(path)}" if path.is_file() else "no such file"
        if found != f"sha256 {sha256}":
            job = path.stem.removesuffix(STARTED_SUFFIX)
            yield Finding(
                Level.ERROR,
                f"{RECORDS}/{name}",
                f"sha256 {sha256} as in seal {seal.number}",
                found,
                affected.get(job, ()),
            )


def _check_unsealed(study: Study, names: list[str], seals: list[Seal]) -> Iterator[Finding]:
    """Report unsealed records.

    Records newer than the last seal belong to a run that was killed or is still running; older ones
    were added later.
    """
    late = [name for name in names if seals and _is_late(study, name, seals[-1])]
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


def _is_late(study: Study, name: str, seal: Seal) -> bool:
    try:
        record = json.loads((study.results / RECORDS / name).read_bytes())
        time = datetime.fromisoformat(record.get("end") or record["start"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False  # unreadable records are reported separately
    return time + LATE < seal.made


def _name(study: Study, source: str | Path) -> str:
    path = Path(source)
    inside = path.is_relative_to(study.results)
    return (path.relative_to(study.results) if inside else path).as_posix()
