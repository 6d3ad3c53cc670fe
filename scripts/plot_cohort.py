"""Rule entry point: draw a few people over their visits."""

from pathlib import Path

from ldae.data.volumes import VolumeStore
from ldae.figures.images import plot_cohort
from ldae.figures.theme import save_figure
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    figure, data = plot_cohort(store.volumes, store.masks, store.index)
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
