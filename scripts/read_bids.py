"""Rule entry point: list the cohort's scans, one row each, with the SHA-256 of the file."""

from pathlib import Path

from ldae.data.bids import cohort_tables, read_bids
from ldae.data.diagnoses import Diagnoses
from ldae.data.manifest import write_scans
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    bids_dir = Path(snakemake.params.bids_dir)
    run.add_inputs(cohort_tables(bids_dir))
    scans = read_bids(bids_dir, n_workers=run.threads, public=snakemake.params.public)
    diagnoses = Diagnoses(**snakemake.params.diagnoses)
    scans["diagnosis"] = diagnoses.rename(scans["diagnosis"])
    write_scans(scans, Path(snakemake.output.scans))
