"""Rule entry point: draw the quality of interpolation over the gap."""

from pathlib import Path

from ldae.figures.curves import plot_interpolation_gap
from ldae.figures.theme import save_figure
from ldae.statistics.tables import read_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    figure, data = plot_interpolation_gap(read_table(Path(snakemake.input.table)))
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
