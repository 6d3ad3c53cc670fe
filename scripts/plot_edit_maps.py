"""Rule entry point: draw edits beside the group difference and the true effect."""

from pathlib import Path

import numpy as np

from ldae.figures.fidelity import plot_edit_maps
from ldae.figures.theme import save_figure
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    figure, data = plot_edit_maps(dict(np.load(snakemake.input.examples)))
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
