"""Rule entry point: train the unconditional diffusion prior in the latent space."""

from pathlib import Path

from ldae.data.latents import LatentStore, read_scale
from ldae.training.diffusion import train_prior
from ldae.training.fit import TrainingJob
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    train_prior(
        latents=LatentStore(
            snakemake.input.mu,
            snakemake.input.sigma,
            snakemake.input.index,
            read_scale(snakemake.input.scale),
        ),
        diffusion=snakemake.params.diffusion,
        settings=snakemake.params.settings,
        job=TrainingJob(
            seed=run.seed,
            model_path=Path(snakemake.output.model),
            metrics_path=Path(snakemake.output.metrics),
            work_dir=Path(snakemake.params.work_dir),
            checkpoint_minutes=snakemake.resources.checkpoint_minutes,
        ),
    )
