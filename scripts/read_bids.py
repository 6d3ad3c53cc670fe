"""Rule entry point: list the cohort's scans with their SHA-256, and what was left out."""

from pathlib import Path

from ldae.data.bids import cohort_tables, read_bids, tabulate_notices
from ldae.data.intake.settings import Intake
from ldae.data.manifest import write_scans
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    bids_dir = Path(snakemake.params.bids_dir)
    public, intake = snakemake.params.public, Intake.from_settings(snakemake.params.intake)
    run.add_inputs(cohort_tables(bids_dir, intake))
    cohort = read_bids(bids_dir, run.threads, public, intake)
    write_scans(cohort.scans, Path(snakemake.output.scans))
    notices = tabulate_notices(cohort.notices, bids_dir, public)
    notices.to_csv(snakemake.output.notices, sep="\t", index=False, lineterminator="\n")
