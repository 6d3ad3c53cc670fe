# Everything in Python that the rules share: settings, the plan of the study, and small helpers.
import difflib
import math
import os
import sys
from pathlib import Path

from ldae.workflow import containers
from ldae import slurm
from ldae.training.checkpoints import remove_checkpoints
from ldae.workflow.config import complete_config
from ldae.errors import InputError
from ldae.workflow.plan import (
    check_disk_space,
    check_weights,
    cohort_fingerprint,
    disk_bytes,
    mask_fingerprint,
    plan_study,
    summarize_cohort,
)
from ldae.workflow.progress import (
    PlanHandler,
    ProgressHandler,
    expected_seconds,
    hide_traces,
    replace_messages,
)
from ldae.provenance.code import code_digest as digest_of_code
from ldae.provenance.seal import seal_records
from ldae.methods import CODED, base_network, changed_section, networks_like, prior_of
from snakemake.logging import logger
from snakemake.resources import Resource
from snakemake.settings.types import DeploymentMethod
from snakemake.shell import shell

# Jobs that are submitted run on nodes of at least so many cores.
NODE_CORES = 16
# Snakemake counts nodes where jobs are submitted, and cores where they run on this machine.
SUBMITTED = workflow.remote_exec or workflow.resource_settings.nodes is not None

