"""Rule entry point: train the joint variant of the LDAE."""

from pathlib import Path

from ldae.entry import rule_entry
from ldae.latents import LatentStore, read_scale
from ldae.training.joint import train_ldae_joint
from ldae.volumes import VolumeStore

with rule_entry(snakemake) as run:
    inputs = snakemake.input
    train_ldae_joint(
        store=VolumeStore(inputs.volumes, inputs.masks, inputs.index),
        latents=LatentStore(inputs.mu, inputs.sigma, inputs.index, read_scale(inputs.scale)),
        spacing_mm=snakemake.params.spacing_mm,
        diffusion=snakemake.params.diffusion,
        settings=snakemake.params.settings,
        seed=run.seed,
        model_path=Path(snakemake.output.model),
        metrics_path=Path(snakemake.output.metrics),
        work_dir=Path(snakemake.params.work_dir),
        checkpoint_minutes=snakemake.resources.checkpoint_minutes,
    )
