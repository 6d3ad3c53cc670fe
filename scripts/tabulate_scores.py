"""Rule entry point: make the table of an evaluation from the scores of its scans."""

from pathlib import Path

from ldae.methods import Methods
from ldae.statistics.scores import read_scores, tabulate_scores
from ldae.statistics.tables import write_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    name = snakemake.wildcards.scored
    table = tabulate_scores(
        read_scores([Path(path) for path in snakemake.input.scores], name),
        name,
        Methods.from_params(snakemake.params.methods),
        cohort=snakemake.params.study,
        n_bootstrap=snakemake.params.n_bootstrap,
        seed=run.seed,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
