"""Rule entry point: write the study as a Provenance Run Crate."""

from pathlib import Path

from ldae.provenance.crate import write_crate
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    write_crate(Path(snakemake.input.page).parent, Path(snakemake.output.crate))
