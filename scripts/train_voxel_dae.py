"""Rule entry point: train the conventional diffusion autoencoder in voxel space."""

from pathlib import Path

from ldae.data.volumes import VolumeStore
from ldae.training.diffusion import train_voxel_dae
from ldae.training.fit import TrainingJob
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    run.add_inputs([snakemake.params.encoder["pretrained"]])
    train_voxel_dae(
        store=VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index),
        diffusion=snakemake.params.diffusion,
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
