"""Rule entry point: render the true effects of disease and age on the scans that are edited."""

from pathlib import Path

from ldae.data.volumes import read_index
from ldae.evaluation.reconstruction import choose_rows
from ldae.preprocessing.pipeline import grid_affine
from ldae.simulation.effects import render_true_effects
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    index = read_index(Path(snakemake.input.index))
    rows = choose_rows(index, "test", snakemake.params.n_scans, run.seed)
    effects = render_true_effects(
        scans=index["scan"].iloc[rows].tolist(),
        settings=snakemake.params.cohort,
        seed=run.seed,
        truth_dir=Path(snakemake.input.truth),
        batch_dirs=[Path(folder) for folder in snakemake.input.batches],
        shape=snakemake.params.grid["shape"],
        affine=grid_affine(**snakemake.params.grid),
    )
    effects.save(Path(snakemake.output.effects))
