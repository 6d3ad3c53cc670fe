"""Rule entry point: draw the losses of every training."""

from pathlib import Path

import pandas as pd

from ldae.figures.curves import plot_training
from ldae.figures.theme import save_figure
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    logs = {}
    for stage, paths in snakemake.input.items():
        if not paths:  # a stage that this study does without
            continue
        if isinstance(paths, str):  # all training seeds share it
            logs[stage] = pd.read_csv(paths)
        else:
            seeds = zip(snakemake.params.seeds, paths, strict=True)
            logs[stage] = pd.concat(
                [pd.read_csv(path).assign(training_seed=seed) for seed, path in seeds]
            )
    figure, data = plot_training(logs)
    save_figure(
        figure,
        data,
        Path(snakemake.output.png),
        Path(snakemake.output.svg),
        Path(snakemake.output.data),
    )
