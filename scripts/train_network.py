"""Rule entry point: train a network, or continue where an earlier attempt stopped."""

from pathlib import Path

from ldae.references import resolve
from ldae.training.job import TrainingData, TrainingJob
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    resolve(snakemake.params.train)(
        TrainingData.of_files(dict(snakemake.input.items())),
        snakemake.params.sections,
        TrainingJob(
            seed=run.seed,
            model_path=Path(snakemake.output.model),
            metrics_path=Path(snakemake.output.metrics),
            work_dir=Path(snakemake.params.work_dir),
            checkpoint_minutes=snakemake.resources.checkpoint_minutes,
            code=snakemake.params.code,
        ),
    )
