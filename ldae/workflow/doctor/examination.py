"""What the machine on which a study is started is like, with its cluster and the study's plan."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from snakemake.cli import get_profile_dir

from ldae.errors import InputError
from ldae.paths import WORKFLOW
from ldae.workflow.config import Config, read_study
from ldae.workflow.doctor.device import device_checks
from ldae.workflow.doctor.findings import Sections, note, of_error, only_with, run_checks
from ldae.workflow.doctor.images import image_checks
from ldae.workflow.doctor.machine import machine_checks
from ldae.workflow.doctor.node import title
from ldae.workflow.doctor.requests import plan_checks
from ldae.workflow.doctor.scheduler import has_slurm, partitions, scheduler_checks
from ldae.workflow.doctor.trials import describe_trials
from ldae.workflow.plan import check_disk_space, disk_bytes, summarise_cohort
from ldae.workflow.study import Study

__all__ = ["examine_machine", "title"]

SLURM = "slurm"
"""Profile of the package, which a plan always has: it says what a job asks for."""

LOCAL = (
    "without --profile, a study runs on this machine, and SLURM is not used",
    "To examine a study that submits its jobs: ldae doctor --profile slurm --profile FOLDER",
)


def examine_machine(
    files: Sequence[Path], settings: Sequence[str], profiles: Sequence[Path], steps: bool
) -> Sections:
    """What was found on this machine, by part.

    Parameters
    ----------
    files, settings
        Of the study (:func:`ldae.workflow.config.read_study`). One that cannot be read is a
        problem, and everything else is examined.
    profiles
        Profiles of this site, or ``slurm``. Without one, the study would run on this machine, and
        a fault of its cluster or containers does not stop it.
    steps
        Whether to run a few steps of every network.
    """
    found: Sections = {}
    try:
        config = read_study(files, settings)
    except InputError as error:
        found["Study"] = [of_error("settings", error)]
        config = read_study([])
    submits = bool(profiles) and has_slurm()
    results = Path(config["pathvars"]["results"])
    found["This machine"] = run_checks(
        machine_checks(results, lambda: _check_disk(results, config), submits)
    )
    found["Scheduler"] = run_checks(scheduler_checks(status_command(profiles)))
    found["Containers"] = run_checks(image_checks(submits))
    if not profiles:
        for part in ("Scheduler", "Containers"):
            found[part] = only_with("Only for jobs on a cluster or in containers", found[part])
    if has_slurm() and not profiles:
        found["Scheduler"].append(note("jobs", *LOCAL))
    found["Device"] = run_checks(device_checks(needed=False))
    if "Study" not in found:
        command = plan_command(files, settings, profiles)
        found["Plan"] = run_checks(plan_checks(command, partitions() if submits else []))
    if steps:
        trials = Study(config, WORKFLOW / "scripts").trials
        checks = {"steps": lambda: describe_trials(**trials)}
        found["Steps of every network"] = run_checks(checks)
    return found


def status_command(profiles: Sequence[Path]) -> str:
    """Command by which jobs are followed, of the last profile that names one; else empty."""
    named = ""
    for profile in profiles:
        found, settings = get_profile_dir(str(profile)), None
        with contextlib.suppress(OSError, yaml.YAMLError):  # the check of the plan reports it
            settings = yaml.safe_load(found[1].read_text("utf-8")) if found else None
        if isinstance(settings, Mapping):
            named = str(settings.get("slurm-status-command", named))
    return named


def _check_disk(results: Path, config: Config) -> None:
    check_disk_space(results, disk_bytes(config, summarise_cohort(config)))


def plan_command(
    files: Sequence[Path], settings: Sequence[str], profiles: Sequence[Path]
) -> list[str]:
    """Command line of a dry run that shows what every job asks for."""
    command = ["snakemake", "--dry-run", "--forceall", "--nolock"]
    site = [profile for profile in profiles if profile != Path(SLURM)]
    for profile in (WORKFLOW / "profiles" / SLURM, *site):
        command += ["--profile", str(profile)]
    if files:
        command += ["--configfile", *map(str, files)]
    if settings:
        command += ["--config", *settings]
    return [*command, "--snakefile", str(WORKFLOW / "Snakefile")]
