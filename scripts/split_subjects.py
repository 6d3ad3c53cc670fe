"""Rule entry point: decide which subject is in which split."""

from ldae.data.manifest import check_interpolation, read_scans, split_subjects
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    scans = read_scans(snakemake.input.scans)
    split = split_subjects(scans, snakemake.params.fractions, run.seed)
    if snakemake.params.interpolation:
        check_interpolation(scans, split)
    split.to_csv(snakemake.output.split, sep="\t", index=False)
