"""Rule entry point: codes of every scan on the principal components of the tissue densities."""

import numpy as np

from ldae.entry import rule_entry
from ldae.networks.densities import fit_density_pca
from ldae.volumes import VolumeStore

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    codes = fit_density_pca(
        store=store,
        settings=snakemake.params.settings,
        spacing_mm=snakemake.params.spacing_mm,
        n_components=snakemake.params.n_components,
        seed=run.seed,
    )
    np.save(snakemake.output.codes, codes)
