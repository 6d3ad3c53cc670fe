"""Rule entry point: measure the factor that brings the training latents to unit SD."""

import json
from pathlib import Path

import numpy as np

from ldae.data.volumes import read_index
from ldae.models.latents import measure_latent_scale
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    mu = np.load(snakemake.input.mu, mmap_mode="r")
    scale = measure_latent_scale(mu, read_index(Path(snakemake.input.index)))
    Path(snakemake.output.scale).write_text(json.dumps({"scale": scale}) + "\n")
