"""What happens around a run: checks before the first job, and the environment of every job."""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snakemake.resources import Resource
from snakemake.settings.types import DeploymentMethod
from snakemake.shell import shell

from ldae import paths, slurm
from ldae.data.kept_cohort import KeptCohort, read_kept
from ldae.data.pseudonyms import keep_key
from ldae.errors import CohortError, InputError
from ldae.packages import PROGRAMS, check_ants, check_program
from ldae.provenance.seal import seal_records
from ldae.workflow import containers, gpu, slurm_states
from ldae.workflow.attempts import Attempts
from ldae.workflow.locks import release_left_locks
from ldae.workflow.plan import check_disk_space, check_references, check_weights, disk_bytes
from ldae.workflow.pretrained import check_pretrained
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

KEPT_COHORT = "LDAE_KEPT_COHORT"
"""Environment variable that names the file of the cohort that the main process has read."""

KEPT_FOLDER = Path(".snakemake") / "ldae"
"""Folder of that file, in the working folder."""

DERIVED_RULES = {"train_followed": "train_network"}
"""Rules made by ``use rule``, and of which rule: what a profile gives that one holds for them."""

FAULTS = "cohort_faults.tsv"
"""File in the results folder with the faults of a cohort that cannot be used."""


def is_submitted(workflow: Workflow) -> bool:
    """Whether jobs are submitted: Snakemake counts nodes then, and cores on this machine."""
    return bool(workflow.remote_exec or workflow.resource_settings.nodes is not None)


def config_files(workflow: Workflow) -> list[Path]:
    """Files that the settings were read from, in that order."""
    given = [Path(name) for name in workflow.configfiles]
    return [Path(os.path.relpath(path)) for path in given if path.is_file()]


