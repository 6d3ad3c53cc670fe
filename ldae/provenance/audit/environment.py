"""Comparison of the environment of every job with the lock files and containers of the code."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from ldae.paths import WORKFLOW
from ldae.provenance.audit.code import look_up
from ldae.provenance.audit.files import hashed
from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.study import Study
from ldae.provenance.history import Job
from ldae.provenance.images import DIGESTS, read_digests
from ldae.provenance.record import git, git_bytes

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.M)


def check_environment(study: Study) -> Check:
    """Compare the recorded lock files, versions and containers with those of the code."""
    findings: list[Finding] = []
    locks: dict[tuple[tuple[str, str], ...], list[Job]] = defaultdict(list)
    images: dict[tuple[str, str | None], list[Job]] = defaultdict(list)
    for job in study.chain:
        locks[tuple(sorted(job.record.get("locks", {}).items()))].append(job)
        image = job.record["container"]
        if image:
            images[image["name"], image["sha256"]].append(job)
    for recorded, jobs in locks.items():
        findings += _check_locks(study, dict(recorded), jobs)
    for (name, sha256), jobs in images.items():
        findings += _check_image(study, name, sha256, jobs)
    n_locks = len({pair for recorded in locks for pair in recorded})
    looked_at = f"{len(study.chain)} jobs, {n_locks} locks, {len(images)} containers"
    return Check("environment", looked_at, tuple(findings))


def _check_locks(study: Study, recorded: Mapping[str, str], jobs: list[Job]) -> Iterator[Finding]:
    if not recorded:
        found = "none: the environment does not list its lock files"
        yield study.finding(Level.UNCHECKED, jobs, "the lock of the environment", found)
        return
    pins: dict[str, set[str]] = defaultdict(set)
    complete = True
    for name, sha256 in recorded.items():
        content = None
        for commit in sorted({str(job.record["commit"]) for job in jobs}):
            committed = _in_commit(study, commit, name)
            if committed is None:
                continue
            if hashlib.sha256(committed).hexdigest() == sha256:
                content = committed
            else:
                expected = f"{name} as in commit {commit}"
                found = f"installed from another {name}, sha256 {sha256}"
                yield study.finding(Level.ERROR, jobs, expected, found)
        now = hashed(study.repository / name)
        yield from _check_present(study, name, sha256, now, jobs, known=content is not None)
        if content is None and now == sha256:
            content = (study.repository / name).read_bytes()
        complete = complete and content is not None
        for package, version in PIN.findall((content or b"").decode("utf-8", "replace")):
            pins[_plain(package)].add(_public(version))
    if complete:
        yield from _check_versions(study, pins, jobs)


def _in_commit(study: Study, commit: str, name: str) -> bytes | None:
    """Content of a lock file at a commit; None if it is not available."""
    if look_up(study.repository, commit) != "there":
        return None
    try:
        return git_bytes("show", f"{commit}:{name}", repository=study.repository)
    except subprocess.SubprocessError:
        return None


def _check_present(
    study: Study, name: str, sha256: str, now: str | None, jobs: list[Job], known: bool
) -> Iterator[Finding]:
    """Compare the current lock file with the recorded one.

    A different lock file in a later commit is a warning, because the recorded one is still
    available. A lock file with uncommitted changes, or one that no commit confirms, is an error. If
    there is neither a clone nor the file, the lock cannot be checked.
    """
    if now == sha256:
        return
    if now is None and not (study.repository / ".git").exists():
        level = Level.UNCHECKED
    elif known and not _is_edited(study.repository, name):
        level = Level.WARNING
    else:
        level = Level.ERROR
    found = f"currently sha256 {now}" if now else "currently no such file"
    expected = f"{name} with sha256 {sha256}"
    yield study.finding(level, jobs, expected, found)


def _is_edited(repository: Path, name: str) -> bool:
    try:
        return bool(git("status", "--porcelain", "--", name, repository=repository))
    except (OSError, subprocess.SubprocessError):
        return True


def _check_versions(
    study: Study, pins: Mapping[str, set[str]], jobs: list[Job]
) -> Iterator[Finding]:
    """Check that the versions that the jobs used are those in the lock files.

    A lock file may list several versions of a package, for several versions of Python.
    """
    others: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        for package, version in job.record.get("software", {}).items():
            pinned = pins.get(_plain(package))
            if pinned and _public(version) not in pinned:
                others[package, version].append(job)
    for (package, version), some in sorted(others.items()):
        expected = f"{package} {' or '.join(sorted(pins[_plain(package)]))} as locked"
        yield study.finding(Level.ERROR, some, expected, f"{package} {version}")


def _check_image(study: Study, name: str, sha256: str | None, jobs: list[Job]) -> Iterator[Finding]:
    """Compare a container image with its file, if it exists here, and with the list of images."""
    if sha256 is None:
        found = "unknown: the image file was not visible from inside"
        yield study.finding(Level.UNCHECKED, jobs, f"sha256 of container {name}", found)
        return
    expected = f"container {name} with sha256 {sha256}"
    table = DIGESTS.relative_to(WORKFLOW)
    images = {image.file_name: image for image in read_digests(study.repository / table).values()}
    file = study.repository / table.parent / name
    now = hashed(file) if file.is_file() else None
    if now is not None and now != sha256:
        found = f"sha256 {now} in {table.parent}/{name}"
        yield study.finding(Level.ERROR, jobs, expected, found)
    if name in images and images[name].sha256 != sha256:
        found = f"sha256 {images[name].sha256} in {table}"
        yield study.finding(Level.ERROR, jobs, expected, found)
    elif name not in images and now is None:
        stages = [image for image in images.values() if name.startswith(f"{image.name}-")]
        level = Level.WARNING if stages else Level.UNCHECKED
        found = f"only {stages[0].file_name}, built since" if stages else "no image and no digest"
        yield study.finding(level, jobs, expected, found)


def _plain(package: str) -> str:
    """Normalised name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _public(version: str) -> str:
    """Version without its local part, such as +cpu."""
    return version.partition("+")[0]
