"""Recomputation of a file from its record, and comparison with the original.

The job that wrote the file is run again in a scratch folder, by the same workflow, with the code of
the recorded commit and the recorded inputs, settings, seed, threads and resources. The checksums of
the inputs are verified first. The outputs are then compared with the original ones.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ldae.data.pseudonyms import KEPT_KEYS
from ldae.errors import InputError, Interrupted
from ldae.paths import CARRIED, PACKAGE, WORKFLOW
from ldae.provenance.audit import study_places
from ldae.provenance.audit.code import export_commit, look_up
from ldae.provenance.code import code_digest
from ldae.provenance.compare import (
    TOLERANCE,
    Comparison,
    Likeness,
    compare_beginning,
    compare_files,
)
from ldae.provenance.history import FileState, Job, Status, load_history
from ldae.provenance.kernels import kernel_differences
from ldae.provenance.places import BIDS, EXTERNAL, RESULTS, Places
from ldae.provenance.reading import digest_of
from ldae.provenance.record import CODE_FOLDERS
from ldae.provenance.wording import describe_seconds

# Files and folders that the workflow needs in order to run.
WORKFLOW_FILES = (*CODE_FOLDERS, "config.yaml", "profiles")
SCRATCH_RESULTS = "results"
SETTINGS = "replay.yaml"
# Which job a scratch folder was made for, and with which code.
NOTE = "replay.json"
# Table of a training, with a row for each validation.
METRICS = "metrics.csv"
# Resources that can change results, if only in the last digits; the others are limits.
RESOURCES = ("micro_batch",)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replay:
    """Result of the recomputation of a job.

    Attributes
    ----------
    job
        The recorded job.
    code
        Description of the code that was used.
    differences
        Parameters that differ from the recorded ones.
    comparisons
        Comparison of each output of the job, by name; of a training that was stopped, of its table
        of metrics only.
    kernels
        Differences between the numerical libraries of the two jobs; None if the record names none.
    steps
        Last step that a training reached which was stopped, and its last step; else None.
    """

    job: Job
    code: str
    differences: tuple[str, ...]
    comparisons: Mapping[str, Comparison]
    kernels: tuple[str, ...] | None = None
    steps: tuple[int, int] | None = None

    @property
    def agrees(self) -> bool:
        """Whether all outputs and parameters agree with the original."""
        alike = all(c.likeness.agrees for c in self.comparisons.values())
        return alike and not self.differences and bool(self.comparisons)

    @property
    def verdict(self) -> str:
        """The result in one line."""
        answer = "REPRODUCED" if self.agrees else "NOT REPRODUCED"
        if self.steps is None:
            return answer
        reached, total = self.steps
        if not reached:
            return "NOT REPRODUCED: no step was compared; give more time with --minutes"
        return f"{answer} up to step {reached} of {total}, where it was stopped"

    def as_text(self) -> str:
        """Text with the job, the code, the comparison of every output, and the verdict."""
        lines = [f"{self.job.case} {self.job.id}, with {self.code}"]
        lines += [f"  differs in {difference}" for difference in self.differences]
        for name, comparison in self.comparisons.items():
            detail = f" ({comparison.detail})" if comparison.detail else ""
            lines.append(f"  {name}: {comparison.likeness}{detail}")
        return "\n".join([*lines, *self._causes(), self.verdict]) + "\n"

    def _causes(self) -> list[str]:
        """Why numbers may differ although code, inputs and parameters are the same."""
        exact = (Likeness.IDENTICAL, Likeness.MEASURED)
        if all(c.likeness in exact for c in self.comparisons.values()):
            return []
        if self.kernels is None:
            return [
                "  The record does not name the kernels that computed; they may be others here."
            ]
        if not self.kernels:
            return []
        return [
            "  Other kernels computed, which add in another order: the last digits differ, and",
            "  whatever depends on a threshold may differ altogether:",
            *(f"    {difference}" for difference in self.kernels),
        ]


@dataclass(frozen=True)
class Options:
    """How a job is run again.

    Attributes
    ----------
    all_ancestors
        Also run all jobs on which it depends, starting with the raw scans.
    minutes
        Time after which a training is stopped, and compared as far as it came; None for no limit.
    tolerance
        Largest accepted relative difference of numbers.
    """

    all_ancestors: bool = False
    minutes: float | None = None
    tolerance: float = TOLERANCE


def replay_target(
    results: Path,
    target: str | Path,
    scratch: Path,
    bids: Path | None = None,
    *,
    options: Options | None = None,
    repository: Path = WORKFLOW,
) -> Replay:
    """Run the job that wrote a file again, and compare all its outputs.

    Parameters
    ----------
    results
        Results folder; it is only read.
    target
        File in this folder.
    scratch
        Folder to work in: empty, or that of an earlier call for the same file, which is continued.
    bids
        Folder with the raw scans of a real cohort, if they are needed.
    options
        How the job is run again.
    repository
        Clone of the code.

    Raises
    ------
    InputError
        If no job wrote the file, an input differs from its record, the code is not available, or
        the job fails.
    """
    options = options or Options()
    history = load_history(results)
    job = history.producer(history.name(target))
    if job is None:
        raise InputError(target, "no recorded job wrote this file", "Name an output of the study.")
    places = study_places(history, bids)
    jobs = history.ancestors(history.name(target)) if options.all_ancestors else [job]
    inputs = history.raw_inputs(jobs) if options.all_ancestors else list(job.inputs)
    seconds = sum(float(one.record.get("wall_seconds", 0)) for one in jobs)
    taken = describe_seconds(seconds)
    logger.info("%s %s: %d jobs, which took %s", job.case, job.id, len(jobs), taken)
    logger.info("Checking %d inputs", len(inputs))
    _check_inputs(inputs, places)
    code = _prepare(job, inputs, places, scratch, bids, repository)
    stopped = not _run(job, [one.rule for one in jobs], scratch, options)
    logger.info("Comparing %d files", len(job.outputs))
    again = load_history(scratch / SCRATCH_RESULTS)
    new = [other for other in again.jobs if other.case == job.case]
    found = new[-1].record.get("kernels") if new else None
    before = job.record.get("kernels")
    if stopped:
        comparisons, steps = _compare_begun(job, places, scratch, options)
    else:
        comparisons, steps = _compare(job, places, scratch, options), None
    return Replay(
        job,
        code,
        _differences(job, new, stopped),
        comparisons,
        None if before is None else tuple(kernel_differences(before, found)),
        steps,
    )


def _prepare(
    job: Job,
    inputs: Iterable[FileState],
    places: Places,
    scratch: Path,
    bids: Path | None,
    repository: Path,
) -> str:
    """Fill the scratch folder, unless an earlier call did, and return what code it holds.

    Raises
    ------
    InputError
        If the folder holds anything else, or what is needed is missing.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    note = scratch / NOTE
    identity = {"job": f"{job.case} {job.id}"}
    if any(scratch.iterdir()):
        known = json.loads(note.read_bytes()) if note.is_file() else {}
        if known.get("job") != identity["job"]:
            problem = "the folder is not empty, and not that of an earlier replay of this file"
            raise InputError(scratch, problem, "Name another one with --keep.")
        logger.info("Continuing in %s", scratch)
        return str(known["code"])
    code = _prepare_code(job, scratch, repository)
    _prepare_settings(places.results, bids, scratch)
    _link(KEPT_KEYS if KEPT_KEYS.is_dir() else None, scratch / KEPT_KEYS)
    for file in inputs:
        if not file.path.startswith(f"{BIDS}/"):
            _link(places.find(file.path), scratch / _inside(file.path))
    note.write_text(json.dumps(identity | {"code": code}), encoding="utf-8")  # last: all is there
    return code


