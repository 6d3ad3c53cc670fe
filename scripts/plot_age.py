"""Rule entry point: draw predicted over true age."""

from pathlib import Path

import pandas as pd

from ldae.entry import rule_entry
from ldae.figures.probes import plot_age
from ldae.figures.theme import save_figure
from ldae.tables import read_table
from ldae.volumes import read_index

with rule_entry(snakemake) as run:
    figure, data = plot_age(
        pd.read_csv(snakemake.input.predictions, sep="\t", keep_default_na=False),
        read_table(Path(snakemake.input.table)),
        read_index(Path(snakemake.input.index)),
    )
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
