"""Rule entry point: simulate raw heads in BIDS, and keep the truth about them apart."""

from pathlib import Path

from ldae.simulation.cohort import simulate_cohort
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    simulate_cohort(
        settings=snakemake.params.settings,
        seed=run.seed,
        bids_dir=Path(snakemake.output.bids),
        truth_dir=Path(snakemake.output.truth),
        n_workers=run.threads,
    )
