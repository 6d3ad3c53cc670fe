"""Rule entry point: volumes of regions read off every scan, as codes."""

import numpy as np

from ldae.codes import region_volume_codes
from ldae.entry import rule_entry
from ldae.preprocessing.pipeline import grid_affine
from ldae.volumes import VolumeStore

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    codes = region_volume_codes(
        store, grid_affine(**snakemake.params.grid), snakemake.resources.micro_batch
    )
    np.save(snakemake.output.codes, codes)
