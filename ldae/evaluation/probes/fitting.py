"""Linear probes: what a code knows of disease and age.

Every statistic (standardisation, hyper-parameter, weights) comes from the training split. A
participant with several scans counts once in the fit and in the choice of the
hyper-parameter: each scan weighs one over the number of that participant's scans. The
standardisation is over scans.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ldae.data.diagnoses import Diagnoses
from ldae.data.manifest import read_scans
from ldae.evaluation.harmonisation import harmonise
from ldae.evaluation.probes.groups import CodesOf, folds, subject_weights, why_no_conversion
from ldae.evaluation.probes.sites import predict_sites
from ldae.leakage import note_fitted
from ldae.statistics.measures import (
    AD_VS_CN,
    AGE,
    CONVERSION,
    DECISION,
    SEX,
    negative_mse,
    weighted_auc,
)
from ldae.subsets import TEST

logger = logging.getLogger(__name__)

CLASSIFICATIONS = (AD_VS_CN, SEX, CONVERSION)
"""Tasks with two classes. Sex is no claim of the paper: it is what a code should carry without
being moved by an edit of disease or age. Conversion tells participants who become patients from
those who do not."""

SEXES = ("F", "M")
"""Labels of targets 0 and 1."""

CONVERTS = "converts"
"""Column of an index with the target of the task ``conversion``, where there is one."""

CROSS_VALIDATED = "cv"
"""Split of predictions by probes of all participants but those predicted."""

MAX_ITERATIONS = 500
"""Bound on Newton steps, far above what standardised codes need."""

PREDICTION_COLUMNS = ("task", "scan", "subject", "split", "target", "prediction", "label")


@dataclass(frozen=True)
class Probe:
    """A linear read-out of a code.

    Attributes
    ----------
    task
        ``ad_vs_cn``, ``age``, ``sex`` or ``conversion``.
    mean, std
        Standardisation from the training rows, (dim,); 1 where the code is constant.
    weights
        w in standardised code space, (dim,).
    intercept
        Constant term; log-odds of a classification, years for age.
    hyper_parameter
        Chosen C (logistic regression) or alpha (ridge).
    n_subjects, n_scans
        Training participants and scans.
    cv_score
        Score of the choice over the folds: ROC-AUC, or minus the mean squared error in years².
    """

    task: str
    mean: np.ndarray
    std: np.ndarray
    weights: np.ndarray
    intercept: float
    hyper_parameter: float
    n_subjects: int
    n_scans: int
    cv_score: float

    def score(self, codes: np.ndarray) -> np.ndarray:
        """Linear response (N,): log-odds of AD or of a man's brain, or age in years."""
        standardised = (np.asarray(codes, float) - self.mean) / self.std
        response: np.ndarray = standardised @ self.weights + self.intercept
        return response

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """Probability of class 1, or age in years, (N,)."""
        response = self.score(codes)
        return 1 / (1 + np.exp(-response)) if is_classification(self.task) else response

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in vars(self).items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Probe:
        """Inverse of :meth:`to_dict`."""
        arrays = {key: np.asarray(values[key], float) for key in ("mean", "std", "weights")}
        return cls(**(values | arrays))


def is_classification(task: str) -> bool:
    """Whether a task's targets are classes (else they are years)."""
    return task in CLASSIFICATIONS


def probe_tasks(index: pd.DataFrame, diagnoses: Diagnoses) -> list[str]:
    """Tasks the training split allows: ``ad_vs_cn`` with both groups, ``age`` with known ages."""
    train = index[index["split"] == "train"]
    tasks = []
    if not diagnoses.missing(train["diagnosis"]):
        tasks.append(AD_VS_CN)
    if train["age"].nunique() > 1:
        tasks.append(AGE)
    return tasks


def task_target(index: pd.DataFrame, task: str, diagnoses: Diagnoses) -> np.ndarray:
    """Target of each scan, (N,): class 0 or 1, or age in years; NaN if it has none."""
    if task == AD_VS_CN:
        return diagnoses.target(index["diagnosis"])
    if task == CONVERSION:
        return index[CONVERTS].to_numpy(float)
    if task == SEX:
        return index["sex"].map(dict(zip(SEXES, (0.0, 1.0), strict=True))).to_numpy(float)
    return index["age"].to_numpy(float)


