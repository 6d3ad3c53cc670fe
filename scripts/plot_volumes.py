"""Rule entry point: draw measured over reference volumes."""

from pathlib import Path

import pandas as pd

from ldae.figures.curves import plot_volumes
from ldae.figures.theme import save_figure
from ldae.statistics.tables import read_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    figure, data = plot_volumes(
        pd.read_csv(snakemake.input.pairs, sep="\t"), read_table(Path(snakemake.input.table))
    )
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
