"""Recomputation of a file from its record, and comparison with the original.

The job that wrote the file is run again in a scratch folder, by the same workflow, with the code of
the recorded commit and the recorded inputs, settings, seed, threads and resources. The checksums of
the inputs are verified first. The outputs are then compared with the original ones.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ldae.data.pseudonyms import KEPT_KEYS
from ldae.errors import InputError
from ldae.paths import CARRIED, PACKAGE, WORKFLOW
from ldae.provenance.audit import study_places
from ldae.provenance.audit.code import export_commit, look_up
from ldae.provenance.code import code_digest
from ldae.provenance.compare import Comparison, compare_files
from ldae.provenance.history import FileState, History, Job, Status, load_history
from ldae.provenance.places import BIDS, EXTERNAL, RESULTS, Places
from ldae.provenance.reading import digest_of
from ldae.provenance.record import CODE_FOLDERS

# Files and folders that the workflow needs in order to run.
WORKFLOW_FILES = (*CODE_FOLDERS, "config.yaml", "profiles")
SCRATCH_RESULTS = "results"
SETTINGS = "replay.yaml"
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
        Comparison of each output of the job, by name.
    """

    job: Job
    code: str
    differences: tuple[str, ...]
    comparisons: Mapping[str, Comparison]

    @property
    def agrees(self) -> bool:
        """Whether all outputs and parameters agree with the original."""
        alike = all(c.likeness.agrees for c in self.comparisons.values())
        return alike and not self.differences and bool(self.comparisons)

    def as_text(self) -> str:
        """Text with the job, the code, the comparison of every output, and the verdict."""
        lines = [f"{self.job.case} {self.job.id}, with {self.code}"]
        lines += [f"  differs in {difference}" for difference in self.differences]
        for name, comparison in self.comparisons.items():
            detail = f" ({comparison.detail})" if comparison.detail else ""
            lines.append(f"  {name}: {comparison.likeness}{detail}")
        return "\n".join([*lines, "REPRODUCED" if self.agrees else "NOT REPRODUCED"]) + "\n"


def replay_target(
    results: Path,
    target: str | Path,
    scratch: Path,
    bids: Path | None = None,
    *,
    all_ancestors: bool = False,
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
        Empty folder to work in.
    bids
        Folder with the raw scans of a real cohort, if they are needed.
    all_ancestors
        Also run all jobs on which this job depends, starting with the raw scans.
    repository
        Clone of the code.

    Raises
    ------
    InputError
        If no job wrote the file, an input differs from its record, the code is not available, or
        the job fails.
    """
    history = load_history(results)
    job = history.producer(history.name(target))
    if job is None:
        raise InputError(target, "no recorded job wrote this file", "Name an output of the study.")
    places = study_places(history, bids)
    jobs = history.ancestors(history.name(target)) if all_ancestors else [job]
    inputs = history.raw_inputs(jobs) if all_ancestors else list(job.inputs)
    scratch.mkdir(parents=True, exist_ok=True)
    logger.info("Checking %d inputs", len(inputs))
    _check_inputs(inputs, places)
    code = _prepare_code(job, scratch, repository)
    _prepare_settings(results, bids, scratch)
    _link(KEPT_KEYS if KEPT_KEYS.is_dir() else None, scratch / KEPT_KEYS)
    for file in inputs:
        if not file.path.startswith(f"{BIDS}/"):
            _link(places.find(file.path), scratch / _inside(file.path))
    _run(job, [one.rule for one in jobs], scratch, whole=all_ancestors)
    again = load_history(scratch / SCRATCH_RESULTS)
    return Replay(job, code, _differences(job, again), _compare(job, places, scratch))


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


def _run(job: Job, rules: list[str], scratch: Path, *, whole: bool) -> None:
    """Run the job, or also all jobs on which it depends, in the scratch folder."""
    wildcards = ",".join(f"{name}={value}" for name, value in job.wildcards.items())
    threads, resources = int(job.record["threads"]), job.record.get("resources", {})
    given = [f"{job.rule}:{name}={resources[name]}" for name in RESOURCES if name in resources]
    command = [sys.executable, "-m", "snakemake", "--cores", str(threads), "--nocolor"]
    command += ["--configfile", SETTINGS, "--set-threads", f"{job.rule}={threads}"]
    command += ["--set-resources", *given] if given else []
    command += [] if whole else ["--allowed-rules", *sorted(set(rules)), "--force"]
    command += ["--target-jobs", f"{job.rule}:{wildcards}"]
    logger.info("Running %s again", job.case)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    log = scratch / "replay.log"
    with log.open("w") as file:
        done = subprocess.run(
            command,
            cwd=scratch,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        raise InputError(
            f"{job.case} {job.id}",
            f"the job failed: {' | '.join(lines[-4:])}",
            "Add --keep DIR and read the logs in that folder.",
        )


def _differences(job: Job, again: History) -> tuple[str, ...]:
    """Parameters that differ between the recorded job and the new one."""
    new = [other for other in again.jobs if other.case == job.case]
    if not new or new[-1].status is not Status.COMPLETED:
        return ("its record: there is no record of the new job",)
    old, now = job.record["params"], new[-1].record["params"]
    names = sorted(name for name in {**old, **now} if old.get(name) != now.get(name))
    return tuple(f"parameter {name}: {old.get(name)} before, {now.get(name)} now" for name in names)


def _compare(job: Job, places: Places, scratch: Path) -> dict[str, Comparison]:
    found = {}
    for file in job.outputs:
        kept = places.find(file.path) or Path()
        found[file.path] = compare_files(kept, scratch / _inside(file.path))
    return found


def _inside(name: str) -> str:
    """Path of a file in the scratch folder."""
    return name.replace(RESULTS, SCRATCH_RESULTS, 1)
