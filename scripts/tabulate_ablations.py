"""Rule entry point: what the probes make of every ablation, beside the unchanged network."""

from pathlib import Path

from ldae.conclusions.ablations import tabulate_ablations
from ldae.methods import Methods
from ldae.statistics.predictions import read_predictions
from ldae.statistics.tables import write_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    table = tabulate_ablations(
        read_predictions([Path(path) for path in snakemake.input.predictions]),
        methods=Methods.from_params(snakemake.params.methods),
        changes=snakemake.params.changes,
        cohort=snakemake.params.study,
        seed=run.seed,
        n_bootstrap=snakemake.params.n_bootstrap,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
