"""Check that every job ran with committed code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.study import Study
from ldae.provenance.code import references_in
from ldae.provenance.history import Job
from ldae.provenance.record import git

# Computes digests with the code of the commit itself, in a separate process, because the definition
# of the digest may have changed since.
DIGESTS = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ldae.provenance import code
root = Path(sys.argv[1]).resolve()
def digest(function, script, references):
    try:
        return function(root / script, *references, root=root)
    except (OSError, LookupError, SyntaxError, TypeError, ValueError):
        return None
print(json.dumps([
    [digest(code.code_digest, script, references),
     digest(getattr(code, "raw_digest", None), script, params)]
    for script, references, params in json.loads(sys.argv[2])
]))
"""
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
NO_CLONE = "no clone of the code here"


def check_code(study: Study) -> Check:
    """Look up the commit of every job behind the results, and compute its code digest again."""
    commits: dict[str | None, list[Job]] = defaultdict(list)
    for job in study.chain:
        commits[job.record["commit"]].append(job)
    findings: list[Finding] = []
    for commit, jobs in commits.items():
        findings += _check_commit(study, commit, jobs)
    findings += _changed_meanwhile(study)
    dirty = [job for job in study.chain if job.record["dirty"]]
    if dirty:
        findings.append(
            study.finding(Level.ERROR, dirty, "code as committed", "uncommitted changes")
        )
    return Check("code", f"{len(study.chain)} jobs, {len(commits)} commits", tuple(findings))


def _check_commit(study: Study, commit: str | None, jobs: list[Job]) -> Iterator[Finding]:
    if commit is None:
        yield from _check_without_commit(study, jobs)
        return
    state = look_up(study.repository, commit)
    if state == "there":
        yield from _check_digests(study, commit, jobs)
        return
    unknown = f"commit {commit}"
    if state == NO_CLONE:
        yield study.finding(Level.UNCHECKED, jobs, unknown, NO_CLONE)
    elif state == "shallow":
        found = "not in this shallow clone; fetch the rest with git fetch --unshallow"
        yield study.finding(Level.UNCHECKED, jobs, unknown, found)
    else:
        yield study.finding(Level.ERROR, jobs, unknown, "no such commit in the repository")


def _check_without_commit(study: Study, jobs: list[Job]) -> Iterator[Finding]:
    """Whether jobs that ran outside a clone had the code that lies here."""
    uses = _uses(jobs)
    found = digests_in(study.repository, tuple(uses))
    same: list[Job] = []
    other: list[Job] = []
    for (use, some), digests in zip(uses.items(), found, strict=True):
        for job in some:
            own = digests.code is not None and _recorded_code(job) == digests.code
            if not own and any(map(_is_outside, use.references)):
                continue
            (same if own else other).append(job)
    outside = "none: they ran outside a clone of the code"
    for some, code in ((same, "the code here has their digest"), (other, "here is other code")):
        if some:
            yield study.finding(Level.WARNING, some, "a commit", f"{outside}; {code}")


@cache
def look_up(repository: Path, commit: str) -> str:
    """Whether a repository contains a commit, or the reason why not."""
    if not (repository / ".git").exists():
        return NO_CLONE
    if not COMMIT.fullmatch(commit):
        return "unknown"
    try:
        git("rev-parse", "--git-dir", repository=repository)
    except (OSError, subprocess.SubprocessError):
        return NO_CLONE
    try:
        git("cat-file", "-e", f"{commit}^{{commit}}", repository=repository)
    except subprocess.SubprocessError:
        shallow = git("rev-parse", "--is-shallow-repository", repository=repository)
        return "shallow" if shallow == "true" else "unknown"
    return "there"


class Use(NamedTuple):
    """A script with what a job of it uses by computed names.

    Attributes
    ----------
    script
        Relative to the repository.
    references
        What the job looked up, as ``module:name``.
    params
        What of that form its parameters name.
    """

    script: str
    references: tuple[str, ...]
    params: tuple[str, ...]


