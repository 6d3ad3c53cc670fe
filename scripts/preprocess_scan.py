"""Rule entry point: preprocess one batch of scans; a broken scan fails alone."""

from pathlib import Path

from ldae.data.addresses import mask_paths
from ldae.data.bids import list_scans
from ldae.data.intake.settings import Intake
from ldae.data.kept_cohort import read_kept
from ldae.data.manifest import scan_files
from ldae.data.partition import belongs, clear_batch, share_participants
from ldae.preprocessing import preprocess_batch
from ldae.preprocessing.unchanged import READING, decisive, unchanged_scans
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    batch, preprocessed = snakemake.wildcards.batch, Path(snakemake.params.preprocessed)
    bids_dir, settings = Path(snakemake.params.bids_dir), snakemake.params.settings
    reading, limits = snakemake.params.reading, snakemake.params.limits
    intake = Intake.from_settings(reading["intake"])
    kept = read_kept(reading["kept"])
    scans = kept.scans if kept else list_scans(bids_dir, reading["public"], intake)
    scans = scans[[belongs(subject, batch) for subject in scans["subject"]]]
    files = scan_files(scans)
    run.add_inputs(bids_dir / path for path in files["path"])
    if settings["brain_extraction"] == "precomputed":
        run.add_inputs(mask_paths(settings["mask_pattern"], files, bids_dir))
    run.add_outputs(preprocessed / subject for subject in scans["subject"].unique())
    if not run.pieces.begun:
        earlier = run.earlier_jobs(share_participants, decisive, READING)
        unchanged = unchanged_scans(scans, bids_dir, preprocessed, settings, earlier, limits)
        clear_batch(preprocessed, batch, kept=[one["scan"] for one in unchanged])
        for one in unchanged:
            run.pieces.put(one["scan"], one)
    table = preprocess_batch(
        scans=scans,
        bids_dir=bids_dir,
        out_dir=preprocessed,
        settings=settings,
        grid=snakemake.params.grid,
        n_workers=run.threads,
        pieces=run.pieces,
        limits=limits,
    )
    table.to_csv(snakemake.output.batch, sep="\t", index=False, lineterminator="\n")
