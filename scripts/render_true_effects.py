"""Rule entry point: render the true effects of disease and age on the scans that are edited."""

from pathlib import Path

from ldae.data.addresses import Derivative, derivative_paths
from ldae.evaluation.selection import read_selection
from ldae.preprocessing.resampling import grid_affine
from ldae.simulation.effects import render_true_effects
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    scans = read_selection(Path(snakemake.input.edited))
    preprocessed = Path(snakemake.params.preprocessed)
    kinds = (Derivative.TRANSFORM, Derivative.WARP)
    run.add_inputs(derivative_paths(preprocessed, scans, *kinds))
    effects = render_true_effects(
        scans=scans,
        settings=snakemake.params.cohort,
        seed=run.seed,
        truth_dir=Path(snakemake.input.truth),
        preprocessed=preprocessed,
        shape=snakemake.params.grid["shape"],
        affine=grid_affine(**snakemake.params.grid),
    )
    effects.save(Path(snakemake.output.effects))
