"""Rule entry point: train the semantic encoder's architecture on the labels."""

from ldae.entry import rule_entry
from ldae.training.fit import TrainingJob
from ldae.training.supervised import train_supervised
from ldae.volumes import VolumeStore

with rule_entry(snakemake) as run:
    run.add_inputs([snakemake.params.encoder["pretrained"]])
    train_supervised(
        store=VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index),
        encoder=snakemake.params.encoder,
        settings=snakemake.params.settings,
        job=TrainingJob.of(snakemake),
    )
