"""Rule entry point: draw the visits between two visits."""

from pathlib import Path

import numpy as np

from ldae.figures.images import plot_interpolation_sequence
from ldae.figures.theme import save_figure
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    examples = dict(np.load(snakemake.input.examples))
    figure, data = plot_interpolation_sequence(examples)
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
