"""Rule entry point: draw responses to the amount of change."""

from pathlib import Path

from ldae.figures.curves import plot_dose_response
from ldae.figures.theme import save_figure
from ldae.statistics.tables import read_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    figure, data = plot_dose_response(read_table(Path(snakemake.input.table)))
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
