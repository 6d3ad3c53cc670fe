"""Rule entry point: train the autoencoder that compresses a scan."""

from pathlib import Path

from ldae.data.volumes import VolumeStore
from ldae.training.autoencoder import train_autoencoder
from ldae.training.fit import TrainingJob
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    run.add_inputs([snakemake.params.settings["perceptual_weights_file"]])
    train_autoencoder(
        store=VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index),
        settings=snakemake.params.settings,
        job=TrainingJob(
            seed=run.seed,
            model_path=Path(snakemake.output.model),
            metrics_path=Path(snakemake.output.metrics),
            work_dir=Path(snakemake.params.work_dir),
            checkpoint_minutes=snakemake.resources.checkpoint_minutes,
        ),
    )
