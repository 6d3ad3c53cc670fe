"""Rule entry point: decide which preprocessed scans pass, and show them all."""

from pathlib import Path

from ldae.data.manifest import read_scans
from ldae.preprocessing.brain import mask_paths
from ldae.preprocessing.quality import plot_quality_control, quality_control
from ldae.preprocessing.quality_page import write_quality_page
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    scans = read_scans(Path(snakemake.input.scans))
    bids_dir = Path(snakemake.params.bids_dir)
    run.add_inputs(mask_paths(snakemake.params.limits["reference_masks"], scans, bids_dir))
    batches = [Path(batch) for batch in snakemake.input.batches]
    table = quality_control(
        scans,
        batches,
        snakemake.params.limits,
        bids_dir,
    )
    table.to_csv(snakemake.output.table, sep="\t", index=False)
    plot_quality_control(table, batches, Path(snakemake.output.overview), run.seed)
    write_quality_page(table, batches, Path(snakemake.output.page))
