"""Rule entry point: draw the ROC curves of AD against CN."""

from pathlib import Path

from ldae.figures.probes import plot_roc
from ldae.figures.theme import save_figure
from ldae.statistics.predictions import read_predictions
from ldae.statistics.tables import read_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    predictions = read_predictions([Path(path) for path in snakemake.input.predictions])
    figure, data = plot_roc(predictions, read_table(Path(snakemake.input.table)))
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
