"""Rule entry point: judge what holds of the paper's claims, statement by statement."""

from pathlib import Path

from ldae.conclusions.verdicts import judge_claims
from ldae.methods import Methods
from ldae.statistics.tables import read_table, write_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    names = zip(snakemake.params.judged, snakemake.input.tables, strict=True)
    tables = {name: read_table(Path(path)) for name, path in names}
    table = judge_claims(
        tables,
        Methods.from_params(snakemake.params.methods),
        snakemake.params.settings,
        snakemake.params.left_out,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
