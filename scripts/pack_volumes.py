"""Rule entry point: pack the scans that passed quality control into one array and its index."""

from pathlib import Path

import pandas as pd

from ldae.data.addresses import Derivative, derivative_paths
from ldae.data.manifest import read_visits
from ldae.data.splits import read_split
from ldae.data.volumes import pack_volumes
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    qc = pd.read_csv(snakemake.input.qc, sep="\t")
    preprocessed = Path(snakemake.params.preprocessed)
    passed = qc.loc[qc["status"] == "pass", "scan"]
    run.add_inputs(derivative_paths(preprocessed, passed, Derivative.VOLUME, Derivative.MASK))
    pack_volumes(
        scans=read_visits(Path(snakemake.input.visits)),
        split=read_split(Path(snakemake.input.split)),
        qc=qc,
        preprocessed=preprocessed,
        shape=snakemake.params.shape,
        volumes_path=Path(snakemake.output.volumes),
        masks_path=Path(snakemake.output.masks),
        index_path=Path(snakemake.output.index),
    )
