"""Rule entry point: codes of every scan on the principal components of the training voxels."""

import numpy as np

from ldae.data.volumes import VolumeStore
from ldae.evaluation.codes import fit_voxel_pca
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    codes = fit_voxel_pca(store, snakemake.params.n_components, run.seed)
    np.save(snakemake.output.codes, codes)
