"""Rule entry point: score every method's probes, with intervals over subjects."""

from pathlib import Path

from ldae.entry import rule_entry
from ldae.predictions import read_predictions
from ldae.probe_tables import tabulate_probes
from ldae.tables import write_table

with rule_entry(snakemake) as run:
    table = tabulate_probes(
        read_predictions([Path(path) for path in snakemake.input.predictions]),
        cohort=snakemake.params.study,
        seed=run.seed,
        n_bootstrap=snakemake.params.n_bootstrap,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
