"""Rule entry point: true volumes of the simulated participants as codes, a reference for probes."""

from pathlib import Path

import numpy as np

from ldae.data.volumes import read_index
from ldae.evaluation.codes import true_volume_codes
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    truth = Path(snakemake.input.truth) / "volumes.tsv"
    codes = true_volume_codes(truth, read_index(Path(snakemake.input.index)))
    np.save(snakemake.output.codes, codes)
