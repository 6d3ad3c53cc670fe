"""Probes against the number of labelled participants: what a code is worth where labels are few.

Every participant who is shown is predicted once at every number, by probes of labelled participants
of the other folds. The labelled participants of a smaller number are among those of a larger one,
and they are the same for all codes. The probe is a ridge regression, of classes 0 and 1 too, on
participants' mean codes: its regularisation is chosen by leaving out one labelled participant at a
time, which for ridge takes no further fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from ldae.data.diagnoses import Diagnoses
from ldae.evaluation.probes.fitting import (
    CROSS_VALIDATED,
    PREDICTION_COLUMNS,
    is_classification,
    probe_tasks,
    task_target,
)
from ldae.evaluation.probes.groups import folds
from ldae.evaluation.probes.tables import paired_predictions, prediction_gain
from ldae.methods import Methods
from ldae.statistics.auc import measure_interval
from ldae.statistics.measures import MAIN_MEASURE, MEASURES
from ldae.statistics.predictions import seeds_of
from ldae.statistics.tables import tidy
from ldae.subsets import TEST

COLUMNS = (*PREDICTION_COLUMNS[:-1], "n_labelled")


def predict_with_few_labels(
    codes: np.ndarray,
    index: pd.DataFrame,
    diagnoses: Diagnoses,
    *,
    counts: Sequence[int],
    alpha_grid: Sequence[float],
    n_folds: int,
    seed: int,
    scored: str,
    tasks: Sequence[str],
) -> pd.DataFrame:
    """Predictions of every scan by probes of few labelled participants.

    Nothing is kept of these probes, and nobody whom they saw is predicted by them; they are not
    noted as fits.

    Parameters
    ----------
    codes, index, diagnoses, alpha_grid, seed, scored, tasks
        As for :func:`ldae.evaluation.probes.fitting.fit_probes`. The codes must have been learned
        without labels.
    counts
        Numbers of labelled participants; of a classification half of them of each class. A number
        that the folds do not have is left out.
    n_folds
        Folds of the participants who are predicted.

    Returns
    -------
    pandas.DataFrame
        task, scan, subject, split (``cv``), target, prediction, n_labelled.
    """
    shown = (index["split"] != TEST).to_numpy() | (scored == TEST)
    codes, index = codes[shown], index[shown]
    parts: list[pd.DataFrame] = []
    for task in (t for t in probe_tasks(index, diagnoses) if t in tasks):
        target = task_target(index, task, diagnoses)
        known = np.isfinite(target)
        of_task = codes[known], target[known], index.loc[known, "subject"].to_numpy(str)
        for count, held_out in _predict(*of_task, task, counts, alpha_grid, n_folds, seed):
            part = index.loc[known, ["scan", "subject"]].assign(task=task, split=CROSS_VALIDATED)
            part = part.assign(target=target[known], prediction=held_out, n_labelled=count)
            parts.append(part[np.isfinite(part["prediction"])])
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _predict(
    codes: np.ndarray,
    target: np.ndarray,
    subjects: np.ndarray,
    task: str,
    counts: Sequence[int],
    grid: Sequence[float],
    n_folds: int,
    seed: int,
) -> Iterator[tuple[int, np.ndarray]]:
    """Each number of labels with the prediction of every scan, (N,); none that a fold lacks."""
    parts = folds(target if is_classification(task) else None, subjects, n_folds, seed)
    for count in sorted(set(counts)):
        held_out = np.full(len(codes), np.nan)
        for number, (inner, outer) in enumerate(parts):
            names, first = np.unique(subjects[inner], return_index=True)
            strata = target[inner][first] if is_classification(task) else np.zeros(len(names))
            rng = np.random.default_rng([seed, number])
            labelled = np.isin(subjects[inner], _draw(names, strata, count, rng))
            if labelled.any():
                rows = inner[labelled]
                means = _participant_means(codes[rows], target[rows], subjects[rows])
                held_out[outer] = _ridge(*means, codes[outer], grid)
        if np.isfinite(held_out).all():
            yield count, held_out


def _draw(
    names: np.ndarray, strata: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Labelled participants, as many of each stratum; none if a stratum has too few."""
    groups = [rng.permutation(names[strata == stratum]) for stratum in np.unique(strata)]
    each = count // len(groups)
    if each < 1 or any(len(group) < each for group in groups):
        return np.array([], dtype=str)
    return np.concatenate([group[:each] for group in groups])


