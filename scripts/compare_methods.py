"""Rule entry point: paired differences between the model and every other method."""

from pathlib import Path

import pandas as pd

from ldae.comparison import compare_methods
from ldae.entry import rule_entry
from ldae.scores import read_scores
from ldae.tables import write_table

with rule_entry(snakemake) as run:
    predictions = zip(snakemake.params.methods, snakemake.input.predictions, strict=True)
    scores = zip(snakemake.params.compared, snakemake.input.scores, strict=True)
    table = compare_methods(
        {m: pd.read_csv(path, sep="\t", keep_default_na=False) for m, path in predictions},
        {name: read_scores([Path(path)], name) for name, path in scores},
        cohort=snakemake.params.study,
        seed=run.seed,
        n_bootstrap=snakemake.params.n_bootstrap,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
