"""Rule entry point: draw a figure of the registry."""

from pathlib import Path

from ldae.conclusions.sources import make
from ldae.figures.theme import save_figure
from ldae.methods import Look, Methods
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    figure, data = make(
        snakemake.params.recipe,
        snakemake.params.arguments,
        dict(snakemake.input.items()),
        methods=Methods.from_params(snakemake.params.methods),
        networks={name: Look(**look) for name, look in snakemake.params.networks.items()},
    )
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.pdf),
        Path(snakemake.output.data),
    )
