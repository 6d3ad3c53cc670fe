"""What happens around a run: checks before the first job, and the environment of every job."""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakemake.resources import Resource
from snakemake.settings.types import DeploymentMethod
from snakemake.shell import shell

from ldae import paths, slurm
from ldae.errors import InputError
from ldae.provenance.seal import seal_records
from ldae.workflow import containers
from ldae.workflow.plan import check_disk_space, check_weights, disk_bytes
from ldae.workflow.progress import (
    PlanHandler,
    ProgressHandler,
    expected_seconds,
    hide_traces,
    replace_messages,
)
from ldae.workflow.study import Study

Workflow = Any
"""Snakemake's object of the run; it has no types."""

NODE_CORES = 16
"""Jobs that are submitted run on nodes of at least so many cores."""


def is_submitted(workflow: Workflow) -> bool:
    """Whether jobs are submitted: Snakemake counts nodes then, and cores on this machine."""
    return bool(workflow.remote_exec or workflow.resource_settings.nodes is not None)


def core_count(workflow: Workflow) -> int:
    """Cores of the machine that a job runs on."""
    return NODE_CORES if is_submitted(workflow) else workflow.cores or NODE_CORES


def prepare(workflow: Workflow, study: Study, repository: Path, logger: logging.Logger) -> None:
    """Make the process that reads the Snakefile ready: the main one, or that of one job.

    Parameters
    ----------
    workflow, logger
        Snakemake's.
    study
        The study.
    repository
        Folder of the Snakefile.

    Raises
    ------
    InputError
        If the study cannot be run on this machine.
    """
    paths.prefer_clone()
    if workflow.is_main_process:
        _check_machine(workflow, study, logger)
        _prepare_cluster(workflow, logger)
    else:
        _prepare_job(workflow, repository)
    if _uses_containers(workflow):
        outside = [path for path in study.folders if not path.resolve().is_relative_to(Path.cwd())]
        results = _results_outside(Path(study.results("")))
        os.environ.update(containers.container_environment(os.environ, outside, results))
    hide_traces(logger)
    if workflow.is_main_process:
        _report_plan(workflow, study, repository, logger)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the process with the one line of an error that the user can correct, without a trace."""
    try:
        yield
    except InputError as error:
        sys.exit(f"Error: {error}")


def check_profile(workflow: Workflow) -> None:
    """Stop when a profile or the command line names an unknown rule; Snakemake would ignore it.

    Raises
    ------
    InputError
        Naming the rule, and the one that may be meant.
    """
    settings = workflow.resource_settings
    for name in {*settings.overwrite_resources, *settings.overwrite_threads}:
        if not workflow.is_rule(name):
            near = difflib.get_close_matches(name, [rule.name for rule in workflow.rules], n=1)
            remedy = f"Did you mean {near[0]}?" if near else "Take it out"
            raise InputError("profile or command line", f"there is no rule {name}", remedy)


def seal(results: Path, logger: logging.Logger) -> None:
    """Seal the records of the jobs that ended, and say by which digest they are known."""
    sealed = seal_records(results)
    if sealed:
        logger.info(f"Records sealed: seal {sealed.number}, sha256 {sealed.digest}")


def _uses_containers(workflow: Workflow) -> bool:
    return DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method


def _check_machine(workflow: Workflow, study: Study, logger: logging.Logger) -> None:
    """Stop when weights are missing or the disk is too small; a plan is shown all the same."""
    try:
        check_weights(study.config)
        check_disk_space(Path(study.results("")), disk_bytes(study.config, study.cohort))
    except InputError as error:
        if not workflow.output_settings.dryrun:
            raise
        logger.warning(f"This plan cannot be run here: {error}")


def _prepare_cluster(workflow: Workflow, logger: logging.Logger) -> None:
    """Check what a run on a cluster or in containers needs; a plan is shown without them too."""
    planned_only = workflow.output_settings.dryrun
    if workflow.deployment_settings.deployment_method and not planned_only:
        paths.require_clone("software-deployment-method")
    if _uses_containers(workflow):
        if not planned_only:
            containers.check_images()
        elif not containers.has_apptainer():
            logger.info("There is no Apptainer on this machine: a plan only, without containers.")
            workflow.deployment_settings.deployment_method = frozenset()
    if is_submitted(workflow):
        # profiles/default gives this machine's cores to every run; other machines have more
        workflow.global_resources["_cores"] = Resource("_cores", sys.maxsize)
        if not planned_only:
            slurm.check_cluster(Path.cwd())


def _prepare_job(workflow: Workflow, repository: Path) -> None:
    """Give a submitted job its end, and let it start its processes if it has several tasks."""
    slurm.note_end_time()
    if workflow.remote_exec and slurm.starts_processes():
        shell.executable(str(repository / "profiles" / "slurm" / "tasks" / "bash"))


def _results_outside(folder: Path) -> list[Path]:
    """The results folder, made, if a container does not show it by itself."""
    if folder.resolve().is_relative_to(Path.cwd()):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return [folder]


def _report_plan(
    workflow: Workflow, study: Study, repository: Path, logger: logging.Logger
) -> None:
    """Say what is left out, and show the state of the run on standard error."""
    for line in study.notices:
        logger.info(line)
    for target, reason in {**study.plan.left_out, **study.plan.not_made}.items():
        logger.info(f"Left out: {target}, because {reason}.")
    if not workflow.output_settings.dryrun:
        expected = expected_seconds(
            repository / "resources" / "expected_seconds.tsv", Path(study.results("benchmarks"))
        )
        replace_messages(logger, ProgressHandler(expected, side_by_side(workflow)))
    elif is_submitted(workflow):
        logger.addHandler(PlanHandler())


def training_threads(workflow: Workflow) -> int:
    """Threads of a training: half of the cores, as two jobs side by side use them better."""
    return min(8, max(1, core_count(workflow) // 2))


def side_by_side(workflow: Workflow) -> int:
    """Trainings that run at a time."""
    return core_count(workflow) // training_threads(workflow)
