"""Participants in a probe: how much each scan weighs, the folds, and whether there are enough."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ldae.subsets import TEST, WORDS

CodesOf = Callable[[np.ndarray], np.ndarray]
"""Codes of all scans (N, dim), made with what is fitted on some rows."""

LEAST_OF_GROUP = 10
"""Participants of each group that the task ``conversion`` takes."""

LEAST_TO_LEARN = 4
"""Those among them for training."""


def subject_weights(subjects: Sequence[str] | np.ndarray) -> np.ndarray:
    """One over the number of the subject's rows, (N,)."""
    _, inverse, counts = np.unique(
        np.asarray(subjects, str), return_inverse=True, return_counts=True
    )
    return 1 / counts[inverse]


def folds(
    groups: np.ndarray | None, subjects: np.ndarray, n_folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds that keep a subject together, as inner and outer rows.

    Parameters
    ----------
    groups
        Class of each row, (N,): every class is in every fold, as far as it has subjects. None of
        what has no classes.
    subjects
        Subject of each row, (N,).
    n_folds
        Folds; fewer where a class has fewer subjects.
    seed
        Seed of the folds.

    Raises
    ------
    ValueError
        If there are fewer subjects than folds.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    n_subjects = len(np.unique(subjects))
    classes = np.unique(groups) if groups is not None else np.zeros(1)
    if groups is not None:
        per_class = [len(np.unique(subjects[groups == label])) for label in classes]
        n = max(2, min(n_folds, *per_class))
        splitter = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
    else:
        n = max(2, min(n_folds, n_subjects))
        splitter = GroupKFold(n, shuffle=True, random_state=seed)
    if n_subjects < n:
        raise ValueError(f"{n_subjects} training subjects are too few")
    with warnings.catch_warnings():
        # A class with one subject cannot be in every fold; such folds get no score.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = list(splitter.split(np.zeros((len(subjects), 1)), groups, subjects))
    return [(i, o) for i, o in parts if groups is None or len(np.unique(groups[i])) == len(classes)]


def why_no_conversion(scans: pd.DataFrame, target: np.ndarray, scored: str = TEST) -> str:
    """Why converters cannot be separated from stable participants; empty if they can.

    Parameters
    ----------
    scans
        Rows with subject and split.
    target
        Of each row, 1, 0 or NaN (:meth:`ldae.data.diagnoses.Diagnoses.conversion`).
    scored
        Split of the participants who are scored.
    """
    for value, word in ((1, "converting"), (0, "stable")):
        members = scans[target == value].drop_duplicates("subject")
        if len(members) < LEAST_OF_GROUP:
            return (
                f"it takes {LEAST_OF_GROUP} participants {word} within "
                f"cohort.diagnoses.conversion_months, and there are {len(members)}"
            )
        for split, least in (("train", LEAST_TO_LEARN), (scored, 1)):
            found = int((members["split"] == split).sum())
            if found < least:
                return (
                    f"it takes {least} participants {word} in the {WORDS[split]} split, which has "
                    f"{found}"
                )
    return ""
