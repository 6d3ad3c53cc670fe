"""Rule entry point: the true volumes of the simulated people as codes, the probes' yardstick."""

from pathlib import Path

import numpy as np

from ldae.codes import true_volume_codes
from ldae.entry import rule_entry
from ldae.volumes import read_index

with rule_entry(snakemake) as run:
    truth = Path(snakemake.input.truth) / "volumes.tsv"
    codes = true_volume_codes(truth, read_index(Path(snakemake.input.index)))
    np.save(snakemake.output.codes, codes)