def _participant_means(
    codes: np.ndarray, target: np.ndarray, subjects: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean code and mean target of each participant, (P, dim) and (P,)."""
    _, index, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), codes.shape[1]))
    np.add.at(sums, index, codes)
    return sums / counts[:, None], np.bincount(index, target) / counts


def _ridge(
    codes: np.ndarray, target: np.ndarray, new: np.ndarray, grid: Sequence[float]
) -> np.ndarray:
    """Predictions (M,) for new codes (M, dim), standardised as the labelled ones."""
    from sklearn.linear_model import RidgeCV

    mean, std = codes.mean(0), codes.std(0)
    std = np.where(std > 1e-12, std, 1.0)
    ridge = RidgeCV(alphas=list(grid)).fit((codes - mean) / std, target)
    predicted: np.ndarray = ridge.predict((new - mean) / std)
    return predicted


def _gain(
    part: pd.DataFrame, start: pd.DataFrame, name: str, n_bootstrap: int, seed: int
) -> dict[str, object]:
    """What training has added to the code that it started from, at one number of labels."""
    task, count = str(part["task"].iloc[0]), part["n_labelled"].iloc[0]
    same = start[start["n_labelled"] == count]
    both = paired_predictions(part, same, CROSS_VALIDATED, task)
    gain = prediction_gain(both, task, n_bootstrap, seed)
    found = dict(zip(("value", "ci_low", "ci_high"), gain, strict=True))
    return {"metric": f"{MAIN_MEASURE[task]}_gain", "against": name, **found}


def tabulate_labels(
    predictions: Mapping[str, pd.DataFrame],
    methods: Methods,
    *,
    cohort: str,
    seed: int,
    n_bootstrap: int,
) -> pd.DataFrame:
    """AUC of disease and error of age of every code, by the number of labelled participants.

    Codes that were trained from another method's code also have their paired gain over that one.

    Parameters
    ----------
    predictions
        Result of :func:`predict_with_few_labels` by method, over the trainings.
    methods
        The study's methods.
    cohort, seed
        For the table; `seed` also seeds the bootstrap.
    n_bootstrap
        Replicates, for errors of age.
    """
    rows: list[dict[str, object]] = []
    for method in (m for m in methods if m in predictions):
        frame = predictions[method]
        for (task, count), part in frame.groupby(["task", "n_labelled"], sort=False):
            metric = MAIN_MEASURE[str(task)]
            result = measure_interval(
                part[["target", "prediction"]].to_numpy(float),
                part["subject"].to_numpy(str),
                MEASURES[str(task)][metric],
                n_bootstrap,
                seed,
                part["seed"].to_numpy() if "seed" in part else None,
            )
            row = {"method": method, "task": task, "n_labelled": count, "metric": metric}
            row |= dict(zip(("value", "ci_low", "ci_high"), result, strict=True))
            row |= {"n_subjects": part["subject"].nunique(), "n_scans": part["scan"].nunique()}
            rows.append(row)
            start = methods[method].start
            if start is not None and start in predictions:
                rows.append(row | _gain(part, predictions[start], start, n_bootstrap, seed))
    if not rows:
        rows = [{"method": "none", "metric": "none", "value": np.nan, "note": "too few labels"}]
    seeds = seeds_of(predictions)
    return tidy(rows, "labels", cohort=cohort, seeds=seeds, split=CROSS_VALIDATED)
