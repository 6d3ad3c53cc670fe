"""Rule entry point: measure the factor that brings the training latents to unit SD, or keep one."""

import json
from pathlib import Path

import numpy as np

from ldae.data.latents import read_scale
from ldae.data.volumes import read_index
from ldae.models.latents import measure_latent_scale
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    if snakemake.input.kept:
        scale = read_scale(Path(snakemake.input.kept))
    else:
        mu = np.load(snakemake.input.mu, mmap_mode="r")
        scale = measure_latent_scale(mu, read_index(Path(snakemake.input.index)))
    Path(snakemake.output.scale).write_text(json.dumps({"scale": scale}) + "\n")
