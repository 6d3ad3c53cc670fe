"""Rule entry point: predict middle visits from the two around them."""

from pathlib import Path

import numpy as np

from ldae.data.volumes import VolumeStore
from ldae.evaluation.interpolation import interpolate_gaps
from ldae.evaluation.regions import region_atlas
from ldae.methods import Methods
from ldae.models.loading import load_models
from ldae.networks.residual import load_residual
from ldae.preprocessing.resampling import grid_affine
from ldae.statistics.scores import write_scores
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    device = run.torch_device()
    residual = snakemake.input.get("residual")  # nothing where there is nothing to learn from
    split = snakemake.params.scored
    methods = Methods.from_params(snakemake.params.methods)
    models = load_models(
        methods=methods.models("interpolation"),
        loaders=snakemake.params.loaders,
        files=dict(snakemake.input.items()),
        diffusion=snakemake.params.diffusion,
        shape=store.shape,
        device=device,
    )
    scores, examples = interpolate_gaps(
        store=store,
        models=models,
        atlas=region_atlas(store.shape, grid_affine(**snakemake.params.grid)),
        batch_size=snakemake.resources.micro_batch,
        residual=load_residual(Path(residual), device) if residual else None,
        seed=run.seed,
        split=split,
        pieces=run.pieces,
        **snakemake.params.settings,
    )
    seed = int(snakemake.wildcards.seed)
    write_scores(scores, "interpolation", seed, split, Path(snakemake.output.scores))
    np.savez_compressed(snakemake.output.examples, training_seed=seed, **examples)