def gpu_resources(workflow: Workflow, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Resources by which rules ask for a GPU.

    Parameters
    ----------
    workflow
        Snakemake's.
    settings
        Section ``gpu``.
    """
    counted = "gpu" in workflow.global_resources
    return gpu.requested_resources(settings, is_submitted(workflow) or counted)


def core_count(workflow: Workflow) -> int:
    """Cores of the machine that a job runs on."""
    return NODE_CORES if is_submitted(workflow) else workflow.cores or NODE_CORES


def kept_cohort(workflow: Workflow) -> KeptCohort | None:
    """The cohort as the main process has read it, in the process of a job.

    None in the main process, for a simulated cohort, and where the file does not reach the job:
    the cohort is read then.
    """
    return None if workflow.is_main_process else read_kept(os.environ.get(KEPT_COHORT))


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
    share_requests(workflow)
    if workflow.is_main_process:
        if not workflow.output_settings.dryrun and release_left_locks(Path.cwd()):
            logger.info("An earlier run was killed: its lock of this folder is removed.")
        _check_machine(workflow, study, logger)
        _keep_pseudonyms(workflow, study, logger)
        _keep_cohort(workflow, study)
        _prepare_cluster(workflow, study, logger)
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
def one_line_errors(config: Mapping[str, Any]) -> Iterator[None]:
    """End the process with the one line of an error that the user can correct, without a trace.

    If there are more faults than a line can show, all of them are written into the results folder,
    in a file that is removed when there are none left.

    Parameters
    ----------
    config
        Settings, perhaps not yet complete.
    """
    folders = config.get("pathvars")
    results = folders.get("results") if isinstance(folders, Mapping) else None
    listed = Path(results) / FAULTS if isinstance(results, str) else None
    try:
        yield
    except InputError as error:
        more = ""
        if listed is not None and isinstance(error, CohortError):
            more = f" All of them are listed in {listed}." if _list_faults(error, listed) else ""
        sys.exit(f"Error: {error}{more}")
    if listed is not None:
        with contextlib.suppress(OSError):
            listed.unlink(missing_ok=True)


def _list_faults(error: CohortError, path: Path) -> bool:
    """Write all faults, one a line; False if that is not possible."""
    rows = ["source\tproblem\tremedy"]
    rows += [f"{fault.source}\t{fault.problem}\t{fault.remedy}" for fault in error.errors]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    except OSError:
        return False
    return True


def share_requests(workflow: Workflow) -> None:
    """Let what a profile or the command line gives a rule hold for the rules made of it, too.

    A line of their own comes first. Snakemake reads these settings when it meets a rule, so that
    this is called before the first one.

    Parameters
    ----------
    workflow
        Snakemake's.
    """
    settings = workflow.resource_settings
    resources, threads = dict(settings.overwrite_resources), dict(settings.overwrite_threads)
    for name, of in DERIVED_RULES.items():
        if of in resources:
            own = resources.get(name, {})
            resources[name] = resources[of].copy()
            resources[name].update(own)
        if of in threads:
            threads.setdefault(name, threads[of])
    settings.overwrite_resources, settings.overwrite_threads = resources, threads


def check_profile(workflow: Workflow, gpus: Mapping[str, Any]) -> None:
    """Stop when a profile or the command line names an unknown rule; Snakemake would ignore it.

    So it does when one takes the GPU from a rule: the job would compute for weeks on a processor.

    Parameters
    ----------
    workflow
        Snakemake's.
    gpus
        Section ``gpu``.

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
    if is_submitted(workflow) and gpus["request"] != "none":
        for rule in workflow.rules:
            if "gpu" in rule.resources and not gpu.number_asked(_fixed(rule.resources)):
                raise InputError(
                    "profile or command line",
                    f"rule {rule.name} is submitted without the GPU that it uses",
                    f"Take gpu and gres of {rule.name} out of set-resources; to compute on "
                    "processors, set gpu: {request: none}",
                )


def check_scheduler(workflow: Workflow, results: Path) -> None:
    """Stop before the first job if jobs go to SLURM and it is not there or does not answer.

    Which plugin submits is known only when Snakemake starts; other plugins look for their own
    commands. The names of jobs say which study they belong to, so that one run of it waits for the
    jobs of another and not for those of other studies.

    Parameters
    ----------
    workflow
        Snakemake's.
    results
        Results folder of the study.

    Raises
    ------
    InputError
        If a command of SLURM is missing, or it does not answer.
    """
    if workflow.executor_plugin is not None and workflow.executor_plugin.name == "slurm":
        slurm.check_commands()
        slurm.check_left_jobs(results, Path.cwd())
        executor = workflow.scheduler._executor  # made already; no job is submitted yet
        executor.run_uuid = f"{slurm.study_tag(results)}_{executor.run_uuid}"
        slurm_states.settle()
        slurm_states.ask_steadily(executor)


def seal(results: Path, logger: logging.Logger) -> None:
    """Seal the records of the jobs that ended, and say by which digest they are known."""
    sealed = seal_records(results)
    if sealed:
        logger.info(
            f"Records sealed: seal {sealed.number}, sha256 {sealed.digest}, short {sealed.short}"
        )


def _fixed(resources: Mapping[str, Resource]) -> dict[str, Any]:
    """Values of a rule's resources that no job decides."""
    return {name: r.value for name, r in resources.items() if not r.is_evaluable()}


def _uses_containers(workflow: Workflow) -> bool:
    return DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method


def check_packages(workflow: Workflow, config: Mapping[str, Any]) -> None:
    """Stop when the environment that all rules share lacks what a setting needs.

    An environment of a stage of its own, by conda or in a container, has the packages. Programs are
    looked for where jobs run: in a container and on another machine by the job itself.

    Raises
    ------
    InputError
        If a package or a program is missing.
    """
    settings, methods = config["preprocessing"], workflow.deployment_settings.deployment_method
    own = {DeploymentMethod.APPTAINER, DeploymentMethod.CONDA}
    if not own & set(methods):
        check_ants(settings)
    extraction = settings["brain_extraction"]
    here = DeploymentMethod.APPTAINER not in methods and extraction in PROGRAMS
    if here and not is_submitted(workflow):
        check_program(extraction)


def _check_machine(workflow: Workflow, study: Study, logger: logging.Logger) -> None:
    """Stop when named files are missing or the disk is too small; a plan is shown all the same."""
    try:
        check_weights(study.config)
        check_pretrained(study.config, study.variants.values())
        check_packages(workflow, study.config)
        check_references(study.config, study.cohort)
        check_disk_space(Path(study.results("")), disk_bytes(study.config, study.cohort))
    except InputError as error:
        if not workflow.output_settings.dryrun:
            raise
        logger.warning(f"This plan cannot be run here: {error}")


def _keep_pseudonyms(workflow: Workflow, study: Study, logger: logging.Logger) -> None:
    """Keep the key of a restricted cohort's pseudonyms before the first job; a plan writes none."""
    if study.public or workflow.output_settings.dryrun:
        return
    written = keep_key(Path(study.bids_dir(None)))
    if written is not None:
        logger.info(f"The key of the participants' pseudonyms is kept in {written}")


def _keep_cohort(workflow: Workflow, study: Study) -> None:
    """Keep a real cohort for the jobs, so that they do not read it again; a plan has none."""
    os.environ.pop(KEPT_COHORT, None)  # of a run in which this one was started
    if study.simulated or workflow.output_settings.dryrun:
        return
    os.environ[KEPT_COHORT] = str(study.keep_cohort(KEPT_FOLDER).absolute())
    workflow.register_envvars(KEPT_COHORT)  # for schedulers whose jobs have no other variables


def _prepare_cluster(workflow: Workflow, study: Study, logger: logging.Logger) -> None:
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
        study.demands.longest = min(
            study.demands.longest, slurm.longest_minutes(_partitions(workflow, study))
        )
        # profiles/default gives this machine's cores to every run; other machines have more
        workflow.global_resources["_cores"] = Resource("_cores", sys.maxsize)
        if not planned_only:
            with contextlib.suppress(slurm.NoAnswerError):  # there may be another scheduler
                slurm.check_left_jobs(Path(study.results("")), Path.cwd())


def _partitions(workflow: Workflow, study: Study) -> list[str]:
    """Partitions that jobs are submitted to; the default one, where none is named, is empty."""
    defaults = workflow.resource_settings.default_resources or {}
    default = getattr(defaults.get("slurm_partition"), "raw", None)  # an unevaluated expression
    of_gpus = study.config["gpu"]["partition"]
    return [str(default or ""), *([str(of_gpus)] if of_gpus else [])]


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
        logger.addHandler(Attempts(workflow))
    elif is_submitted(workflow):
        logger.addHandler(PlanHandler())


def training_threads(workflow: Workflow) -> int:
    """Threads of a training: half of the cores, as two jobs side by side use them better."""
    return min(8, max(1, core_count(workflow) // 2))


def side_by_side(workflow: Workflow) -> int:
    """Trainings that run at a time."""
    return core_count(workflow) // training_threads(workflow)