def with_conversion(index: pd.DataFrame, scans: Path, diagnoses: Diagnoses) -> pd.DataFrame:
    """An index with the target of the task ``conversion``.

    Parameters
    ----------
    index
        Index of the packed scans.
    scans
        ``manifest/scans.tsv``, whose visits tell who converts, whether their scans are used or not.
    diagnoses
        Words for diagnoses.
    """
    table = read_scans(scans)
    converts = pd.Series(diagnoses.conversion(table), index=table["scan"])
    return index.assign(**{CONVERTS: converts.loc[index["scan"]].to_numpy()})


def class_labels(task: str, diagnoses: Diagnoses) -> tuple[str, str]:
    """Labels of targets 0 and 1 of a classification; two empty ones of any other task."""
    if task == AD_VS_CN:
        return diagnoses.control, diagnoses.patient
    if task == CONVERSION:
        return "stable", "converts"
    return SEXES if task == SEX else ("", "")


def fit_probe(
    codes: np.ndarray,
    target: np.ndarray,
    subjects: np.ndarray,
    task: str,
    grid: Sequence[float],
    n_folds: int,
    seed: int,
) -> Probe:
    """Fit one probe on training rows; subject-grouped cross-validation chooses its grid value.

    The participants it saw are noted for the job's record.

    Parameters
    ----------
    codes
        Training codes, (N, dim).
    target
        0 or 1, or years, (N,).
    subjects
        Subject of each row, (N,).
    task
        A classification: logistic regression with both classes of equal weight; ``age``: ridge.
    grid
        Candidates for C or alpha. Of equally good ones the strongest regularisation is taken.
    n_folds
        Folds; fewer where a class has fewer subjects.
    seed
        Seed of the folds.

    Raises
    ------
    ValueError
        If a code is not finite, or a class is absent.
    """
    note_fitted(f"probe of {task}", subjects)
    probe = _fit_probe(codes, target, subjects, task, grid, n_folds, seed)
    logger.info(
        "%s: chose %g, cross-validated score %.3f", task, probe.hyper_parameter, probe.cv_score
    )
    return probe


def _fit_probe(
    codes: np.ndarray,
    target: np.ndarray,
    subjects: np.ndarray,
    task: str,
    grid: Sequence[float],
    n_folds: int,
    seed: int,
) -> Probe:
    """Fit a probe without noting whom it saw; arguments as for :func:`fit_probe`."""
    codes = np.asarray(codes, np.float64)
    if not np.isfinite(codes).all():
        raise ValueError(f"{task}: codes are not finite")
    if not np.isfinite(target).all():
        raise ValueError(f"{task}: a training scan has no target")
    if is_classification(task) and len(np.unique(target)) != 2:
        raise ValueError(f"{task}: the training rows hold one class only")
    # Strongest regularisation first: small C, large alpha.
    candidates = sorted(grid, reverse=not is_classification(task))
    groups = target if is_classification(task) else None
    parts = folds(groups, subjects, n_folds, seed)
    scores = np.full((len(candidates), len(parts)), np.nan)
    for j, (inner, outer) in enumerate(parts):
        mean, std = _standardisation(codes[inner])
        x_inner, x_outer = (codes[inner] - mean) / std, (codes[outer] - mean) / std
        for i, candidate in enumerate(candidates):
            w, b = _solve(x_inner, target[inner], subjects[inner], task, candidate)
            response = x_outer @ w + b
            weights = subject_weights(subjects[outer])[None]
            both = np.column_stack([target[outer], response])
            measure = weighted_auc if is_classification(task) else negative_mse
            scores[i, j] = measure(both, weights)[0]
    mean_score = np.array([_mean_or_low(row) for row in scores])
    best = int(np.argmax(mean_score))
    mean, std = _standardisation(codes)
    w, b = _solve((codes - mean) / std, target, subjects, task, candidates[best])
    return Probe(
        task=task,
        mean=mean,
        std=std,
        weights=w,
        intercept=b,
        hyper_parameter=float(candidates[best]),
        n_subjects=len(np.unique(subjects)),
        n_scans=len(target),
        cv_score=float(mean_score[best]),
    )


