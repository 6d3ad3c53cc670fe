"""Rule entry point: draw the differences between methods, claim by claim."""

from pathlib import Path

from ldae.figures.fidelity import plot_comparisons
from ldae.figures.theme import save_figure
from ldae.statistics.tables import read_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    figure, data = plot_comparisons(
        read_table(Path(snakemake.input.table)),
        snakemake.params.n_steps,
        snakemake.params.window,
    )
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
