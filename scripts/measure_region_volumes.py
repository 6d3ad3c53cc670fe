"""Rule entry point: volumes of structures read off every scan, as a table and as codes."""

from pathlib import Path

import numpy as np
import pandas as pd

from ldae.data.volumes import VolumeStore
from ldae.evaluation.codes import measure_region_volumes, region_volume_codes
from ldae.evaluation.regions import region_atlas
from ldae.preprocessing.resampling import grid_affine
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    quality = pd.read_csv(snakemake.input.quality, sep="\t", dtype={"scan": str})
    table = measure_region_volumes(
        store,
        region_atlas(store.shape, grid_affine(**snakemake.params.grid)),
        quality.set_index("scan")["scale"],
        snakemake.resources.micro_batch,
    )
    table.to_csv(
        Path(snakemake.output.table), sep="\t", index=False, float_format="%.4f",
        lineterminator="\n",
    )  # fmt: skip
    np.save(snakemake.output.codes, region_volume_codes(table))
