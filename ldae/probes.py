"""Linear probes: what a code knows of disease and age.

Every statistic (standardisation, hyper-parameter, weights) comes from the training split.  A person
with several scans counts once: each scan weighs one over the number of that person's scans.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ldae.bootstrap import subject_bootstrap, weighted_mean
from ldae.provenance.fitted import note_fitted
from ldae.tables import tidy

logger = logging.getLogger(__name__)

AD_VS_CN = "ad_vs_cn"
AGE = "age"
POSITIVE, NEGATIVE = "AD", "CN"
"""Alzheimer's disease is the positive class, so that sensitivity is the share of patients found."""

DECISION = 0.5
"""Probability from which a scan is called AD; the training classes are balanced by weight."""

MAX_ITERATIONS = 5000
"""Bound on solver iterations, far above what standardised codes need."""

PREDICTION_COLUMNS = ("task", "scan", "subject", "split", "target", "prediction", "label")


@dataclass(frozen=True)
class Probe:
    """A linear read-out of a code.

    Attributes
    ----------
    task
        ``ad_vs_cn`` or ``age``.
    mean, std
        Standardisation from the training rows, (dim,); 1 where the code is constant.
    weights
        w in standardised code space, (dim,).
    intercept
        Constant term; log-odds for ad_vs_cn, years for age.
    hyper_parameter
        Chosen C (logistic regression) or alpha (ridge).
    n_subjects, n_scans
        Training people and scans.
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
        """Linear response (N,): log-odds of AD, or age in years."""
        return (np.asarray(codes, float) - self.mean) / self.std @ self.weights + self.intercept

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """Probability of AD, or age in years, (N,)."""
        response = self.score(codes)
        return 1 / (1 + np.exp(-response)) if self.task == AD_VS_CN else response

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


def probe_tasks(index: pd.DataFrame) -> list[str]:
    """Tasks the training split allows: ``ad_vs_cn`` with both groups, ``age`` with known ages."""
    train = index[index["split"] == "train"]
    tasks = []
    if {POSITIVE, NEGATIVE} <= set(train["diagnosis"]):
        tasks.append(AD_VS_CN)
    if train["age"].nunique() > 1:
        tasks.append(AGE)
    return tasks


def task_target(index: pd.DataFrame, task: str) -> np.ndarray:
    """Target of each scan, (N,): 1 for AD and 0 for CN, or age in years; NaN for other scans."""
    if task == AGE:
        return index["age"].to_numpy(float)
    return index["diagnosis"].map({POSITIVE: 1.0, NEGATIVE: 0.0}).to_numpy(float)


def subject_weights(subjects: Sequence[str] | np.ndarray) -> np.ndarray:
    """One over the number of the subject's rows, (N,)."""
    _, inverse, counts = np.unique(
        np.asarray(subjects, str), return_inverse=True, return_counts=True
    )
    return 1 / counts[inverse]


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

    Parameters
    ----------
    codes
        Training codes, (N, dim).
    target
        0 or 1, or years, (N,).
    subjects
        Subject of each row, (N,).
    task
        ``ad_vs_cn``: logistic regression with both classes of equal weight; ``age``: ridge.
    grid
        Candidates for C or alpha.  Of equally good ones the strongest regularisation is taken.
    n_folds
        Folds; fewer where a class has fewer subjects.
    seed
        Seed of the folds.

    Raises
    ------
    ValueError
        If a code is not finite, or a class is absent.
    """
    codes = np.asarray(codes, np.float64)
    if not np.isfinite(codes).all():
        raise ValueError(f"{task}: codes are not finite")
    if not np.isfinite(target).all():
        raise ValueError(f"{task}: a training scan has no target")
    if task == AD_VS_CN and len(np.unique(target)) != 2:
        raise ValueError(f"{task}: the training rows hold one class only")
    note_fitted(f"probe of {task}", subjects)
    # Strongest regularisation first: small C, large alpha.
    candidates = sorted(grid, reverse=task == AGE)
    folds = list(_folds(target, subjects, task, n_folds, seed))
    scores = np.full((len(candidates), len(folds)), np.nan)
    for j, (inner, outer) in enumerate(folds):
        mean, std = _standardisation(codes[inner])
        x_inner, x_outer = (codes[inner] - mean) / std, (codes[outer] - mean) / std
        for i, candidate in enumerate(candidates):
            w, b = _solve(x_inner, target[inner], subjects[inner], task, candidate)
            response = x_outer @ w + b
            weights = subject_weights(subjects[outer])[None]
            both = np.column_stack([target[outer], response])
            measure = weighted_auc if task == AD_VS_CN else _negative_mse
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


def _folds(
    target: np.ndarray, subjects: np.ndarray, task: str, n_folds: int, seed: int
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Folds that keep a subject together; of a classification, with each class in every fold."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    if task == AD_VS_CN:
        per_class = [len(np.unique(subjects[target == label])) for label in (0, 1)]
        n = max(2, min(n_folds, *per_class))
        splitter = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
    else:
        n = max(2, min(n_folds, len(np.unique(subjects))))
        splitter = GroupKFold(n, shuffle=True, random_state=seed)
    if len(np.unique(subjects)) < n:
        raise ValueError(f"{task}: {len(np.unique(subjects))} training subjects are too few")
    with warnings.catch_warnings():
        # A class with one subject cannot be in every fold; such folds get no score.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        folds = list(splitter.split(target[:, None], target, subjects))
    return [(i, o) for i, o in folds if task == AGE or len(np.unique(target[i])) == 2]


def _solve(
    x: np.ndarray, target: np.ndarray, subjects: np.ndarray, task: str, strength: float
) -> tuple[np.ndarray, float]:
    """Weights and intercept on standardised codes."""
    from sklearn.linear_model import LogisticRegression, Ridge

    weights = subject_weights(subjects)
    if task == AGE:
        ridge = Ridge(alpha=strength).fit(x, target, sample_weight=weights)
        return ridge.coef_.astype(float), float(ridge.intercept_)
    # Balanced in people, not in scans: patients often come for fewer visits.
    for label in (0.0, 1.0):
        weights[target == label] *= 0.5 * len(target) / weights[target == label].sum()
    model = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
    model.fit(x, target.astype(int), sample_weight=weights)
    return model.coef_[0].astype(float), float(model.intercept_[0])


def fit_probes(
    codes: np.ndarray,
    index: pd.DataFrame,
    *,
    c_grid: Sequence[float],
    alpha_grid: Sequence[float],
    n_folds: int,
    seed: int,
) -> tuple[dict[str, dict[str, Any]], pd.DataFrame]:
    """Fit a probe for every task the data allow, and predict every scan.

    Parameters
    ----------
    codes
        One row per scan, (N, dim).
    index
        Index of the packed scans, row-aligned: scan, subject, age, diagnosis, split.
    c_grid, alpha_grid
        Candidates for logistic and ridge regularisation.
    n_folds
        Folds of the inner choice.
    seed
        Seed of the folds.

    Returns
    -------
    tuple
        Probes by task, as JSON can hold them (:class:`Probe`); predictions with columns
        ``PREDICTION_COLUMNS`` for every scan that has a target, of every split.

    Raises
    ------
    ValueError
        If codes and index differ in length, or a subject is in two splits.
    """
    if len(codes) != len(index):
        raise ValueError(f"{len(codes)} codes for {len(index)} scans")
    if (index.groupby("subject")["split"].nunique() > 1).any():
        raise ValueError("a subject is in two splits")
    probes: dict[str, dict[str, Any]] = {}
    parts = []
    for task in probe_tasks(index):
        target = task_target(index, task)
        known = np.isfinite(target)
        train = known & (index["split"] == "train").to_numpy()
        grid = c_grid if task == AD_VS_CN else alpha_grid
        probe = fit_probe(
            codes[train],
            target[train],
            index.loc[train, "subject"].to_numpy(str),
            task,
            grid,
            n_folds,
            seed,
        )
        logger.info(
            "%s: chose %g, cross-validated score %.3f", task, probe.hyper_parameter, probe.cv_score
        )
        probes[task] = probe.to_dict()
        part = index.loc[known, ["scan", "subject", "split"]].copy()
        part.insert(0, "task", task)
        part["target"] = target[known]
        part["prediction"] = probe.predict(codes[known])
        part["label"] = _labels(index.loc[known], part["prediction"], task)
        parts.append(part)
    if not parts:
        return probes, pd.DataFrame(columns=list(PREDICTION_COLUMNS))
    return probes, pd.concat(parts, ignore_index=True)[list(PREDICTION_COLUMNS)]


def _labels(index: pd.DataFrame, prediction: pd.Series, task: str) -> np.ndarray:
    """Predicted group of each scan, empty for age."""
    if task == AGE:
        return np.full(len(index), "")
    return np.where(prediction.to_numpy() >= DECISION, POSITIVE, NEGATIVE)


# --- Measures, each of (target, prediction) pairs (N, 2) under weights (R, N) -------------------


def weighted_auc(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, (R,): chance that a patient scores above a control, ties half."""
    positive = values[:, 0] == 1
    case, control = values[positive, 1], values[~positive, 1]
    wins = (case[:, None] > control) + 0.5 * (case[:, None] == control)
    w_case, w_control = weights[:, positive], weights[:, ~positive]
    with np.errstate(invalid="ignore", divide="ignore"):
        total = w_case.sum(1) * w_control.sum(1)
        return ((w_case @ wins) * w_control).sum(1) / total


