"""Rule entry point: move scans along the directions of disease and age."""

from pathlib import Path

import numpy as np
import pandas as pd

from ldae.data.diagnoses import Diagnoses
from ldae.data.volumes import VolumeStore
from ldae.evaluation.codes import template_volumes
from ldae.evaluation.editing.judges import ProbeSettings
from ldae.evaluation.editing.manipulation import EditSettings, manipulate_attribute
from ldae.evaluation.regions import region_atlas
from ldae.evaluation.selection import read_selection
from ldae.methods import Methods
from ldae.models.loading import load_models
from ldae.preprocessing.resampling import grid_affine
from ldae.simulation.effects import TrueEffects
from ldae.statistics.scores import write_scores
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    files = snakemake.input
    store = VolumeStore(files.volumes, files.masks, files.index, files.scans)
    methods = Methods.from_params(snakemake.params.methods)
    models = load_models(
        methods=methods.models("manipulation"),
        loaders=snakemake.params.loaders,
        files=dict(snakemake.input.items()),
        diffusion=snakemake.params.diffusion,
        shape=store.shape,
        device=run.torch_device(),
    )
    known = snakemake.input.effects  # nothing for a real cohort
    scores, examples = manipulate_attribute(
        store=store,
        models=models,
        methods=methods,
        codes={
            name: np.load(snakemake.input[f"{name}_codes"]) for name in snakemake.params.loaders
        },
        volumes=template_volumes(pd.read_csv(snakemake.input.regions, sep="\t")),
        atlas=region_atlas(store.shape, grid_affine(**snakemake.params.grid)),
        effects=TrueEffects.load(Path(known)) if known else None,
        scans=read_selection(Path(snakemake.input.edited)),
        probing=ProbeSettings(
            c_grid=snakemake.params.c_grid,
            alpha_grid=snakemake.params.alpha_grid,
            n_folds=snakemake.params.n_folds,
            pca_components=snakemake.params.pca_components,
            diagnoses=Diagnoses(**snakemake.params.diagnoses),
            tasks=snakemake.params.tasks,
        ),
        settings=EditSettings(
            amounts=snakemake.params.amounts,
            n_steps=snakemake.params.n_steps,
            batch_size=snakemake.resources.micro_batch,
            split=snakemake.params.scored,
        ),
        seed=run.seed,
        pieces=run.pieces,
    )
    seed = int(snakemake.wildcards.seed)
    split = snakemake.params.scored
    write_scores(scores, "manipulation", seed, split, Path(snakemake.output.scores))
    np.savez_compressed(snakemake.output.examples, training_seed=seed, **examples)
