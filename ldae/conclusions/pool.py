"""Tables of all folds of a cross-validated study.

Each fold is a study of its own that tests other participants. Predictions and scores of their test
participants are put together, so that every number is over all participants.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from ldae.conclusions.comparison import compare_methods
from ldae.conclusions.finished import FinishedStudy, changes
from ldae.errors import InputError
from ldae.evaluation.probes.tables import tabulate_probes
from ldae.statistics.scores import tabulate_scores
from ldae.subsets import TEST
from ldae.wording import counted

logger = logging.getLogger(__name__)

POOLED = ("reconstruction", "interpolation")
"""Evaluations whose scores mean the same in every fold. The judges of edits do not: each fold fits
its own."""

WHO_IS_TESTED = ("split.fold", "split.test_sites", "split.file")
"""The settings in which folds differ."""


def pool_folds(folds: Sequence[FinishedStudy]) -> dict[str, pd.DataFrame]:
    """Tables of the test participants of all folds.

    Parameters
    ----------
    folds
        Studies with the same settings, but for names, places and who is tested.

    Returns
    -------
    dict
        Tables ``probes``, ``comparisons`` and, where every fold has them, those of `POOLED`.

    Raises
    ------
    InputError
        If a study scores no test participants, differs in other settings or in its methods; or if a
        participant is tested twice, or not at all.
    """
    first = folds[0]
    for fold in folds:
        _check_settings(fold, first)
    _check_participants(folds)
    evaluations = [name for name in POOLED if all(name in fold.scores for fold in folds)]
    scores = {name: _tested(fold.scores[name] for fold in folds) for name in evaluations}
    predictions = {m: _tested(fold.predictions[m] for fold in folds) for m in first.predictions}
    n, seed = first.bootstrap
    study: dict[str, Any] = {"cohort": first.name, "n_bootstrap": n, "seed": seed}
    return {
        "probes": tabulate_probes(predictions, **study),
        **{name: tabulate_scores(f, name, first.methods, **study) for name, f in scores.items()},
        "comparisons": compare_methods(predictions, scores, first.methods, **study),
    }


def _check_settings(fold: FinishedStudy, first: FinishedStudy) -> None:
    """Refuse what is no fold of the same study."""
    if fold.scored != TEST:
        problem = "it scores validation participants, who may be those of several folds"
        raise InputError(fold.folder, problem, "Run every fold with --config final=true")
    for path, (before, after) in changes(first, fold).items():
        if path not in WHO_IS_TESTED:
            problem = f"{path} is {after!r}, and {before!r} in {first.folder}"
            raise InputError(fold.folder, problem, "Pool folds that differ in who is tested alone")
    if other := set(fold.predictions) ^ set(first.predictions):
        problem = f"it and {first.folder} do not both have probes of {min(other)}"
        raise InputError(fold.folder, problem, "Run both to their end")


def _check_participants(folds: Sequence[FinishedStudy]) -> None:
    """Refuse folds that do not test every participant once."""
    for one, other in combinations(folds, 2):
        if both := one.scored_subjects & other.scored_subjects:
            n = counted(len(both), "participant")
            problem = f"it tests {n} whom {one.folder} tests, such as {min(both)}"
            raise InputError(other.folder, problem, "Name each fold once")
    everybody = {subject for fold in folds for subject in fold.index["subject"]}
    left = everybody.difference(*(fold.scored_subjects for fold in folds))
    if left:
        n_all = counted(len(everybody), "participant")
        problem = (
            f"{len(left)} of {n_all}, such as {min(left)}, are tested by none of these studies"
        )
        raise InputError(folds[0].folder.parent, problem, "Name the results of every fold")
    logger.info("%s in %s", counted(len(everybody), "participant"), counted(len(folds), "fold"))


def _tested(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Rows of the test participants of all folds."""
    return pd.concat([frame[frame["split"] == TEST] for frame in frames], ignore_index=True)
