"""Rule entry point: draw quality over the number of steps."""

from pathlib import Path

from ldae.figures.curves import plot_reconstruction_steps
from ldae.figures.theme import save_figure
from ldae.statistics.tables import read_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    figure, data = plot_reconstruction_steps(
        read_table(Path(snakemake.input.table)), snakemake.params.window
    )
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
