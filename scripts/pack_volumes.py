"""Rule entry point: pack the scans that passed quality control into one array and its index."""

from pathlib import Path

import pandas as pd

from ldae.data.manifest import read_scans, read_split
from ldae.data.volumes import pack_volumes
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    pack_volumes(
        scans=read_scans(Path(snakemake.input.scans)),
        split=read_split(Path(snakemake.input.split)),
        qc=pd.read_csv(snakemake.input.qc, sep="\t"),
        batch_dirs=[Path(batch) for batch in snakemake.input.batches],
        shape=snakemake.params.shape,
        volumes_path=Path(snakemake.output.volumes),
        masks_path=Path(snakemake.output.masks),
        index_path=Path(snakemake.output.index),
    )
