# What the rules share: the study, and how much of the machine its jobs take.
from pathlib import Path

from ldae.training.checkpoints import remove_checkpoints
from ldae.workflow import containers, launch
from ldae.workflow.config import complete_config
from ldae.workflow.study import Study, not_compared, one_of
from snakemake.logging import logger

REPOSITORY = Path(workflow.basedir)

# Small networks gain little from a second core, two jobs side by side gain a whole one.
ALL_CORES = launch.core_count(workflow)
TRAINING_THREADS = launch.training_threads(workflow)
BATCH_THREADS = min(4, TRAINING_THREADS)

# Priority of the rules that the rest waits for longest: they go first where cores are few.
LONGEST_WAY = 10

# Attempts of a training without progress. They must come from the main process: a retry inside the
# job would be killed after the remaining minutes.
SUBMITTED = launch.is_submitted(workflow)
TRAINING_RETRIES = 20 if SUBMITTED and workflow.is_main_process else None

with launch.one_line_errors(config):
    config.update(complete_config(config, launch.config_files(workflow)))
    study = Study(config, REPOSITORY / "scripts", launch.kept_cohort(workflow))
    launch.prepare(workflow, study, REPOSITORY, logger)

plan = study.plan
results, code_digest = study.results, study.code
demands = study.demands
memory, minutes = demands.memory, demands.minutes

# Resources of rules that use a GPU.
ON_GPU = launch.gpu_resources(workflow, config["gpu"])
IN_PIECES = {**ON_GPU, "micro_batch": config["evaluation"]["micro_batch"]}
TRAINING = {**ON_GPU, "runtime": demands.training_minutes, "checkpoint_minutes": 10}
TRAINING["local_copy"] = int(config["site"]["local_copy"])


wildcard_constraints:
    batch="[01]+",
    figure=one_of(plan.drawn),
    method=one_of(study.probed),
    network=one_of(plan.networks),
    of=study.measured,
    run=r"seed-\d+|shared",
    seed=r"\d+",
    table=one_of(plan.tabulated),
