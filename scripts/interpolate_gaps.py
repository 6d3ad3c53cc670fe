"""Rule entry point: predict middle visits from the two around them."""

from pathlib import Path

import numpy as np

from ldae.entry import rule_entry
from ldae.interpolation import interpolate_gaps
from ldae.models import load_ldae
from ldae.networks.residual import load_residual
from ldae.preprocessing.pipeline import grid_affine
from ldae.regions import region_atlas
from ldae.scores import write_scores
from ldae.volumes import VolumeStore

with rule_entry(snakemake) as run:
    device = run.torch_device()
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    models = {
        "ldae": load_ldae(
            autoencoder=Path(snakemake.input.autoencoder),
            prior=Path(snakemake.input.prior),
            ldae=Path(snakemake.input.ldae),
            scale=Path(snakemake.input.scale),
            diffusion=snakemake.params.diffusion,
            shape=store.shape,
            device=device,
        ),
    }
    scores, examples = interpolate_gaps(
        store=store,
        models=models,
        atlas=region_atlas(store.shape, grid_affine(**snakemake.params.grid)),
        batch_size=snakemake.resources.micro_batch,
        residual=load_residual(Path(snakemake.input.residual), device),
        seed=run.seed,
        **snakemake.params.settings,
    )
    write_scores(scores, "interpolation", run.seed, "test", Path(snakemake.output.scores))
    np.savez_compressed(snakemake.output.examples, **examples)