def _mean_or_low(values: np.ndarray) -> float:
    """Mean of the folds with a score; minus infinity if none had both classes."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else -np.inf


def _standardisation(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    std = codes.std(0)
    return codes.mean(0), np.where(std > 1e-12, std, 1.0)


def _solve(
    x: np.ndarray, target: np.ndarray, subjects: np.ndarray, task: str, strength: float
) -> tuple[np.ndarray, float]:
    """Weights and intercept on standardised codes."""
    from sklearn.linear_model import LogisticRegression, Ridge

    weights = subject_weights(subjects)
    if not is_classification(task):
        ridge = Ridge(alpha=strength).fit(x, target, sample_weight=weights)
        return ridge.coef_.astype(float), float(ridge.intercept_)
    # Balanced in participants, not in scans: patients often come for fewer visits.
    for label in (0.0, 1.0):
        weights[target == label] *= 0.5 * len(target) / weights[target == label].sum()
    # Newton steps converge in tens of iterations where codes are correlated; lbfgs takes thousands.
    model = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=MAX_ITERATIONS)
    model.fit(x, target.astype(int), sample_weight=weights)
    return model.coef_[0].astype(float), float(model.intercept_[0])


def resample_probe(
    codes: np.ndarray,
    target: np.ndarray,
    subjects: np.ndarray,
    probe: Probe,
    n_samples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Fit a probe again on bootstrap samples of its training participants.

    Hyper-parameter and standardisation stay those of the probe.

    Parameters
    ----------
    codes, target, subjects
        As for :func:`fit_probe`, whose participants these must be.
    probe
        What was fitted on them.
    n_samples
        B, bootstrap samples.
    rng
        Draws participants with replacement, of a classification within each class.

    Returns
    -------
    numpy.ndarray
        Weights and, last, the constant term of each, (B, dim + 1).
    """
    from threadpoolctl import threadpool_limits

    x = (np.asarray(codes, float) - probe.mean) / probe.std
    names, first = np.unique(subjects, return_index=True)
    rows_of = {name: np.flatnonzero(subjects == name) for name in names}
    strata = target[first] if is_classification(probe.task) else np.zeros(len(names))
    fitted = np.empty((n_samples, x.shape[1] + 1))
    for k in range(n_samples):
        drawn = np.concatenate(
            [
                rng.choice(group, len(group))
                for group in (names[strata == s] for s in np.unique(strata))
            ]
        )
        rows = np.concatenate([rows_of[name] for name in drawn])
        # a participant who is drawn twice counts as two
        labels = np.repeat(np.arange(len(drawn)), [len(rows_of[name]) for name in drawn])
        with threadpool_limits(1):  # small systems: threads that wait cost ten times the work
            fitted[k, :-1], fitted[k, -1] = _solve(
                x[rows], target[rows], labels, probe.task, probe.hyper_parameter
            )
    return fitted


def fit_probes(
    codes: np.ndarray,
    index: pd.DataFrame,
    diagnoses: Diagnoses,
    *,
    c_grid: Sequence[float],
    alpha_grid: Sequence[float],
    n_folds: int,
    outer_folds: int | None,
    seed: int,
    scored: str = TEST,
    tasks: Sequence[str] = (AD_VS_CN, AGE),
    harmonised: bool = False,
) -> tuple[dict[str, dict[str, Any]], pd.DataFrame]:
    """Fit a probe for every task the data allow, and predict the scans.

    The tasks are those of the study and, where the index knows them, sex, conversion and site. The
    probe of the site is not kept: it is no attribute of a participant.

    Parameters
    ----------
    codes
        One row per scan, (N, dim).
    index
        Index of the packed scans, row-aligned: scan, subject, age, diagnosis, split.
    diagnoses
        Words for patients and controls.
    c_grid, alpha_grid
        Candidates for logistic and ridge regularisation.
    n_folds
        Folds of the inner choice.
    outer_folds
        If given, every scan is also predicted by probes of the other folds' participants, of all
        splits, each with its own inner choice: for cohorts whose test split is small. Only for
        codes that were learned without labels: others have seen the training labels.
    seed
        Seed of the folds.
    scored
        Split of the participants who are scored. Where it is ``val``, test participants are not
        predicted, and are in no fold.
    tasks
        Those of the study; one that the training split does not allow is left out.
    harmonised
        Whether the effects of sites are taken out of the codes
        (:func:`ldae.evaluation.harmonisation.harmonise`) by what those participants show on whom a
        probe is fitted. Only the choice of the hyper-parameter sees site effects of all folds.

    Returns
    -------
    tuple
        Probes by task, as JSON can hold them (:class:`Probe`); predictions with columns
        ``PREDICTION_COLUMNS`` for every scan that has a target, of every split that is shown
        (and of the split ``cv``).

    Raises
    ------
    ValueError
        If codes and index differ in length, or a subject is in two splits.
    """
    if len(codes) != len(index):
        raise ValueError(f"{len(codes)} codes for {len(index)} scans")
    if (index.groupby("subject")["split"].nunique() > 1).any():
        raise ValueError("a subject is in two splits")
    shown = (index["split"] != TEST).to_numpy() | (scored == TEST)
    codes, index = codes[shown], index[shown].reset_index(drop=True)
    subjects = index["subject"].to_numpy(str)
    in_training = (index["split"] == "train").to_numpy()

    def codes_of(fitted: np.ndarray) -> np.ndarray:
        """Codes as they are, or without the site effects that some rows have."""
        return harmonise(codes, index, fitted) if harmonised else codes

    if harmonised:
        note_fitted("ComBat", subjects[in_training])
    prepared = codes_of(np.flatnonzero(in_training))
    probes: dict[str, dict[str, Any]] = {}
    parts = []
    asked = [t for t in probe_tasks(index, diagnoses) if t in tasks]
    for task in asked + _control_tasks(index, scored):
        target = task_target(index, task, diagnoses)
        known = np.isfinite(target)
        rows = np.flatnonzero(known & in_training)
        search = (task, c_grid if is_classification(task) else alpha_grid, n_folds)
        probe = fit_probe(prepared[rows], target[rows], subjects[rows], *search, seed)
        probes[task] = probe.to_dict()
        part = _predictions(index, task, target, probe.predict(prepared))
        parts.append(part)
        if outer_folds is not None:
            held_out = _cross_predict(codes_of, target, subjects, *search, outer_folds, seed)
            crossed = part.assign(split=CROSS_VALIDATED, prediction=held_out[known])
            parts.append(crossed[np.isfinite(crossed["prediction"])])
    sites = predict_sites(codes_of, index, outer_folds, seed)
    return probes, _with_labels(parts, diagnoses, sites)


