"""Rule entry point: score every method's probes, with intervals over subjects."""

from pathlib import Path

from ldae.evaluation.probes.tables import tabulate_probes
from ldae.methods import Methods
from ldae.statistics.predictions import read_predictions
from ldae.statistics.tables import write_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    table = tabulate_probes(
        read_predictions([Path(path) for path in snakemake.input.predictions]),
        Methods.from_params(snakemake.params.methods),
        cohort=snakemake.params.study,
        seed=run.seed,
        n_bootstrap=snakemake.params.n_bootstrap,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
