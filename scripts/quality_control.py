"""Rule entry point: decide which preprocessed scans pass, and show them all."""

from pathlib import Path

from ldae.entry import rule_entry
from ldae.manifest import read_scans
from ldae.preprocessing.quality import plot_quality_control, quality_control
from ldae.preprocessing.quality_page import write_quality_page

with rule_entry(snakemake) as run:
    batches = [Path(batch) for batch in snakemake.input.batches]
    table = quality_control(
        read_scans(Path(snakemake.input.scans)),
        batches,
        snakemake.params.limits,
        Path(snakemake.params.bids_dir),
    )
    table.to_csv(snakemake.output.table, sep="\t", index=False)
    plot_quality_control(table, batches, Path(snakemake.output.overview), run.seed)
    write_quality_page(table, batches, Path(snakemake.output.page))
