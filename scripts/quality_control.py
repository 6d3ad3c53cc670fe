"""Rule entry point: decide which preprocessed scans pass, show them all, describe the data set."""

from pathlib import Path

from ldae.data.addresses import Derivative, derivative_paths, mask_paths
from ldae.data.manifest import read_rivals, read_visits
from ldae.data.partition import read_batches
from ldae.preprocessing.dataset import describe_dataset, write_description
from ldae.preprocessing.decisions import apply_decisions, rate_agreement, read_decisions
from ldae.preprocessing.quality import plot_quality_control, quality_control
from ldae.preprocessing.quality_page import write_quality_page
from ldae.preprocessing.repeats import taken_files
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    bids_dir = Path(snakemake.params.bids_dir)
    preprocessed = Path(snakemake.params.preprocessed)
    reference_masks = snakemake.params.limits["reference_masks"]
    scans = (read_rivals if reference_masks else read_visits)(Path(snakemake.input.scans))
    kinds = [Derivative.VOLUME, Derivative.SIDECAR, Derivative.PREVIEW]
    kinds += [Derivative.NATIVE_MASK] if reference_masks else []
    run.add_inputs(derivative_paths(preprocessed, scans["scan"], *kinds))
    batches = read_batches(map(Path, snakemake.input.batches))
    scans = taken_files(scans, batches)
    run.add_inputs(mask_paths(reference_masks, scans, bids_dir))
    table = quality_control(
        scans=scans,
        batches=batches,
        preprocessed=preprocessed,
        limits=snakemake.params.limits,
        bids_dir=bids_dir,
    )
    agreement = []
    if snakemake.params.limits["decisions"]:
        decisions = read_decisions(map(Path, snakemake.input.decisions))
        table, agreement = apply_decisions(table, decisions), rate_agreement(decisions)
    table.to_csv(snakemake.output.table, sep="\t", index=False)
    plot_quality_control(table, preprocessed, Path(snakemake.output.overview), run.seed)
    write_quality_page(table, preprocessed, Path(snakemake.output.page), agreement)
    write_description(
        describe_dataset(snakemake.params.study, batches["sha256"], bids_dir),
        Path(snakemake.output.description),
        Path(snakemake.output.ignore),
    )
