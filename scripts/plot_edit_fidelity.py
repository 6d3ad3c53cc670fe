"""Rule entry point: draw what edits keep and what they move."""

from pathlib import Path

from ldae.figures.fidelity import plot_edit_fidelity
from ldae.figures.theme import save_figure
from ldae.statistics.tables import read_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    figure, data = plot_edit_fidelity(
        read_table(Path(snakemake.input.table)), snakemake.params.bounds
    )
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
