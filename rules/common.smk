# Everything in Python that the rules share: settings, the plan of the study, and small helpers.
import os
import sys
from pathlib import Path

from ldae.config import complete_config
from ldae.errors import InputError
from ldae.plan import (
    check_disk_space,
    cohort_fingerprint,
    disk_bytes,
    plan_study,
    summarize_cohort,
)
from ldae.progress import (
    ProgressHandler,
    expected_seconds,
    hide_traces,
    replace_messages,
)
from ldae.provenance.code import code_digest as digest_of_code
from ldae.provenance.seal import seal_records
from snakemake.logging import logger

# Threads that a job can use. Small networks gain little from a second core, two jobs side by side
# gain a whole one: on one machine a job takes half of the cores.
ALL_CORES = workflow.cores or 16
TRAINING_THREADS = min(8, max(1, ALL_CORES // 2))
BATCH_THREADS = min(4, max(1, ALL_CORES // 2))

# Priority of the rules that the rest waits for longest: they go first where cores are few.
LONGEST_WAY = 10

REPOSITORY = Path(workflow.basedir)


def stop_with(error):
    """End with the one line that says what to mend, without a trace of where it was noticed."""
    sys.exit(f"Error: {error}")


def config_files():
    """Files that the settings were read from, in that order."""
    given = [Path(name) for name in workflow.configfiles]
    return [Path(os.path.relpath(path)) for path in given if path.is_file()]


def code_digest(script):
    """Digest of scripts/<script>.py and of the library code that it imports."""
    return digest_of_code(REPOSITORY / "scripts" / f"{script}.py")


def results(path):
    """Path of a file or folder of the study for use in params, where <results> is not replaced."""
    return f"{config['pathvars']['results']}/{path}"


def bids_dir(wildcards):
    """Folder of the cohort's raw scans."""
    if config["cohort"]["source"] == "simulated":
        return results("cohort/bids")
    return config["bids_folder"]


def cohort_is_public(wildcards):
    """Whether people may be called by the labels of their cohort."""
    return config["cohort"]["source"] == "simulated" or config["cohort"]["public"]


def reference_volumes(wildcards):
    """Table of reference volumes of a real cohort; none if the settings name none."""
    name = config["evaluation"]["reference_volumes"]
    return f"{config['bids_folder']}/{name}" if name else []


def encoder_weights(wildcards):
    """Model that holds the encoder of a network; none for an untrained one."""
    if wildcards.network == "untrained":
        return []
    return f"{results(wildcards.network)}/model.safetensors"


def seal(log):
    """Seal the records of the jobs that ended, and say by which digest they are known."""
    sealed = seal_records(Path(results("")))
    if sealed:
        logger.info(f"Records sealed: seal {sealed.number}, sha256 {sealed.digest}")


def show_progress():
    """Show the state of the run on standard error."""
    expected = expected_seconds(
        REPOSITORY / "resources" / "expected_seconds.tsv", Path(results("benchmarks"))
    )
    replace_messages(logger, ProgressHandler(expected))


try:
    config.update(complete_config(config, config_files()))
    cohort = summarize_cohort(config)
    plan = plan_study(config, cohort)
    if workflow.is_main_process:
        check_disk_space(Path(results("")), disk_bytes(config, cohort))
except InputError as error:
    stop_with(error)

hide_traces(logger)
if workflow.is_main_process:
    for target, reason in plan.left_out.items():
        logger.info(f"Left out: {target}, because {reason}.")
    if not workflow.output_settings.dryrun:
        show_progress()


wildcard_constraints:
    batch=r"\d+",
    method="|".join(plan.methods),
    network="|".join(plan.networks),
    scored="|".join(plan.scored),
    task="|".join(plan.tasks) or "none",
