"""Rule entry point: gather the paper's claims, by its protocol and by the workflow's."""

from pathlib import Path

from ldae.conclusions.claims import tabulate_claims
from ldae.statistics.tables import read_table, write_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    names = zip(snakemake.params.claimed, snakemake.input.tables, strict=True)
    tables = {name: read_table(Path(path)) for name, path in names}
    table = tabulate_claims(tables, snakemake.params.settings)
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
