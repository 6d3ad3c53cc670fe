"""Rule entry point: reconstruct scans with every model and number of steps."""

from pathlib import Path

import numpy as np

from ldae.data.volumes import VolumeStore
from ldae.evaluation.reconstruction import evaluate_reconstruction
from ldae.methods import Methods
from ldae.models.loading import load_models
from ldae.statistics.scores import write_scores
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    split = snakemake.params.scored
    methods = Methods.from_params(snakemake.params.methods)
    models = load_models(
        methods=methods.models("reconstruction"),
        loaders=snakemake.params.loaders,
        files=dict(snakemake.input.items()),
        diffusion=snakemake.params.diffusion,
        shape=store.shape,
        device=run.torch_device(),
    )
    scores, examples = evaluate_reconstruction(
        store=store,
        models=models,
        methods=methods,
        batch_size=snakemake.resources.micro_batch,
        seed=run.seed,
        split=split,
        pieces=run.pieces,
        **snakemake.params.settings,
    )
    seed = int(snakemake.wildcards.seed)
    write_scores(scores, "reconstruction", seed, split, Path(snakemake.output.scores))
    np.savez_compressed(snakemake.output.examples, training_seed=seed, **examples)