class Digests(NamedTuple):
    """Digests of the code of a :class:`Use`; None where they cannot be made."""

    code: str | None
    raw: str | None


def _check_digests(study: Study, commit: str, jobs: list[Job]) -> Iterator[Finding]:
    """The recorded digests of each job's code are those of the commit's files."""
    uses = _uses(jobs)
    found = commit_digests(study.repository, commit, tuple(uses))
    here = f"as in commit {commit}"
    for (use, some), digests in zip(uses.items(), found, strict=True):
        by_code: dict[str, list[Job]] = defaultdict(list)
        for job in some:
            by_code[_recorded_code(job)].append(job)
        for code, ran in sorted(by_code.items()):
            if digests.code is None:
                problem = f"the commit's code does not give its digest ({use.script})"
                yield study.finding(Level.UNCHECKED, ran, f"code {here}", problem)
            elif code != digests.code:
                level = Level.ERROR
                expected, problem = f"code {digests.code}, {here}", f"code {code}"
                if any(_is_outside(reference) for reference in use.references):
                    level, problem = Level.UNCHECKED, f"{problem}; part of it lies elsewhere"
                yield study.finding(level, ran, expected, problem)
            else:
                other = [job for job in ran if _other_text(job, digests.raw)]
                if other:
                    problem = "other text of code, by which no number can differ"
                    yield study.finding(Level.WARNING, other, f"code {here}", problem)


def _uses(jobs: list[Job]) -> dict[Use, list[Job]]:
    """Jobs by the code that they used."""
    found: dict[Use, list[Job]] = defaultdict(list)
    for job in jobs:
        params = tuple(references_in(job.record["params"]))
        found[Use(job.script, job.references, params)].append(job)
    return found


def _recorded_code(job: Job) -> str:
    return str(job.record["params"].get("code"))


def _changed_meanwhile(study: Study) -> Iterator[Finding]:
    """Jobs whose code was changed after the rules were read, or while they ran."""
    changed: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in study.chain:
        end = job.record.get("code_end")
        if end is not None and end != _recorded_code(job):
            changed[_recorded_code(job), str(end)].append(job)
    for (start, end), jobs in sorted(changed.items()):
        expected = f"code {start}, as when the rules were read"
        found = f"code {end} when the job ended: it was changed during the run"
        yield study.finding(Level.ERROR, jobs, expected, found)


def _is_outside(reference: str) -> bool:
    """Whether a reference is to a module or file that no commit of the repository need have."""
    return reference.partition(":")[0].partition(".")[0] != __package__.partition(".")[0]


def _other_text(job: Job, raw: str | None) -> bool:
    """Whether a job that ran on a clean clone has another digest of bytes than the commit."""
    recorded = job.record.get("code_raw")
    return not job.record["dirty"] and None not in (raw, recorded) and raw != recorded


@cache
def commit_digests(repository: Path, commit: str, uses: tuple[Use, ...]) -> list[Digests]:
    """Digests of code as a commit has it, of each use."""
    with tempfile.TemporaryDirectory() as folder:
        export_commit(repository, commit, Path(folder))
        return digests_in(Path(folder), uses)


def digests_in(folder: Path, uses: tuple[Use, ...]) -> list[Digests]:
    """Digests of the code in a folder, by the code's own definition of them, of each use."""
    command = [sys.executable, "-I", "-B", "-c", DIGESTS, str(folder), json.dumps(uses)]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
        )
        return [Digests(*one) for one in json.loads(done.stdout)]
    except (OSError, ValueError, TypeError, subprocess.SubprocessError):
        return [Digests(None, None)] * len(uses)


def export_commit(repository: Path, commit: str, folder: Path) -> None:
    """Write the files of a commit into a folder.

    Raises
    ------
    subprocess.SubprocessError
        If git fails.
    """
    archive = folder / ".commit.tar"
    git("archive", "--format=tar", f"--output={archive}", commit, repository=repository)
    shutil.unpack_archive(archive, folder, "tar")
    archive.unlink()
