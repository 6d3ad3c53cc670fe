"""Rule entry point: codes of every scan by pooling its latent over space."""

import numpy as np

from ldae.evaluation.codes import pool_latents
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    codes = pool_latents(np.load(snakemake.input.mu, mmap_mode="r"))
    np.save(snakemake.output.codes, codes)
