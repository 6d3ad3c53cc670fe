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

from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.study import Study
from ldae.provenance.history import Job
from ldae.provenance.record import git

# Computes digests with the code of the commit itself, in a separate process, because the definition
# of the digest may have changed since.
DIGESTS = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ldae.provenance.code import code_digest
root = Path(sys.argv[1]).resolve()
found = {name: code_digest(root / "scripts" / f"{name}.py", root) for name in sys.argv[2:]
         if (root / "scripts" / f"{name}.py").is_file()}
print(json.dumps(found))
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
    dirty = [job for job in study.chain if job.record["dirty"]]
    if dirty:
        findings.append(
            study.finding(Level.ERROR, dirty, "code as committed", "uncommitted changes")
        )
    return Check("code", f"{len(study.chain)} jobs, {len(commits)} commits", tuple(findings))


def _check_commit(study: Study, commit: str | None, jobs: list[Job]) -> Iterator[Finding]:
    if commit is None:
        yield study.finding(
            Level.WARNING, jobs, "a commit", "none: they ran outside a clone of the code"
        )
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


def _check_digests(study: Study, commit: str, jobs: list[Job]) -> Iterator[Finding]:
    """Compare the recorded code digest of each job with that of the commit."""
    rules = tuple(sorted({job.rule for job in jobs}))
    found = commit_digests(study.repository, commit, rules)
    if not found:
        yield study.finding(
            Level.UNCHECKED,
            jobs,
            f"code as in commit {commit}",
            "the code of the commit does not provide its digests",
        )
    for rule in rules:
        for digest in sorted({str(j.record["params"].get("code")) for j in jobs if j.rule == rule}):
            if rule in found and digest != found[rule]:
                some = [j for j in jobs if j.rule == rule and j.record["params"]["code"] == digest]
                yield study.finding(
                    Level.ERROR,
                    some,
                    f"code {found[rule]}, as in commit {commit}",
                    f"code {digest}",
                )


@cache
def commit_digests(repository: Path, commit: str, rules: tuple[str, ...]) -> dict[str, str]:
    """Code digest of each rule at a commit; rules without a script are left out."""
    with tempfile.TemporaryDirectory() as folder:
        export_commit(repository, commit, Path(folder))
        command = [sys.executable, "-I", "-c", DIGESTS, folder, *rules]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


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
