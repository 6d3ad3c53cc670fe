"""Rule entry point: every scan on the principal components of local intensity histograms."""

import numpy as np

from ldae.data.volumes import VolumeStore
from ldae.evaluation.histogram_pca import fit_histogram_pca
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    codes = fit_histogram_pca(
        store=store,
        settings=snakemake.params.settings,
        spacing_mm=snakemake.params.spacing_mm,
        n_components=snakemake.params.n_components,
        seed=run.seed,
    )
    np.save(snakemake.output.codes, codes)
