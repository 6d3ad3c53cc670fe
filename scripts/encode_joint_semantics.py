"""Rule entry point: semantic code of every scan from the joint variant's encoder of latents."""

from pathlib import Path

import numpy as np

from ldae.entry import rule_entry
from ldae.latents import LatentStore, read_scale
from ldae.networks.joint import encode_joint_semantics, load_joint_network

with rule_entry(snakemake) as run:
    latents = LatentStore(
        snakemake.input.mu,
        snakemake.input.sigma,
        snakemake.input.index,
        read_scale(snakemake.input.scale),
    )
    network = load_joint_network(Path(snakemake.input.model), run.torch_device())
    codes = encode_joint_semantics(network, latents, snakemake.resources.micro_batch)
    np.save(snakemake.output.codes, codes)
