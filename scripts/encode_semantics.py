"""Rule entry point: semantic code of every scan from one network's encoder."""

from pathlib import Path

import numpy as np

from ldae.data.volumes import VolumeStore
from ldae.evaluation.codes import encode_semantics
from ldae.networks.encoders import load_encoder
from ldae.networks.joint import load_joint_network
from ldae.training.encoder_start import untrained_encoder
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    device = run.torch_device()
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    known = snakemake.input.model  # nothing for an untrained network
    if snakemake.params.base == "ldae_joint":
        encoder = load_joint_network(Path(known), device).encoder
    elif not known:
        encoder = untrained_encoder(snakemake.params.encoder, store, run.seed, device)
    else:
        encoder = load_encoder(Path(known), device)
    codes = encode_semantics(encoder, store, snakemake.resources.micro_batch, device)
    np.save(snakemake.output.codes, codes)
