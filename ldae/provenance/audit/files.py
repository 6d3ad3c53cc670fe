"""Comparison of every file with its state in the records."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.snakemake_metadata import Metadata
from ldae.provenance.audit.study import Study
from ldae.provenance.hashing import DigestCache, Found, Progress, hash_files
from ldae.provenance.history import RECORDS, REPORT, TARGET_FOLDERS, VIEWER, FileState, Job
from ldae.provenance.places import BIDS, RESULTS

# Folders and files that hold results, each of which must have a record.
TARGETS = (*TARGET_FOLDERS, REPORT, VIEWER, "config.yaml")
# Folders and files of a study that no record covers, with the reason. No number comes from them.
NOT_COVERED = {
    "records": "covered by the seals",
    "provenance": "the seals themselves, and verdicts of audits, which can be made again",
    "logs": "still written to when the record of a job is made",
    "benchmarks": "written by Snakemake after the record of a job",
    "checkpoints": "states of unfinished jobs, removed when they end; weights are recorded",
    "crate": "an export of what is checked here; ldae verify checks it",
    "README.md": "comes with the code",
    "cohort_faults.tsv": "faults of a cohort that could not be read, for the user",
}
# Files that are looked at together: their paths take more memory than their records.
CHUNK = 8192


class Unknown(Enum):
    """State of a file whose folder is not known on this machine."""

    FOLDER = "folder"


UNKNOWN = Unknown.FOLDER
# Largest accepted difference between the clocks of nodes and file servers.
CLOCK_SECONDS = 120.0


def check_files(
    study: Study, metadata: Metadata, n_threads: int, cache: DigestCache | None
) -> Check:
    """Hash every input, intermediate and output, and compare with the records.

    Parameters
    ----------
    study
        The study.
    metadata
        Snakemake's metadata of its outputs.
    n_threads
        Number of files to hash at a time.
    cache
        Digests from an earlier audit; None to hash every file.
    """
    expected = _expected(study)
    faults: dict[str, Finding] = {}
    changed: list[tuple[str, Found | None]] = []
    absent: list[str] = []
    n_files = n_bytes = n_cached = 0
    for name, found in _states(study, expected, n_threads, cache):
        if isinstance(found, Unknown):
            absent.append(name)
            continue
        n_files += 1
        state, job = expected[name]
        if found is None or (found.size, found.sha256) != (state.size, state.sha256):
            changed.append((name, found))
        elif job is not None and _is_newer(study, job, found):
            faults[name] = _newer(study, name, job, found)
        n_bytes += found.size if found else 0
        n_cached += found is not None and found.cached
    names = {state.sha256: name for name, (state, _) in expected.items()} if changed else {}
    for name, found in changed:
        state, job = expected[name]
        faults[name] = _finding(study, metadata, name, state, job, _fault(found, job, names))
    findings = [faults[name] for name in sorted(faults)]
    findings += _folder_unknown(study, sorted(absent))
    findings += _unrecorded(study)
    looked_at = f"{n_files:,} files, {n_bytes / 1e6:,.0f} MB"
    looked_at += f", {n_cached:,} of them by the cache" if n_cached else ""
    return Check("files", looked_at, tuple(findings))


def _states(
    study: Study,
    expected: Mapping[str, tuple[FileState, Job | None]],
    n_threads: int,
    cache: DigestCache | None,
) -> Iterator[tuple[str, Found | Unknown | None]]:
    """Present state of every expected file, some at a time, large ones first.

    None is a file that is missing, unreadable or not regular.
    """
    sizes = {state.size for state, _ in expected.values()}
    ordered = sorted(expected, key=lambda name: (-expected[name][0].size, name))
    progress = Progress(sum(state.size for state, _ in expected.values()), len(ordered))
    for start in range(0, len(ordered), CHUNK):
        places = {name: study.places.find(name) for name in ordered[start : start + CHUNK]}
        there = {path for path in places.values() if path is not None}
        now = hash_files(there, n_threads, cache, sizes, progress)
        for name, path in places.items():
            yield name, UNKNOWN if path is None else now[path]
    if cache is not None:
        cache.save()


def _expected(study: Study) -> dict[str, tuple[FileState, Job | None]]:
    """All files that must exist, in the state in which they were written or, if raw, read."""
    history = study.history
    found: dict[str, tuple[FileState, Job | None]] = {}
    for job in history.current:
        for file in job.inputs:
            if history.producer(file.path) is None:
                found[file.path] = (file, None)
        for file in job.outputs:
            if history.producer(file.path) is job:
                found[file.path] = (file, job)
    return found


def _fault(found: Found | None, job: Job | None, names: Mapping[str, str]) -> str:
    """Description of a file that is not as recorded."""
    if found is None:
        return "no such file, or it is not a readable, regular file"
    text = f"sha256 {found.sha256 or 'not read'}, {found.size:,} bytes"
    if found.sha256 is not None and found.sha256 in names:
        text += f", the bytes of {names[found.sha256]}"
    if job is not None and job.end and found.mtime > job.end.timestamp() + CLOCK_SECONDS:
        changed = datetime.fromtimestamp(found.mtime, UTC)
        text += f"; changed on {changed:%Y-%m-%d %H:%M:%S} UTC, after its record"
    return text


def _finding(
    study: Study, metadata: Metadata, name: str, state: FileState, job: Job | None, fault: str
) -> Finding:
    origin = f"written by {job.case} {job.id}" if job else "when it was read"
    reaction = metadata.reaction_to(name)
    in_chain = job is None or job.id in study.chain_ids
    return Finding(
        Level.ERROR if in_chain else Level.WARNING,
        name,
        f"sha256 {state.sha256}, {state.size:,} bytes, {origin}",
        f"{fault}; {reaction}" if reaction else fault,
        study.history.descendants(name),
    )


def _is_newer(study: Study, job: Job, found: Found) -> bool:
    """Whether a file with the recorded bytes was written after the end of its job.

    This can be judged only if the record file still has its original modification time: copying a
    study gives every file a new one.
    """
    if job.end is None:
        return False
    record = study.results / RECORDS / job.case / f"{job.id}.json"
    try:
        end, recorded = job.end.timestamp(), record.stat().st_mtime
    except OSError:
        return False  # removed since it was read
    # A copy made soon after the job may give the record a time that looks original; `max` below
    # prevents a warning about files that were copied together with it.
    original = abs(recorded - end) <= CLOCK_SECONDS
    return original and found.mtime > max(end, recorded) + CLOCK_SECONDS


def _newer(study: Study, name: str, job: Job, found: Found) -> Finding:
    changed = datetime.fromtimestamp(found.mtime, UTC)
    return Finding(
        Level.WARNING,
        name,
        f"last written before {job.end:%Y-%m-%d %H:%M:%S} UTC, when {job.case} ended",
        f"the same bytes, written on {changed:%Y-%m-%d %H:%M:%S} UTC: newer than its record",
        study.history.descendants(name),
    )


def _folder_unknown(study: Study, names: list[str]) -> Iterator[Finding]:
    """One finding for all raw scans whose folder is unknown, and one per file outside the study."""
    raw = [name for name in names if name.startswith(f"{BIDS}/")]
    if raw:
        affected = {target for name in raw for target in study.history.descendants(name)}
        yield Finding(
            Level.UNCHECKED,
            BIDS,
            f"{len(raw):,} raw files, unchanged since they were read",
            "their folder is unknown; name it with --bids",
            tuple(sorted(affected)),
        )
    for name in names:
        if name not in raw:
            yield Finding(
                Level.UNCHECKED,
                name,
                "the file, unchanged since it was read",
                "it is outside the study",
                study.history.descendants(name),
            )


def _unrecorded(study: Study) -> Iterator[Finding]:
    """Files of the results that no record names: results, then others by their folder."""
    known = study.history.files | study.history.set_aside
    others: dict[str, list[str]] = defaultdict(list)
    for inside in _files_inside(study.results):
        name = f"{RESULTS}/{inside}"
        if name in known:
            continue
        top = inside.partition("/")[0]
        if top in TARGETS:
            yield Finding(Level.ERROR, name, "a record of the job that wrote it", "none", (name,))
        else:
            others[top].append(name)
    for top, names in sorted(others.items()):
        found = f"{len(names):,} files without one, such as {min(names)}"
        expected = "a record of the job that wrote each file"
        yield Finding(Level.WARNING, f"{RESULTS}/{top}", expected, found)


def _files_inside(results: Path) -> Iterator[str]:
    """Everything in the results folder but folders, relative to it, in order.

    Left out are files that no record covers (:data:`NOT_COVERED`), and hidden files, which are
    written by Snakemake or the file system.
    """
    for folder, folders, files in os.walk(results):
        inside = Path(folder).relative_to(results)
        # a link to a folder is listed as a file: the walk does not follow it
        linked = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (inside.parts or name not in NOT_COVERED)
        )
        for name in sorted([*files, *linked]):
            if not name.startswith(".") and (inside.parts or name not in NOT_COVERED):
                yield (inside / name).as_posix()


def hashed(path: Path) -> str | None:
    """SHA-256 of one file; None if it is not readable."""
    found = hash_files([path], 1, None)[path]
    return found.sha256 if found else None
