"""Rule entry point: train the semantic encoder and the gradient estimator on the frozen prior."""

from pathlib import Path

from ldae.data.latents import LatentStore, read_scale
from ldae.data.volumes import VolumeStore
from ldae.training.diffusion import train_ldae
from ldae.training.fit import TrainingJob
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    run.add_inputs([snakemake.params.encoder["pretrained"]])
    train_ldae(
        store=VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index),
        latents=LatentStore(
            snakemake.input.mu,
            snakemake.input.sigma,
            snakemake.input.index,
            read_scale(snakemake.input.scale),
        ),
        prior_path=Path(snakemake.input.prior),
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
