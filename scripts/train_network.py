"""Rule entry point: train a network, or continue where an earlier attempt stopped."""

from pathlib import Path

from ldae.data.local import local_copies
from ldae.references import resolve
from ldae.slurm import process_count
from ldae.training.checkpoints import snapshot_step
from ldae.training.job import TrainingData, TrainingJob
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    kept = map(Path, dict(snakemake.output.items()).get("kept", []))
    job = TrainingJob(
        seed=run.seed,
        model_path=Path(snakemake.output.model),
        metrics_path=Path(snakemake.output.metrics),
        work_dir=Path(snakemake.params.work_dir),
        checkpoint_minutes=snakemake.resources.checkpoint_minutes,
        code=snakemake.params.code,
        kept={snapshot_step(path): path for path in kept},
    )
    # processes of one training on several GPUs would each make copies
    copied = bool(snakemake.resources.local_copy) and process_count() == 1
    with local_copies(dict(snakemake.input.items()), copied) as files:
        train = resolve(snakemake.params.train)
        train(TrainingData.of_files(files), snakemake.params.sections, job)
