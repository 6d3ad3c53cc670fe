"""Performance of probes: the table of every method, and what pairs two methods.

Fitting is in :mod:`ldae.evaluation.probes.fitting`, the measures in
:mod:`ldae.statistics.measures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from ldae.evaluation.probes.fitting import CROSS_VALIDATED, is_classification
from ldae.statistics.auc import auc_difference, measure_interval
from ldae.statistics.bootstrap import subject_bootstrap
from ldae.statistics.measures import MAIN_MEASURE, MEASURES, SITE
from ldae.statistics.predictions import seeds_of
from ldae.statistics.tables import tidy


def tabulate_probes(
    predictions: Mapping[str, pd.DataFrame],
    *,
    cohort: str,
    seed: int,
    n_bootstrap: int,
) -> pd.DataFrame:
    """Performance of every method's probes on the validation and the test split.

    Parameters
    ----------
    predictions
        Predictions of :func:`fit_probes` by method, with a column ``seed`` if they are of several
        trainings. Every scan counts; intervals are over subjects (and seeds).
    cohort, seed
        For the table; `seed` also seeds the bootstrap.
    n_bootstrap
        Replicates.

    Returns
    -------
    pandas.DataFrame
        Table ``probes``.
    """
    rows: list[dict[str, object]] = []
    for method, frame in predictions.items():
        for split in ("val", "test", CROSS_VALIDATED):
            for task, measures in MEASURES.items():
                part = evaluated(frame, split, task)
                if part.empty:
                    continue
                subjects, runs = part["subject"].to_numpy(str), part["seed"].to_numpy()
                values = part[["target", "prediction"]].to_numpy(float)
                common: dict[str, object] = {
                    "split": split,
                    "method": method,
                    "task": task,
                    "n_subjects": len(set(subjects)),
                    "n_scans": part["scan"].nunique(),
                }
                for metric, measure in measures.items():
                    result = measure_interval(values, subjects, measure, n_bootstrap, seed, runs)
                    note = {"note": _chance(part)} if task == SITE else {}
                    rows.append(common | {"metric": metric} | _result(result) | note)
    if not rows:
        rows = [{"method": "none", "metric": "none", "value": np.nan, "note": "no task"}]
    return tidy(rows, "probes", cohort=cohort, seeds=seeds_of(predictions))


def _chance(sites: pd.DataFrame) -> str:
    """Level of chance of a balanced accuracy, in words."""
    n = sites["target"].nunique()
    return f"site: level of chance {1 / n:.3f} ({n} sites)"


def evaluated(frame: pd.DataFrame, split: str, task: str) -> pd.DataFrame:
    """Predictions of one task and split, with a column ``seed``."""
    part = frame[(frame["split"] == split) & (frame["task"] == task)]
    return part if "seed" in part else part.assign(seed=0)


def paired_predictions(
    frame: pd.DataFrame, against: pd.DataFrame, split: str, task: str
) -> pd.DataFrame:
    """Predictions with those of another method for the same scans in column ``other``.

    A method without training seeds (one set of predictions) is paired with every seed of the other.

    Raises
    ------
    ValueError
        If the two do not predict the same scans, or are of different training seeds.
    """
    ours, theirs = evaluated(frame, split, task), evaluated(against, split, task)
    if set(ours["scan"]) != set(theirs["scan"]):
        raise ValueError(f"{task}: the two methods predict different scans of the split {split}")
    theirs = theirs[["scan", "seed", "prediction"]].rename(columns={"prediction": "other"})
    if theirs["seed"].nunique() == 1:
        both = ours.merge(theirs.drop(columns="seed"), on="scan", validate="many_to_one")
    elif ours["seed"].nunique() == 1:
        both = ours.drop(columns="seed").merge(theirs, on="scan", validate="one_to_many")
    else:
        both = ours.merge(theirs, on=["scan", "seed"], validate="one_to_one")
    if len(both) != max(len(ours), len(theirs)):
        raise ValueError(f"{task}: the two methods have different training seeds")
    return both


def _result(result: tuple[float, float, float]) -> dict[str, object]:
    return dict(zip(("value", "ci_low", "ci_high"), result, strict=True))


def prediction_gain(
    both: pd.DataFrame, task: str, n_bootstrap: int, seed: int
) -> tuple[float, float, float]:
    """How much better the first predictions are than the others, with the interval over subjects.

    The area under the curve minus theirs, or their mean absolute error minus ours (years).

    Parameters
    ----------
    both
        From :func:`paired_predictions`.
    task
        Task that is predicted.
    n_bootstrap, seed
        Replicates, and their seed, for errors.
    """
    values = both[["target", "prediction", "other"]].to_numpy(float)
    subjects, runs = both["subject"].to_numpy(str), both["seed"].to_numpy()
    if is_classification(task):
        return auc_difference(values, subjects, runs)
    return subject_bootstrap(values, subjects, _error_gain(task), n_bootstrap, seed, runs)


def _error_gain(task: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Statistic of (target, ours, theirs) rows: their error minus ours."""
    measure = MEASURES[task][MAIN_MEASURE[task]]

    def statistic(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        theirs, ours = (measure(values[:, [0, k]], weights) for k in (2, 1))
        return np.asarray(theirs - ours)

    return statistic


def roc_curve(target: np.ndarray, prediction: np.ndarray) -> pd.DataFrame:
    """ROC curve: columns false_positive_rate, sensitivity, from (0, 0) to (1, 1)."""
    order = np.argsort(-prediction, kind="stable")
    target, prediction = target[order], prediction[order]
    last = np.append(np.flatnonzero(np.diff(prediction)), len(prediction) - 1)
    hits, false = np.cumsum(target == 1)[last], np.cumsum(target == 0)[last]
    return pd.DataFrame(
        {
            "false_positive_rate": np.append(0, false) / max(1, false[-1]),
            "sensitivity": np.append(0, hits) / max(1, hits[-1]),
        }
    )
