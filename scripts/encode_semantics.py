"""Rule entry point: semantic code of every scan from one network's encoder."""

from pathlib import Path

import numpy as np

from ldae.data.volumes import VolumeStore
from ldae.evaluation.codes import encode_semantics
from ldae.references import resolve
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    device = run.torch_device()
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    encoder = resolve(snakemake.params.encoder)(Path(snakemake.input.model), device)
    codes = encode_semantics(encoder, store, snakemake.resources.micro_batch, device)
    np.save(snakemake.output.codes, codes)
