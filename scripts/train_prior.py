"""Rule entry point: train the unconditional diffusion prior in the latent space."""

from ldae.entry import rule_entry
from ldae.latents import LatentStore, read_scale
from ldae.training.diffusion import train_prior
from ldae.training.fit import TrainingJob

with rule_entry(snakemake):
    train_prior(
        latents=LatentStore(
            snakemake.input.mu,
            snakemake.input.sigma,
            snakemake.input.index,
            read_scale(snakemake.input.scale),
        ),
        diffusion=snakemake.params.diffusion,
        settings=snakemake.params.settings,
        job=TrainingJob.of(snakemake),
    )
