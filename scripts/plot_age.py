"""Rule entry point: draw predicted over true age."""

from pathlib import Path

from ldae.data.volumes import read_index
from ldae.figures.probes import plot_age
from ldae.figures.theme import save_figure
from ldae.statistics.predictions import read_predictions
from ldae.statistics.tables import read_table
from ldae.workflow.entry import rule_entry

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