def _check_inputs(inputs: Iterable[FileState], places: Places) -> None:
    for file in inputs:
        path = places.find(file.path)
        if file.path.startswith(f"{EXTERNAL}/"):
            raise InputError(
                file.path,
                "the input is outside the study, and its path is not recorded",
                "Move it into a folder of the repository and run the study again.",
            )
        if path is None or not path.is_file():
            remedy = "Name its folder with --bids." if path is None else "Restore it."
            raise InputError(file.path, "the input is missing", remedy)
        if digest_of(path) != file.sha256:
            raise InputError(
                file.path,
                "the input has changed since the job read it",
                "Restore it; `ldae audit` lists all changed files.",
            )


def _prepare_code(job: Job, scratch: Path, repository: Path) -> str:
    """Copy the workflow that the job used into the scratch folder; return a description of it."""
    commit, digest = job.record["commit"], job.record["params"].get("code")
    if commit and not job.record["dirty"] and look_up(repository, commit) == "there":
        export_commit(repository, commit, scratch)
        return f"the code of commit {commit}"
    script = WORKFLOW / job.script
    if not script.is_file() or code_digest(script, *job.references) != digest:
        raise InputError(
            f"{job.case} {job.id}",
            f"the code of this job (digest {digest}, commit {commit}) is not available",
            "Run the command in a clone that contains the commit.",
        )
    for name in WORKFLOW_FILES:
        source = PACKAGE if name == PACKAGE.name else WORKFLOW / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", CARRIED.name)
            shutil.copytree(source, scratch / name, ignore=ignored)
        else:
            shutil.copy(source, scratch / name)
    return "the current code, whose digest equals the recorded one"


