"""Rule entry point: decide which subject is in which split."""

from ldae.entry import rule_entry
from ldae.manifest import read_scans, split_subjects

with rule_entry(snakemake) as run:
    split = split_subjects(read_scans(snakemake.input.scans), snakemake.params.fractions, run.seed)
    split.to_csv(snakemake.output.split, sep="\t", index=False)
