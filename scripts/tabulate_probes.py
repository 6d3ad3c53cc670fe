"""Rule entry point: score every method's probes, with intervals over subjects."""

from pathlib import Path

import pandas as pd

from ldae.entry import rule_entry
from ldae.probes import tabulate_probes
from ldae.tables import write_table

with rule_entry(snakemake) as run:
    files = zip(snakemake.params.methods, snakemake.input.predictions, strict=True)
    table = tabulate_probes(
        {method: pd.read_csv(path, sep="\t", keep_default_na=False) for method, path in files},
        cohort=snakemake.params.study,
        seed=run.seed,
        n_bootstrap=snakemake.params.n_bootstrap,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text), "Probes")
