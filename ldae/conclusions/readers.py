"""Readers of a study's files, for the tables and figures that are made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ldae.statistics.predictions import read_predictions
from ldae.statistics.scores import read_scores
from ldae.statistics.tables import read_table


def table(path: Path) -> pd.DataFrame:
    """A table of results."""
    return read_table(path)


def tables(*paths: Path) -> dict[str, pd.DataFrame]:
    """Tables of results by name."""
    return {path.stem: read_table(path) for path in paths}


def plain_table(path: Path) -> pd.DataFrame:
    """Tab-separated numbers that are no table of results."""
    return pd.read_csv(path, sep="\t")


def scores(*paths: Path) -> pd.DataFrame:
    """Scores of one evaluation, ``<evaluation>/seed-<seed>.tsv.gz`` each, over its seeds."""
    (found,) = all_scores(*paths).values()
    return found


def all_scores(*paths: Path) -> dict[str, pd.DataFrame]:
    """Scores by evaluation, from ``<evaluation>/seed-<seed>.tsv.gz`` each."""
    names = dict.fromkeys(path.parent.name for path in paths)
    return {name: read_scores([p for p in paths if p.parent.name == name], name) for name in names}


def snapshot_scores(*paths: Path) -> dict[str, dict[str, pd.DataFrame]]:
    """Scores by evaluation and network, from ``<network>/<evaluation>/seed-<seed>.tsv.gz`` each."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for folder in dict.fromkeys(path.parent for path in paths):
        of_network = [path for path in paths if path.parent == folder]
        scores_of = found.setdefault(folder.name, {})
        scores_of[folder.parent.name] = read_scores(of_network, folder.name)
    return found


def predictions(*paths: Path) -> dict[str, pd.DataFrame]:
    """Predictions of probes by method."""
    return read_predictions(paths)


def array(path: Path) -> np.ndarray:
    """A memory-mapped array."""
    found: np.ndarray = np.load(path, mmap_mode="r")
    return found


def examples(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an evaluation's examples by name."""
    return dict(np.load(path))


def training_logs(*paths: Path) -> dict[str, pd.DataFrame]:
    """Losses by network, from ``<network>/metrics.csv`` or ``<network>/seed-<seed>/metrics.csv``.

    Returns
    -------
    dict
        Logs of one network below each other, with a column ``training_seed`` where each seed has a
        training of its own.
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    for path in paths:
        folder, log = path.parent, pd.read_csv(path)
        if folder.name.startswith("seed-"):
            log = log.assign(training_seed=int(folder.name.removeprefix("seed-")))
            folder = folder.parent
        parts.setdefault(folder.name, []).append(log)
    return {network: pd.concat(logs) for network, logs in parts.items()}
