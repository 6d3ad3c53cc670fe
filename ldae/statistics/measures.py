"""Measures of predictions.

Each measure is a function of pairs (target, prediction), (N, 2), and weights (R, N). A row of
weights is one bootstrap replicate; the result has one number per row, (R,).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ldae.statistics.bootstrap import weighted_mean

AD_VS_CN = "ad_vs_cn"
AGE = "age"
SEX = "sex"
SITE = "site"
CONVERSION = "conversion"

DECISION = 0.5
"""Probability threshold for the class AD; the classes are weighted equally in training."""


def weighted_auc(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, (R,): probability that a case scores above a control; ties half."""
    positive = values[:, 0] == 1
    case, control = values[positive, 1], values[~positive, 1]
    wins = (case[:, None] > control) + 0.5 * (case[:, None] == control)
    w_case, w_control = weights[:, positive], weights[:, ~positive]
    with np.errstate(invalid="ignore", divide="ignore"):
        total = w_case.sum(1) * w_control.sum(1)
        return np.asarray(((w_case @ wins) * w_control).sum(1) / total)


def negative_mse(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Negative mean squared error, (R,): higher is better."""
    return -weighted_mean((values[:, 0] - values[:, 1]) ** 2, weights)


def _confusion(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weighted TP, FP, TN, FN, each (R,)."""
    truth, called = values[:, 0] == 1, values[:, 1] >= DECISION
    cells = [truth & called, ~truth & called, ~truth & ~called, truth & ~called]
    return tuple(weights @ cell.astype(float) for cell in cells)


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Elementwise quotient; NaN where both are zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above / below)


def _accuracy(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    tp, fp, tn, fn = _confusion(values, weights)
    return ratio(tp + tn, tp + fp + tn + fn)


def _sensitivity(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    tp, _, _, fn = _confusion(values, weights)
    return ratio(tp, tp + fn)


def _specificity(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    _, fp, tn, _ = _confusion(values, weights)
    return ratio(tn, tn + fp)


def _balanced_accuracy(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray((_sensitivity(values, weights) + _specificity(values, weights)) / 2)


def class_recall(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Balanced accuracy of several classes, (R,): mean share of each class that is recognised.

    Targets and predictions are numbers of classes. The level of chance is one over the number of
    classes among the targets.
    """
    hits = (values[:, 0] == values[:, 1]).astype(float)
    members = [values[:, 0] == label for label in np.unique(values[:, 0])]
    recalls = [ratio(weights[:, m] @ hits[m], weights[:, m].sum(1)) for m in members]
    return np.asarray(np.mean(recalls, axis=0))


def _f1(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    tp, fp, _, fn = _confusion(values, weights)
    return ratio(2 * tp, 2 * tp + fp + fn)


def _mcc(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Matthews correlation; 0 if all predictions are the same, as in scikit-learn."""
    tp, fp, tn, fn = _confusion(values, weights)
    below = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.where(below > 0, (tp * tn - fp * fn) / np.where(below > 0, below, 1), 0.0)


def _mae(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weighted_mean(np.abs(values[:, 0] - values[:, 1]), weights)


def _rmse(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(-negative_mse(values, weights)))


def _r2(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficient of determination, relative to the mean of the evaluated sample."""
    target = values[:, 0]
    variance = weighted_mean(target**2, weights) - weighted_mean(target, weights) ** 2
    return 1 - ratio(-negative_mse(values, weights), np.where(variance > 1e-9, variance, np.nan))


def weighted_correlation(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson correlation of target and prediction, (R,)."""
    means = weights @ values / weights.sum(1, keepdims=True)  # (R, 2)
    products = np.stack([values[:, 0] ** 2, values[:, 1] ** 2, values.prod(1)], 1)
    second = weights @ products / weights.sum(1, keepdims=True)
    variance = np.maximum(second[:, :2] - means**2, 1e-12)
    return np.asarray((second[:, 2] - means.prod(1)) / np.sqrt(variance.prod(1)))


def _of_controls(
    measure: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The measure with class 0 as the positive class, as in the paper."""

    def swapped(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        called = values[:, 1] >= DECISION
        return measure(np.column_stack([1 - values[:, 0], ~called]), weights)

    return swapped


def _precision(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    tp, fp, _, _ = _confusion(values, weights)
    return ratio(tp, tp + fp)


MEASURES: dict[str, dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    AD_VS_CN: {
        "roc_auc": weighted_auc,
        "accuracy": _accuracy,
        "balanced_accuracy": _balanced_accuracy,
        "sensitivity": _sensitivity,
        "specificity": _specificity,
        "precision": _precision,
        "f1": _f1,
        "mcc": _mcc,
        "precision_cn_positive": _of_controls(_precision),
        "recall_cn_positive": _of_controls(_sensitivity),
        "f1_cn_positive": _of_controls(_f1),
    },
    AGE: {"mae": _mae, "rmse": _rmse, "r2": _r2},
    SEX: {"roc_auc": weighted_auc, "balanced_accuracy": _balanced_accuracy},
    CONVERSION: {
        "roc_auc": weighted_auc,
        "balanced_accuracy": _balanced_accuracy,
        "sensitivity": _sensitivity,
        "specificity": _specificity,
    },
    SITE: {"balanced_accuracy": class_recall},
}
MAIN_MEASURE = {AD_VS_CN: "roc_auc", AGE: "mae"}