def _predictions(
    index: pd.DataFrame, task: str, target: np.ndarray, prediction: np.ndarray
) -> pd.DataFrame:
    """Rows of the scans that have a target."""
    known = np.isfinite(target)
    part: pd.DataFrame = index.loc[known, ["scan", "subject", "split"]].copy()
    part.insert(0, "task", task)
    part["target"] = target[known]
    part["prediction"] = prediction[known]
    return part


def _with_labels(
    parts: Sequence[pd.DataFrame], diagnoses: Diagnoses, sites: pd.DataFrame
) -> pd.DataFrame:
    """Predictions of all tasks below each other, with the word for each class; those of sites last.

    The number of a site is its only word: names of sites are not for everybody.
    """
    if not parts:
        return sites.assign(label="").reindex(columns=list(PREDICTION_COLUMNS))
    predictions = pd.concat(parts, ignore_index=True)
    predictions["label"] = [
        class_labels(task, diagnoses)[int(p >= DECISION)]
        for task, p in zip(predictions["task"], predictions["prediction"], strict=True)
    ]
    if len(sites):
        predictions = pd.concat([predictions, sites.assign(label="")], ignore_index=True)
    return predictions[list(PREDICTION_COLUMNS)]


def _cross_predict(
    codes_of: CodesOf,
    target: np.ndarray,
    subjects: np.ndarray,
    task: str,
    grid: Sequence[float],
    n_folds: int,
    outer_folds: int,
    seed: int,
) -> np.ndarray:
    """Prediction of every scan (N,) by a probe of the other folds; NaN where none could be fitted.

    The probes are not noted as fits: each predicts only participants whom it has not seen, and none
    is kept. Site effects are those of the other folds too.
    """
    known = np.flatnonzero(np.isfinite(target))
    held_out = np.full(len(target), np.nan)
    groups = target[known] if is_classification(task) else None
    for inner, outer in folds(groups, subjects[known], outer_folds, seed):
        fitted, predicted = known[inner], known[outer]
        codes = codes_of(fitted)
        fold = _fit_probe(
            codes[fitted], target[fitted], subjects[fitted], task, grid, n_folds, seed
        )
        held_out[predicted] = fold.predict(codes[predicted])
    return held_out


def _control_tasks(index: pd.DataFrame, scored: str) -> list[str]:
    """Tasks beside those of the study that the training participants allow."""
    participants = index[index["split"] == "train"].drop_duplicates("subject")
    counts = participants["sex"].value_counts() if "sex" in participants else pd.Series(dtype=int)
    tasks = [SEX] if min(counts.get("F", 0), counts.get("M", 0)) > 1 else []
    if CONVERTS in index and not why_no_conversion(index, index[CONVERTS].to_numpy(float), scored):
        tasks.append(CONVERSION)
    return tasks
