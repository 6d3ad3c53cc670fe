"""Rule entry point: make the table of an evaluation from the scores of its scans."""

from pathlib import Path

from ldae.entry import rule_entry
from ldae.scores import read_scores, tabulate_scores
from ldae.tables import write_table

with rule_entry(snakemake) as run:
    name = snakemake.wildcards.scored
    table = tabulate_scores(
        read_scores([Path(path) for path in snakemake.input.scores], name),
        name,
        cohort=snakemake.params.study,
        n_bootstrap=snakemake.params.n_bootstrap,
        seed=run.seed,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
