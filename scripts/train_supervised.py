"""Rule entry point: train the semantic encoder's architecture on the labels."""

from pathlib import Path

from ldae.data.volumes import VolumeStore
from ldae.training.fit import TrainingJob
from ldae.training.supervised import train_supervised
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    run.add_inputs([snakemake.params.encoder["pretrained"]])
    train_supervised(
        store=VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index),
        encoder=snakemake.params.encoder,
        settings=snakemake.params.settings,
        job=TrainingJob(
            seed=run.seed,
            model_path=Path(snakemake.output.model),
            metrics_path=Path(snakemake.output.metrics),
            work_dir=Path(snakemake.params.work_dir),
            checkpoint_minutes=snakemake.resources.checkpoint_minutes,
        ),
    )
