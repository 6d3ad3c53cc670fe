"""Paired differences between methods: whether the model beats what it is compared with.

Every number is the gain of a model over another method on the same scans, with an interval of the
paired difference over subjects (and seeds): positive is better for the model, and an interval that
excludes zero is a difference that these participants can show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ldae.evaluation.probes.fitting import CROSS_VALIDATED
from ldae.evaluation.probes.tables import evaluated, paired_predictions, prediction_gain
from ldae.methods import Methods, Role
from ldae.statistics.bootstrap import subject_bootstrap, weighted_mean
from ldae.statistics.measures import MAIN_MEASURE
from ldae.statistics.predictions import seeds_of
from ldae.statistics.scores import seeds_of_scores
from ldae.statistics.tables import tidy

GAINS = {
    "ssim": ("ssim_gain", 1),
    "mse": ("mse_gain", -1),
    "ventricle_error_ml": ("ventricle_error_gain_ml", -1),
    "hippocampus_error_ml": ("hippocampus_error_gain_ml", -1),
}
"""Metric of scans to the name of its gain, and its sign: errors gain by falling."""

SPLITS = ("val", "test", CROSS_VALIDATED)


def compare_methods(
    predictions: Mapping[str, pd.DataFrame],
    scores: Mapping[str, pd.DataFrame],
    methods: Methods,
    *,
    cohort: str,
    seed: int,
    n_bootstrap: int,
) -> pd.DataFrame:
    """Gain of every model over every other method, claim by claim.

    Parameters
    ----------
    predictions
        Predictions of the probes by method (:func:`ldae.evaluation.probes.fitting.fit_probes`).
    scores
        Scores (:func:`ldae.statistics.scores.read_scores`) of ``reconstruction`` and
        ``interpolation``, as far as they exist.
    methods
        The study's methods. Models under test are compared with every other method; parts of models
        and harmonised codes claim nothing and are passed over.
    cohort, seed
        For the table; `seed` also seeds the bootstrap.
    n_bootstrap
        Replicates.

    Returns
    -------
    pandas.DataFrame
        Table ``comparisons``: claim, method (the model), against, metric and the paired gain.
    """
    rows = _compare_probes(predictions, methods, n_bootstrap, seed)
    seeds = seeds_of(predictions)
    for claim, frame in scores.items():
        rows += _compare_scans(frame, claim, methods, n_bootstrap, seed)
        seeds |= seeds_of_scores(frame, methods)
    if not rows:
        rows = [{"method": "none", "metric": "none", "value": np.nan, "note": "nothing to compare"}]
    return tidy(rows, "comparisons", cohort=cohort, seeds=seeds)


def _compare_probes(
    predictions: Mapping[str, pd.DataFrame], methods: Methods, n_bootstrap: int, seed: int
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for model in (m for m in predictions if methods.is_(m, Role.MODEL)):
        others = (m for m in predictions if not methods.is_(m, Role.HARMONISED))
        for against in (m for m in others if m != model):
            gains = compare_probes(predictions, model, against, n_bootstrap, seed)
            rows += [{"claim": "probes"} | row for row in gains]
    return rows


def compare_probes(
    predictions: Mapping[str, pd.DataFrame], model: str, against: str, n_bootstrap: int, seed: int
) -> list[dict[str, object]]:
    """Gain of one method's probes over another's, in every split and task.

    Parameters
    ----------
    predictions
        Predictions of the probes by method.
    model, against
        Two of the methods; a gain is positive where `model` is better.
    n_bootstrap, seed
        Replicates and their seed.
    """
    rows: list[dict[str, object]] = []
    pair = predictions[model], predictions[against]
    for split in SPLITS:
        for task, measure in MAIN_MEASURE.items():
            # codes learned from labels are not cross-validated
            if split == CROSS_VALIDATED and any(evaluated(f, split, task).empty for f in pair):
                continue
            both = paired_predictions(*pair, split, task)
            if both.empty:
                continue
            result = prediction_gain(both, task, n_bootstrap, seed)
            rows.append(
                {"task": task, "split": split, "method": model}
                | {"against": against, "metric": f"{measure}_gain"}
                | result_cell(result, both)
            )
    return rows


def _compare_scans(
    scores: pd.DataFrame, claim: str, methods: Methods, n_bootstrap: int, seed: int
) -> list[dict[str, object]]:
    """Mean difference of each scan's scores, at the same number of steps."""
    conditions = [c for c in ("target", "region", "window") if c in scores]
    rows: list[dict[str, object]] = []
    usable = scores[scores["metric"].isin(GAINS) & scores["value"].notna()]
    whole = [m for m in usable["method"].unique() if not methods.is_(m, Role.PART)]
    for model in (m for m in whole if methods.is_(m, Role.MODEL)):
        ours = usable[usable["method"] == model]
        for against in (m for m in whole if m != model):
            theirs = usable[usable["method"] == against]
            # What does not diffuse has no steps, and meets the other at each of its own.
            both_step = theirs["steps"].notna().all() and ours["steps"].notna().all()
            steps = ["steps"] if both_step else []
            keys = [*conditions, *steps, *_unit(scores), "metric"]
            seeded = ["seed"] if theirs["seed"].nunique() > 1 else []
            other = theirs[[*keys, *seeded, "value"]].rename(columns={"value": "other"})
            both = ours.merge(other, on=[*keys, *seeded], validate="many_to_one")
            cells = [*conditions, "steps", "metric"]
            for names, cell in both.groupby(cells, sort=False, dropna=False):
                name, sign = GAINS[str(cell["metric"].iloc[0])]
                result = subject_bootstrap(
                    sign * (cell["value"] - cell["other"]).to_numpy(float),
                    cell["subject"].to_numpy(str),
                    weighted_mean,
                    n_bootstrap,
                    seed,
                    cell["seed"].to_numpy(),
                )
                rows.append(
                    dict(zip(cells, names, strict=True))
                    | {"claim": claim, "method": model, "against": against, "metric": name}
                    | {"split": cell["split"].iloc[0]}
                    | result_cell(result, cell)
                )
    return rows


def _unit(scores: pd.DataFrame) -> Sequence[str]:
    """Columns that name one measured scan: a middle visit is in several triples."""
    return ("subject", "scan", "triple") if "triple" in scores else ("subject", "scan")


def result_cell(result: tuple[float, float, float], rows: pd.DataFrame) -> dict[str, object]:
    """A result with its interval, and the numbers of participants and scans behind it."""
    return {
        **dict(zip(("value", "ci_low", "ci_high"), result, strict=True)),
        "n_subjects": rows["subject"].nunique(),
        "n_scans": rows["scan"].nunique(),
    }
