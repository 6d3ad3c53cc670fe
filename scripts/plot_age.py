"""Rule entry point: draw predicted over true age."""

from pathlib import Path

from ldae.entry import rule_entry
from ldae.figures.probes import plot_age
from ldae.figures.theme import save_figure
from ldae.predictions import read_predictions
from ldae.tables import read_table
from ldae.volumes import read_index

with rule_entry(snakemake) as run:
    figure, data = plot_age(
        read_predictions([Path(snakemake.input.predictions)])["ldae"],
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
