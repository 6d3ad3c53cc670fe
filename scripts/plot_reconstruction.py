"""Rule entry point: draw a scan and its reconstructions."""

from pathlib import Path

import numpy as np

from ldae.figures.images import plot_reconstruction
from ldae.figures.theme import save_figure
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    examples = dict(np.load(snakemake.input.examples))
    figure, data = plot_reconstruction(examples)
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