def _prepare_settings(results: Path, bids: Path | None, scratch: Path) -> None:
    """Write the study's settings into the scratch folder."""
    path = results / "config.yaml"
    if not path.is_file():
        raise InputError(path, "the study's settings are missing", "Run the workflow again.")
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["pathvars"] = {"results": SCRATCH_RESULTS}
    if config["cohort"]["source"] == "bids" and bids is None:
        raise InputError(
            results, "the study needs the raw scans of its cohort", "Name their folder with --bids."
        )
    if config["cohort"]["source"] == "bids" and bids is not None:
        config["bids_folder"] = os.path.abspath(bids)
    (scratch / SETTINGS).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _link(source: Path | None, place: Path) -> None:
    if source is not None and not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.abspath(source))


def _run(job: Job, rules: list[str], scratch: Path, options: Options) -> bool:
    """Run the job, or also all jobs on which it depends, in the scratch folder.

    Returns
    -------
    bool
        Whether it was completed; False for a training that was stopped at the user's limit.
    """
    wildcards = ",".join(f"{name}={value}" for name, value in job.wildcards.items())
    threads, resources = int(job.record["threads"]), job.record.get("resources", {})
    given = [f"{job.rule}:{name}={resources[name]}" for name in RESOURCES if name in resources]
    command = [sys.executable, "-m", "snakemake", "--cores", str(threads), "--nocolor"]
    command += ["--configfile", SETTINGS, "--set-threads", f"{job.rule}={threads}"]
    command += ["--set-resources", *given] if given else []
    whole = options.all_ancestors
    command += [] if whole else ["--allowed-rules", *sorted(set(rules)), "--force"]
    # what an interrupted replay left half-written is made again; a training's metrics are compared
    command += ["--rerun-incomplete", "--keep-incomplete", "--nolock"]
    command += ["--target-jobs", f"{job.rule}:{wildcards}"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if options.minutes is not None:
        # trainings stop before this time, with a checkpoint, as before a limit of SLURM
        environment["SLURM_JOB_END_TIME"] = str(time.time() + 60 * options.minutes)
    logger.info("Running %s again", job.case)
    log = scratch / "replay.log"
    if _follow(command, scratch, environment, log) == 0:
        return True
    if options.minutes is not None and _was_stopped(job, scratch):
        return False
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    raise InputError(
        f"{job.case} {job.id}",
        f"the job failed: {' | '.join(lines[-4:])}",
        "Add --keep DIR and read the logs in that folder.",
    )


def _follow(command: list[str], folder: Path, environment: Mapping[str, str], log: Path) -> int:
    """Run a command, show its lines as they come and keep them; return its exit status.

    If this process is interrupted, the command is ended before the exception leaves.
    """
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                kept.write(line)
                if line.strip():
                    logger.info("  | %s", line.rstrip())
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


def _was_stopped(job: Job, scratch: Path) -> bool:
    """Whether the last attempt at the job in the scratch folder ended at its time limit."""
    again = load_history(scratch / SCRATCH_RESULTS)
    new = [other for other in again.jobs if other.case == job.case]
    error = new[-1].record.get("error") if new else None
    return isinstance(error, dict) and error["type"] == Interrupted.__name__


def _differences(job: Job, new: list[Job], stopped: bool) -> tuple[str, ...]:
    """Parameters that differ between the recorded job and its attempts in the scratch folder."""
    if not new or (not stopped and new[-1].status is not Status.COMPLETED):
        return ("its record: there is no record of the new job",)
    old, now = job.record["params"], new[-1].record["params"]
    names = sorted(name for name in {**old, **now} if old.get(name) != now.get(name))
    return tuple(f"parameter {name}: {old.get(name)} before, {now.get(name)} now" for name in names)


def _compare(job: Job, places: Places, scratch: Path, options: Options) -> dict[str, Comparison]:
    found = {}
    for file in job.outputs:
        kept = places.find(file.path) or Path()
        again = scratch / _inside(file.path)
        found[file.path] = compare_files(kept, again, options.tolerance)
    return found


def _compare_begun(
    job: Job, places: Places, scratch: Path, options: Options
) -> tuple[dict[str, Comparison], tuple[int, int]]:
    """Compare the metrics of a training that was stopped, as far as it came."""
    for file in job.outputs:
        if file.path.endswith(f"/{METRICS}"):
            kept = places.find(file.path) or Path()
            comparison, reached, total = compare_beginning(
                kept, scratch / _inside(file.path), options.tolerance
            )
            return {file.path: comparison}, (reached, total)
    return {}, (0, 0)


def _inside(name: str) -> str:
    """Path of a file in the scratch folder."""
    return name.replace(RESULTS, SCRATCH_RESULTS, 1)
