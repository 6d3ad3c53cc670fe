"""Rule entry point: draw the losses of every training."""

from pathlib import Path

import pandas as pd

from ldae.entry import rule_entry
from ldae.figures.curves import plot_training
from ldae.figures.theme import save_figure

with rule_entry(snakemake) as run:
    figure, data = plot_training(
        {stage: pd.read_csv(path) for stage, path in snakemake.input.items() if path}
    )
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