def _negative_mse(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return -weighted_mean((values[:, 0] - values[:, 1]) ** 2, weights)


def _confusion(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weighted TP, FP, TN, FN, each (R,)."""
    truth, called = values[:, 0] == 1, values[:, 1] >= DECISION
    cells = [truth & called, ~truth & called, ~truth & ~called, truth & ~called]
    return tuple(weights @ cell.astype(float) for cell in cells)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return above / below


def _accuracy(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    tp, fp, tn, fn = _confusion(values, weights)
    return _ratio(tp + tn, tp + fp + tn + fn)


def _sensitivity(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    tp, _, _, fn = _confusion(values, weights)
    return _ratio(tp, tp + fn)


def _specificity(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    _, fp, tn, _ = _confusion(values, weights)
    return _ratio(tn, tn + fp)


def _balanced_accuracy(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (_sensitivity(values, weights) + _specificity(values, weights)) / 2


def _f1(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    tp, fp, _, fn = _confusion(values, weights)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def _mcc(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Matthews correlation; 0 where nothing or everything is called AD, as scikit-learn."""
    tp, fp, tn, fn = _confusion(values, weights)
    below = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.where(below > 0, (tp * tn - fp * fn) / np.where(below > 0, below, 1), 0.0)


def _mae(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weighted_mean(np.abs(values[:, 0] - values[:, 1]), weights)


def _rmse(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.sqrt(-_negative_mse(values, weights))


def _r2(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of variance explained, against the evaluated sample's own mean."""
    target = values[:, 0]
    variance = weighted_mean(target**2, weights) - weighted_mean(target, weights) ** 2
    return 1 - _ratio(-_negative_mse(values, weights), np.where(variance > 1e-9, variance, np.nan))


MEASURES: dict[str, dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    AD_VS_CN: {
        "roc_auc": weighted_auc,
        "accuracy": _accuracy,
        "balanced_accuracy": _balanced_accuracy,
        "sensitivity": _sensitivity,
        "specificity": _specificity,
        "f1": _f1,
        "mcc": _mcc,
    },
    AGE: {"mae": _mae, "rmse": _rmse, "r2": _r2},
}
MAIN_MEASURE = {AD_VS_CN: "roc_auc", AGE: "mae"}
REFERENCE = "ldae"


def tabulate_probes(
    predictions: dict[str, pd.DataFrame], *, cohort: str, seed: int, n_bootstrap: int
) -> pd.DataFrame:
    """Performance of every method's probes on the validation and the test split.

    Parameters
    ----------
    predictions
        Predictions of :func:`fit_probes` by method.  Every scan counts; intervals are over
        subjects.
    cohort, seed
        For the table.
    n_bootstrap
        Replicates.

    Returns
    -------
    pandas.DataFrame
        Table ``probes``.  Metrics ``roc_auc_difference`` and ``mae_difference`` are method minus
        ldae on the same replicates.
    """
    rows: list[dict[str, object]] = []
    for method, frame in predictions.items():
        for split in ("val", "test"):
            for task, measures in MEASURES.items():
                part = _evaluated(frame, split, task)
                if part.empty:
                    continue
                subjects = part["subject"].to_numpy(str)
                values = part[["target", "prediction"]].to_numpy(float)
                common: dict[str, object] = {
                    "split": split,
                    "method": method,
                    "task": task,
                    "n_subjects": len(set(subjects)),
                    "n_scans": len(part),
                }
                for metric, measure in measures.items():
                    result = subject_bootstrap(values, subjects, measure, n_bootstrap, seed)
                    rows.append(common | {"metric": metric} | _result(result))
                if method == REFERENCE or REFERENCE not in predictions:
                    continue
                other = _evaluated(predictions[REFERENCE], split, task)
                if list(other["scan"]) != list(part["scan"]):
                    raise ValueError(f"{method} and {REFERENCE} predict different scans")
                paired = np.column_stack([values, other["prediction"].to_numpy(float)])
                main = MAIN_MEASURE[task]
                result = subject_bootstrap(
                    paired, subjects, _difference(measures[main]), n_bootstrap, seed
                )
                note = {"note": f"method minus {REFERENCE}, paired over subjects"}
                rows.append(common | {"metric": f"{main}_difference"} | _result(result) | note)
    if not rows:
        rows = [{"method": "none", "metric": "none", "value": np.nan, "note": "no task"}]
    return tidy(rows, "probes", cohort=cohort, seed=seed)


def _evaluated(frame: pd.DataFrame, split: str, task: str) -> pd.DataFrame:
    return frame[(frame["split"] == split) & (frame["task"] == task)]


def _result(result: tuple[float, float, float]) -> dict[str, object]:
    return dict(zip(("value", "ci_low", "ci_high"), result, strict=True))


def _difference(
    measure: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Measure of column 1 minus measure of column 2, both against column 0."""

    def statistic(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return measure(values[:, [0, 1]], weights) - measure(values[:, [0, 2]], weights)

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
