"""Rule entry point: train the joint variant of the LDAE."""

from pathlib import Path

from ldae.data.latents import LatentStore, read_scale
from ldae.data.volumes import VolumeStore
from ldae.training.fit import TrainingJob
from ldae.training.joint import train_ldae_joint
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    train_ldae_joint(
        store=VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index),
        latents=LatentStore(
            snakemake.input.mu,
            snakemake.input.sigma,
            snakemake.input.index,
            read_scale(snakemake.input.scale),
        ),
        spacing_mm=snakemake.params.spacing_mm,
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
