"""Rule entry point: move test scans along the directions of disease and age."""

from pathlib import Path

import numpy as np

from ldae.entry import rule_entry
from ldae.manipulation import manipulate_attribute
from ldae.models import load_ldae
from ldae.preprocessing.pipeline import grid_affine
from ldae.tables import write_table
from ldae.volumes import VolumeStore

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    model = load_ldae(
        autoencoder=Path(snakemake.input.autoencoder),
        prior=Path(snakemake.input.prior),
        ldae=Path(snakemake.input.ldae),
        scale=Path(snakemake.input.scale),
        diffusion=snakemake.params.diffusion,
        shape=store.shape,
        device=run.torch_device(),
    )
    table, examples = manipulate_attribute(
        store=store,
        model=model,
        codes=np.load(snakemake.input.codes),
        affine=grid_affine(**snakemake.params.grid),
        batch_size=snakemake.resources.micro_batch,
        n_bootstrap=snakemake.params.n_bootstrap,
        **snakemake.params.probes,
        seed=run.seed,
        cohort=snakemake.params.study,
        **snakemake.params.settings,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
    np.savez_compressed(snakemake.output.examples, **examples)
