"""Rule entry point: draw a scan edited by rising amounts."""

from pathlib import Path

import numpy as np

from ldae.figures.images import plot_manipulation
from ldae.figures.theme import save_figure
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    examples = dict(np.load(snakemake.input.examples))
    figure, data = plot_manipulation(examples, snakemake.wildcards.task)
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
