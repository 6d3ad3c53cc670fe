"""Rule entry point: fit a linear probe per task on one method's codes, and predict the scans."""

import json
from pathlib import Path

import numpy as np

from ldae.data.diagnoses import Diagnoses
from ldae.data.volumes import read_index
from ldae.evaluation.probes.fitting import fit_probes
from ldae.statistics.predictions import SHARED, write_predictions
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    probes, predictions = fit_probes(
        codes=np.load(snakemake.input.codes),
        index=read_index(Path(snakemake.input.index), Path(snakemake.input.scans)),
        diagnoses=Diagnoses(**snakemake.params.diagnoses),
        c_grid=snakemake.params.c_grid,
        alpha_grid=snakemake.params.alpha_grid,
        n_folds=snakemake.params.n_folds,
        outer_folds=snakemake.params.outer_folds,
        seed=run.seed,
        scored=snakemake.params.scored,
        tasks=snakemake.params.tasks,
    )
    Path(snakemake.output.weights).write_text(json.dumps(probes, indent=1) + "\n")
    seed = snakemake.wildcards.run.removeprefix("seed-")
    write_predictions(
        predictions,
        snakemake.wildcards.method,
        int(seed) if seed != SHARED else None,
        Path(snakemake.output.predictions),
    )
