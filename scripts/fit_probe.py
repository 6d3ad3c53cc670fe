"""Rule entry point: fit linear probes on one method's codes, and predict the scans."""

import json
from pathlib import Path

import numpy as np

from ldae.data.diagnoses import Diagnoses
from ldae.data.volumes import read_index
from ldae.evaluation.probes.fitting import fit_probes, with_conversion
from ldae.evaluation.probes.labels import predict_with_few_labels
from ldae.statistics.predictions import SHARED, write_predictions
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    diagnoses, scans = Diagnoses(**snakemake.params.diagnoses), Path(snakemake.input.scans)
    given = {
        "codes": np.load(snakemake.input.codes),
        "index": with_conversion(read_index(Path(snakemake.input.index), scans), scans, diagnoses),
        "diagnoses": diagnoses,
        "alpha_grid": snakemake.params.alpha_grid,
        "n_folds": snakemake.params.n_folds,
        "seed": run.seed,
        "scored": snakemake.params.scored,
        "tasks": snakemake.params.tasks,
    }
    probes, predictions = fit_probes(
        **given,
        c_grid=snakemake.params.c_grid,
        outer_folds=snakemake.params.outer_folds,
        harmonised=snakemake.params.harmonised,
    )
    curve = predict_with_few_labels(**given, counts=snakemake.params.label_counts)
    Path(snakemake.output.weights).write_text(json.dumps(probes, indent=1) + "\n")
    seed = snakemake.wildcards.run.removeprefix("seed-")
    identity = snakemake.wildcards.method, int(seed) if seed != SHARED else None
    write_predictions(predictions, *identity, Path(snakemake.output.predictions))
    write_predictions(curve, *identity, Path(snakemake.output.labels))
