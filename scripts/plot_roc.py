"""Rule entry point: draw the ROC curves of AD against CN."""

from pathlib import Path

import pandas as pd

from ldae.entry import rule_entry
from ldae.figures.probes import plot_roc
from ldae.figures.theme import save_figure
from ldae.tables import read_table

with rule_entry(snakemake) as run:
    predictions = {
        method: pd.read_csv(path, sep="\t", keep_default_na=False)
        for method, path in zip(snakemake.params.methods, snakemake.input.predictions, strict=True)
    }
    figure, data = plot_roc(predictions, read_table(Path(snakemake.input.table)))
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
