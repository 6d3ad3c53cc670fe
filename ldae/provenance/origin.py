"""Origin of a figure in one sentence, composed from the records alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ldae.errors import InputError
from ldae.provenance.history import FileState, History, Job
from ldae.provenance.payload import IMAGE_SUFFIXES, RAW_FOLDERS, scan_name
from ldae.provenance.places import RESULTS
from ldae.provenance.reading import digest_of
from ldae.provenance.wording import describe_commit, short_digest

NO_RECORD = "the file has no record"
WEIGHTS = re.compile(rf"{RESULTS}/(?P<name>.+?)(/model)?\.safetensors")
DERIVATIVES = "derivatives/"  # folder name defined by BIDS
SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")


def require_recorded(history: History, paths: Sequence[Path]) -> None:
    """Check that files agree with their records, so that statements from the records apply to them.

    Raises
    ------
    InputError
        If a file has no record or differs from it.
    """
    for path in paths:
        state = history.state(history.name(path))
        if state is None:
            raise InputError(path, NO_RECORD, "Make it again with the workflow.")
        if digest_of(path) != state.sha256:
            raise InputError(path, "the file differs from its record", "Make it again.")


def describe_origin(history: History, path: Path) -> str:
    """Description of a figure: scans, participants, seed, networks, commit, job and digest.

    Parameters
    ----------
    history
        History of the study.
    path
        The figure.

    Raises
    ------
    InputError
        If no job wrote the figure.
    """
    name = history.name(path)
    job, state = history.producer(name), history.state(name)
    if job is None or state is None:
        raise InputError(path, NO_RECORD, "Make it again with the workflow.")
    return "; ".join(_facts(history, history.ancestors(name), job, state)) + "."


def _facts(history: History, jobs: list[Job], job: Job, state: FileState) -> Iterator[str]:
    scans = {
        file.path
        for one in jobs
        for file in one.inputs
        if file.path.startswith(RAW_FOLDERS) and file.path.endswith(IMAGE_SUFFIXES)
        # leave out masks and segmentations that come with the cohort
        if not scan_name(file.path).startswith(DERIVATIVES)
    }
    subjects = {match[0] for match in map(SUBJECT.search, scans) if match}
    yield f"From {len(scans)} raw scans of {len(subjects)} participants"
    seeds = sorted({one.record["seed"] for one in jobs if "seed" in one.record["params"]})
    if seeds:
        yield f"seed {', '.join(map(str, seeds))}"
    windows = _windows([*history.parents(job), job])
    if windows:
        yield f"SSIM windows {', '.join(map(str, windows))}"
    # weights that were read, and those of the trainings whose logs were
    read = {file for one in jobs for file in (*one.inputs, *one.outputs)}
    models = sorted((m["name"], f.sha256) for f in read if (m := WEIGHTS.fullmatch(f.path)))
    if models:
        yield "networks " + ", ".join(f"{model} {short_digest(sha)}" for model, sha in models)
    commits = sorted({describe_commit(one.record) for one in jobs})
    yield ", ".join(commits)
    yield f"job {job.rule} {job.id}, sha256 {short_digest(state.sha256)}"


def _windows(jobs: list[Job]) -> list[int]:
    """SSIM windows in the settings of a figure's job or of the jobs whose tables it reads."""
    found: set[int] = set()
    for job in jobs:
        settings = job.record["params"].get("settings")
        if isinstance(settings, dict):
            found.update(settings.get("windows", ()))
    return sorted(found)
