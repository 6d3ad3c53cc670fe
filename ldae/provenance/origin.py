"""Where a figure comes from, in one sentence that is made from the records alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ldae.errors import InputError
from ldae.provenance.history import FileState, History, Job
from ldae.provenance.payload import IMAGE_SUFFIXES, RAW_FOLDERS, scan_name
from ldae.provenance.places import RESULTS
from ldae.provenance.seal import digest_of
from ldae.provenance.wording import describe_commit, short_digest

WEIGHTS = re.compile(rf"{RESULTS}/(?P<name>.+)/[^/]+\.safetensors")
DERIVATIVES = "derivatives/"  # as BIDS has it
PERSON = re.compile(r"sub-[A-Za-z0-9]+")


def require_recorded(history: History, paths: Sequence[Path]) -> None:
    """Check that files are what the records say, so that text made from them is true of them.

    Raises
    ------
    InputError
        If a file has no record, or other bytes than its record says.
    """
    for path in paths:
        state = history.state(history.name(path))
        if state is None:
            raise InputError(path, "has no record", "Make it again with the workflow.")
        if digest_of(path) != state.sha256:
            raise InputError(path, "differs from its record", "Make it again.")


def describe_origin(history: History, path: Path) -> str:
    """Scans, people, seed, windows, networks, commit, job and digest of a figure.

    Parameters
    ----------
    history
        The study.
    path
        The figure.

    Raises
    ------
    InputError
        If no job wrote it.
    """
    name = history.name(path)
    job, state = history.producer(name), history.state(name)
    if job is None or state is None:
        raise InputError(path, "has no record", "Make it again with the workflow.")
    return "; ".join(_facts(history, history.ancestors(name), job, state)) + "."


def _facts(history: History, jobs: list[Job], job: Job, state: FileState) -> Iterator[str]:
    scans = {
        file.path
        for one in jobs
        for file in one.inputs
        if file.path.startswith(RAW_FOLDERS) and file.path.endswith(IMAGE_SUFFIXES)
        # masks and segmentations that others made of the scans
        if not scan_name(file.path).startswith(DERIVATIVES)
    }
    people = {match[0] for match in map(PERSON.search, scans) if match}
    yield f"From {len(scans)} raw scans of {len(people)} people"
    seeds = sorted({one.record["seed"] for one in jobs if "seed" in one.record["params"]})
    if seeds:
        yield f"seed {', '.join(map(str, seeds))}"
    windows = _windows([*history.parents(job), job])
    if windows:
        yield f"SSIM windows {', '.join(map(str, windows))}"
    read = {file for one in jobs for file in one.inputs}
    models = sorted((m["name"], f.sha256) for f in read if (m := WEIGHTS.fullmatch(f.path)))
    if models:
        yield "networks " + ", ".join(f"{model} {short_digest(sha)}" for model, sha in models)
    commits = sorted({describe_commit(one.record) for one in jobs})
    yield ", ".join(commits)
    yield f"job {job.rule} {job.id}, sha256 {short_digest(state.sha256)}"


def _windows(jobs: list[Job]) -> list[int]:
    """Windows of SSIM in the settings of a figure's own job or those whose tables it reads."""
    found: set[int] = set()
    for job in jobs:
        settings = job.record["params"].get("settings")
        if isinstance(settings, dict):
            found.update(settings.get("windows", ()))
    return sorted(found)
