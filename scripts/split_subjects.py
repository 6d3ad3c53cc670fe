"""Rule entry point: decide which subject is in which split."""

from pathlib import Path

from ldae.data.manifest import read_scans
from ldae.data.splits import make_split, note_places, places_key, read_places
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    settings = {**snakemake.params.settings, "file": snakemake.input.given or None}
    path = Path(snakemake.output.split)
    keep = snakemake.params.keep and settings["file"] is None
    key = places_key(settings, run.seed)
    kept, noted = read_places(path.parent, key) if keep else ({}, None)
    run.add_inputs([noted])
    split = make_split(read_scans(Path(snakemake.input.scans)), settings, run.seed, kept)
    split.to_csv(path, sep="\t", index=False)
    if keep and (new := note_places(path.parent, key, split)):
        run.add_outputs([new])
