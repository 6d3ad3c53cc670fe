"""Rule entry point: decide which subject is in which split."""

from pathlib import Path

from ldae.data.bids import read_cohort
from ldae.data.intake.settings import Intake
from ldae.data.kept_cohort import read_kept
from ldae.data.manifest import read_scans, write_visits
from ldae.data.splits import make_split, note_places, places_key, read_places
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    settings = {**snakemake.params.settings, "file": snakemake.input.given or None}
    path = Path(snakemake.output.split)
    real = not snakemake.input.scans
    if real:
        reading = snakemake.params.reading
        intake = Intake.from_settings(reading["intake"])
        bids_dir, kept = Path(snakemake.params.bids_dir), read_kept(reading["kept"])
        scans = (kept or read_cohort(bids_dir, reading["public"], intake)).scans
    else:
        scans = read_scans(Path(snakemake.input.scans))
    keep = real and settings["file"] is None and settings["folds"] is None
    key = places_key(settings, run.seed)
    kept, noted = read_places(path.parent, key) if keep else ({}, None)
    run.add_inputs([noted])
    split = make_split(scans, settings, run.seed, kept)
    split.to_csv(path, sep="\t", index=False)
    write_visits(scans, Path(snakemake.output.visits))
    if keep and (new := note_places(path.parent, key, split)):
        run.add_outputs([new])
