"""Rule entry point: what the probes make of every ablation, beside the unchanged network."""

from pathlib import Path

from ldae.conclusions.ablations import tabulate_ablations
from ldae.statistics.predictions import read_predictions
from ldae.statistics.tables import write_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    ablations = snakemake.params.ablations
    table = tabulate_ablations(
        read_predictions([Path(path) for path in snakemake.input.predictions]),
        networks={name: ablation["network"] for name, ablation in ablations.items()},
        changes=snakemake.params.changes,
        cohort=snakemake.params.study,
        seed=run.seed,
        n_bootstrap=snakemake.params.n_bootstrap,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
