"""Predictions of probes as files, one for each method and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ldae.errors import InputError

SHARED = "shared"
"""Stands in paths for the training seed of what has none: all trainings share it."""

IDENTITY = ("method", "seed")
"""Columns before those of the predictions; `seed` is empty for what has no training seed."""


def write_predictions(predictions: pd.DataFrame, method: str, seed: int | None, path: Path) -> None:
    """Write the predictions of one method's probes, tab-separated.

    Parameters
    ----------
    predictions
        As :func:`ldae.evaluation.probes.fitting.fit_probes` returns them.
    method
        Whose codes the probes were fitted on.
    seed
        Seed of the training that the codes come from; None where there is no training seed.
    path
        Written.
    """
    frame = predictions.copy()
    frame.insert(0, "seed", "" if seed is None else str(seed))
    frame.insert(0, "method", method)
    frame.to_csv(path, sep="\t", index=False, lineterminator="\n")


def seeds_of(predictions: Mapping[str, pd.DataFrame]) -> dict[str, list[int]]:
    """Training seeds of every method that has them, from :func:`read_predictions`."""
    return {m: sorted(set(frame["seed"])) for m, frame in predictions.items() if "seed" in frame}


def read_predictions(paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Predictions by method, in order of appearance; those of several trainings in one table.

    Parameters
    ----------
    paths
        Files of :func:`write_predictions`.

    Returns
    -------
    dict
        Tables without the column ``method``; with an integer column ``seed`` where the method has
        training seeds.

    Raises
    ------
    InputError
        If a file lacks columns, or two files hold the same training.
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
