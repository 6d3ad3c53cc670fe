"""Rule entry point: train the autoencoder that compresses a scan."""

from ldae.entry import rule_entry
from ldae.training.autoencoder import train_autoencoder
from ldae.training.fit import TrainingJob
from ldae.volumes import VolumeStore

with rule_entry(snakemake) as run:
    run.add_inputs([snakemake.params.settings["perceptual_weights_file"]])
    train_autoencoder(
        store=VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index),
        settings=snakemake.params.settings,
        job=TrainingJob.of(snakemake),
    )
