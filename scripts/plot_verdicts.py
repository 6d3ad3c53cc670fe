"""Rule entry point: draw what holds of the paper's claims, model by model."""

from pathlib import Path

from ldae.figures.theme import save_figure
from ldae.figures.verdicts import plot_verdicts
from ldae.statistics.tables import read_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    figure, data = plot_verdicts(read_table(Path(snakemake.input.table)))
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
