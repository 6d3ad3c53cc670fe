"""Rule entry point: list the cohort's scans, one row each, with the SHA-256 of the file."""

from pathlib import Path

from ldae.bids import read_bids
from ldae.entry import rule_entry
from ldae.manifest import write_scans

with rule_entry(snakemake) as run:
    scans = read_bids(Path(snakemake.params.bids_dir), n_workers=run.threads)
    write_scans(scans, Path(snakemake.output.scans))
