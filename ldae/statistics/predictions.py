"""Files of probe predictions, one for each method and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ldae.errors import InputError
from ldae.leakage import note_scored
from ldae.subsets import TEST

SHARED = "shared"
"""Replaces the training seed in paths of results that all trainings share."""

IDENTITY = ("method", "seed")
"""Columns before those of the predictions; `seed` is empty for methods without training seeds."""


def write_predictions(predictions: pd.DataFrame, method: str, seed: int | None, path: Path) -> None:
    """Write the predictions of one method's probes, tab-separated.

    Parameters
    ----------
    predictions
        Result of :func:`ldae.evaluation.probes.fitting.fit_probes`.
    method
        Method whose codes the probes were fitted on.
    seed
        Training seed of the codes; None if the method has none.
    path
        File to write.
    """
    note_scored(predictions.loc[predictions["split"] == TEST, "subject"])
    frame = predictions.copy()
    frame.insert(0, "seed", "" if seed is None else str(seed))
    frame.insert(0, "method", method)
    frame.to_csv(path, sep="\t", index=False, lineterminator="\n")


def seeds_of(predictions: Mapping[str, pd.DataFrame]) -> dict[str, list[int]]:
    """Training seeds of all methods that have any; argument from :func:`read_predictions`."""
    return {m: sorted(set(frame["seed"])) for m, frame in predictions.items() if "seed" in frame}


def read_predictions(paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Predictions by method, in order of appearance; all trainings of a method in one table.

    Parameters
    ----------
    paths
        Files written by :func:`write_predictions`.

    Returns
    -------
    dict
        Tables without the column ``method``. They have an integer column ``seed`` if the method has
        training seeds.

    Raises
    ------
    InputError
        If a file lacks columns, or two files contain the same training.
    """
    parts: dict[str, dict[str, pd.DataFrame]] = {}
    text = {name: str for name in (*IDENTITY, "scan", "subject", "label")}
    for path in paths:
        frame = pd.read_csv(path, sep="\t", keep_default_na=False, dtype=text)
        if not set(IDENTITY) <= set(frame.columns):
            raise InputError(path, f"lacks the columns {sorted(IDENTITY)}", "Fit the probes again.")
        for key, part in frame.groupby(list(IDENTITY), sort=False):
            method, seed = (str(value) for value in key)
            of_method = parts.setdefault(method, {})
            if seed in of_method or (of_method and "" in {seed, *of_method}):
                raise InputError(
                    path, f"holds {method} again, as another file does", "Give each training once."
                )
            part = part.drop(columns=list(IDENTITY))
            of_method[seed] = part.assign(seed=int(seed)) if seed else part
    return {m: pd.concat(p.values(), ignore_index=True) for m, p in parts.items()}
