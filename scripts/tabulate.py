"""Rule entry point: make a table of the registry."""

from pathlib import Path

from ldae.conclusions.sources import make
from ldae.methods import Methods
from ldae.statistics.tables import write_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    table = make(
        snakemake.params.recipe,
        snakemake.params.arguments,
        dict(snakemake.input.items()),
        methods=Methods.from_params(snakemake.params.methods),
        left_out=snakemake.params.left_out,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
