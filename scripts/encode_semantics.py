"""Rule entry point: semantic code of every scan from one network's encoder."""

from pathlib import Path

import numpy as np

from ldae.codes import encode_semantics
from ldae.entry import rule_entry
from ldae.networks.joint import load_joint_network
from ldae.networks.semantic_encoder import encoder_settings, load_encoder, untrained_encoder
from ldae.networks.standard import measure_standard
from ldae.volumes import VolumeStore

with rule_entry(snakemake) as run:
    device = run.torch_device()
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    known = snakemake.input.model  # nothing for an untrained network
    if snakemake.params.base == "ldae_joint":
        encoder = load_joint_network(Path(known), device).encoder
    elif not known:
        settings = encoder_settings(snakemake.params.encoder, store.shape)
        standard = measure_standard(store) if settings["standard_shape"] else None
        encoder = untrained_encoder(settings, standard, run.seed, device)
    else:
        encoder = load_encoder(Path(known), device)
    codes = encode_semantics(encoder, store, snakemake.resources.micro_batch, device)
    np.save(snakemake.output.codes, codes)