# Threads that a job can use. Small networks gain little from a second core, two jobs side by side
# gain a whole one: on one machine a job takes half of the cores.
ALL_CORES = NODE_CORES if SUBMITTED else workflow.cores or NODE_CORES
TRAINING_THREADS = min(8, max(1, ALL_CORES // 2))
BATCH_THREADS = min(4, max(1, ALL_CORES // 2))

# Priority of the rules that the rest waits for longest: they go first where cores are few.
LONGEST_WAY = 10

# Time that a training asks for, minutes: what most clusters allow. It stops before the limit, is
# submitted again and goes on. A network of the paper's size takes many such pieces, each a retry.
# The process that submits makes them: those of a rule would also be made in what a job has left of
# its time, and the last of them be killed there.
TRAINING_MINUTES = 1440
TRAINING_RETRIES = 20 if SUBMITTED and workflow.is_main_process else None

REPOSITORY = Path(workflow.basedir)


def stop_with(error):
    """End with the one line that says what to correct, without a trace of where it was noticed."""
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


def given_masks(wildcards):
    """Digest of the masks that take the place of brain extraction."""
    return mask_fingerprint(config, config["preprocessing"]["mask_pattern"])


def reference_masks(wildcards):
    """Digest of the masks that brain masks are held to."""
    return mask_fingerprint(config, config["quality"]["reference_masks"])


def pretrained_weights(wildcards):
    """Weights that an encoder starts from, if any; check_machine says which are missing."""
    name = section("encoder")(wildcards)["pretrained"]
    return name if name and Path(name).is_file() else []


def perceptual_weights(wildcards):
    """Weights of the perceptual loss, if there is one; check_machine says when they are missing."""
    settings = config["autoencoder"]
    name = (
        settings["perceptual_weights_file"] if settings["perceptual_weight"] else None
    )
    return name if name and Path(name).is_file() else []


def weights(network):
    """Trained weights of a network, for the training seed of the job that reads them."""
    return f"<results>/{network}/seed-{{seed}}/model.safetensors"


def encoder_weights(wildcards):
    """Model that holds the encoder of a network; none for an untrained one."""
    if network_changed(wildcards) == "untrained":
        return []
    folder = results(f"{wildcards.network}/seed-{wildcards.seed}")
    return f"{folder}/model.safetensors"


def network_changed(wildcards):
    """The network that an ablation changes; any other network is its own."""
    return base_network(config, wildcards.network)


def prior_weights(wildcards):
    """The prior that a network stands on: one of its own where an ablation changes the prior."""
    network = prior_of(config, wildcards.network)
    return f"{results(network)}/seed-{wildcards.seed}/model.safetensors"


def unless_supervised(dpath):
    """A setting for codes that were learned without labels; None for those learned from labels.

    Probes that predict training people would learn from codes that have seen their labels.
    """

    def value(wildcards):
        if base_network(config, wildcards.method) == "supervised":
            return None
        return lookup(within=config, dpath=dpath)

    return value


def training_seed(wildcards):
    """Seed of one training: its order of the data, initialisation and noise."""
    return int(wildcards.seed)


def checkpoint_folder(wildcards):
    """Folder of one training's checkpoints, outside its rule's outputs."""
    return results(f"checkpoints/{wildcards.network}-seed-{wildcards.seed}")


def variants(network):
    """Pattern of a network's own name and of those of its ablations, to constrain a wildcard."""
    return "|".join(networks_like(config, network))


def section(name):
    """Settings of a section, as a network or an ablation of it has them."""
    return lambda wildcards: changed_section(config, wildcards.network, name)


def of_all_seeds(path):
    """Files of all training seeds."""
    return expand(path, seed=plan.seeds, allow_missing=True)


def of_first_seed(path):
    """File of the first training seed, which figures of single scans show."""
    return of_all_seeds(path)[0]


def image(stage):
    """Image of a stage; used with --software-deployment-method apptainer."""
    return containers.image_path(stage)


def memory(base, scans=0.0):
    """Memory that a rule asks for, MB; half as much again with the second and third attempt.

    Later attempts are those of trainings that go on in pieces, and need no more. base is what any
    study needs, scans the number of copies of all scans (float32) held at a time.
    """
    needed = base + scans * cohort.n_scans * plan.scan_bytes / 1e6
    return lambda wildcards, attempt: round(needed * (1 + 0.5 * min(attempt - 1, 2)))


def minutes(base, per_scan=0.0, n_scans=None):
    """Time that a rule asks for, minutes; as much again with every further attempt."""
    needed = base + per_scan * (cohort.n_scans if n_scans is None else n_scans)
    return lambda wildcards, attempt: math.ceil(needed * attempt)


def uses(method):
    """Whether jobs run in environments of this kind."""
    return method in workflow.deployment_settings.deployment_method


def prepare_cluster():
    """Check what a run on a cluster or in containers needs; a plan is shown without them too."""
    planned_only = workflow.output_settings.dryrun
    if uses(DeploymentMethod.APPTAINER):
        if not planned_only:
            containers.check_images()
        elif not containers.has_apptainer():
            logger.info(
                "There is no Apptainer on this machine: a plan only, without containers."
            )
            workflow.deployment_settings.deployment_method = frozenset()
    if SUBMITTED:
        # profiles/default gives this machine's cores to every run; other machines have more
        workflow.global_resources["_cores"] = Resource("_cores", sys.maxsize)
        if not planned_only:
            slurm.check_cluster(Path.cwd())


def prepare_job():
    """Tell a submitted job its end, and let it start its processes if it has several tasks."""
    slurm.note_end_time()
    if workflow.remote_exec and slurm.starts_processes():
        shell.executable(str(REPOSITORY / "profiles" / "slurm" / "tasks" / "bash"))


def check_machine():
    """Stop when weights are missing or the disk is too small; a plan is shown all the same."""
    try:
        check_weights(config)
        check_disk_space(Path(results("")), disk_bytes(config, cohort))
    except InputError as error:
        if not workflow.output_settings.dryrun:
            raise
        logger.warning(f"This plan cannot be run here: {error}")


def check_profile():
    """Stop when a profile names an unknown rule, which Snakemake would ignore."""
    settings = workflow.resource_settings
    for name in {*settings.overwrite_resources, *settings.overwrite_threads}:
        if not workflow.is_rule(name):
            near = difflib.get_close_matches(
                name, [rule.name for rule in workflow.rules], n=1
            )
            remedy = f"Did you mean {near[0]}?" if near else "Take it out"
            stop_with(
                InputError(
                    "profile or command line", f"there is no rule {name}", remedy
                )
            )


def folders_outside():
    """Folders that jobs read and that a container does not show by itself."""
    named = [config["bids_folder"], config["encoder"]["pretrained"]]
    named += [config["autoencoder"]["perceptual_weights_file"]]
    found = [
        Path(name) if Path(name).is_dir() else Path(name).parent
        for name in named
        if name
    ]
    return [path for path in found if not path.resolve().is_relative_to(Path.cwd())]


def results_outside():
    """The results folder, made, if a container does not show it by itself."""
    folder = Path(results(""))
    if folder.resolve().is_relative_to(Path.cwd()):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return [folder]


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
    replace_messages(logger, ProgressHandler(expected, ALL_CORES // TRAINING_THREADS))


try:
    config.update(complete_config(config, config_files()))
    cohort = summarize_cohort(config)
    plan = plan_study(config, cohort)
    if workflow.is_main_process:
        check_machine()
        prepare_cluster()
    else:
        prepare_job()
except InputError as error:
    stop_with(error)

if uses(DeploymentMethod.APPTAINER):
    os.environ.update(
        containers.container_environment(
            os.environ, folders_outside(), results_outside()
        )
    )

hide_traces(logger)
if workflow.is_main_process:
    for target, reason in plan.left_out.items():
        logger.info(f"Left out: {target}, because {reason}.")
    if not workflow.output_settings.dryrun:
        show_progress()
    elif SUBMITTED:
        logger.addHandler(PlanHandler())


wildcard_constraints:
    batch=r"\d+",
    method="|".join(plan.methods),
    run=r"seed-\d+|shared",
    seed=r"\d+",
    scored="|".join(plan.scored),
    task="|".join(plan.tasks) or "none",
