"""Rule entry point: encode every scan into the mean and SD of its latent."""

from pathlib import Path

from ldae.data.volumes import VolumeStore
from ldae.models.latents import encode_latents
from ldae.networks.autoencoder import load_autoencoder
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    device = run.torch_device()
    encode_latents(
        autoencoder=load_autoencoder(Path(snakemake.input.autoencoder), device),
        store=VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index),
        batch_size=snakemake.resources.micro_batch,
        device=device,
        mu_path=Path(snakemake.output.mu),
        sigma_path=Path(snakemake.output.sigma),
    )
