"""A finished study, read from its results: predictions and scores of its participants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ldae.conclusions.readers import all_scores
from ldae.data.triples import find_triples
from ldae.data.volumes import read_index
from ldae.errors import InputError
from ldae.methods import Methods, study_methods
from ldae.statistics.predictions import SHARED, read_predictions
from ldae.subsets import scored_split

INTERPOLATION = "interpolation"
EVALUATIONS = ("reconstruction", "manipulation", INTERPOLATION)
"""Evaluations whose scores are compared."""

OWN = ("study", "title", "pathvars", "bids_folder")
"""Settings that say nothing about what a study computes: its names and places."""


@dataclass(frozen=True)
class FinishedStudy:
    """Predictions and scores of a study, and whose they are.

    Attributes
    ----------
    folder
        Its results.
    config
        Its complete settings.
    methods
        Its methods.
    index
        Its packed scans with labels (:func:`ldae.data.volumes.read_index`).
    predictions
        Predictions of the probes by method (:func:`ldae.statistics.predictions.read_predictions`).
    scores
        Scores by evaluation (:func:`ldae.statistics.scores.read_scores`). A triple has the names of
        its three scans for a number, which is another one in a study with other visits.
    """

    folder: Path
    config: Mapping[str, Any]
    methods: Methods
    index: pd.DataFrame
    predictions: Mapping[str, pd.DataFrame]
    scores: Mapping[str, pd.DataFrame]

    @classmethod
    def read(cls, folder: Path) -> FinishedStudy:
        """The study whose results lie in a folder.

        Raises
        ------
        InputError
            If the folder has no study, or one that was not run to its end.
        """
        config, index = folder / "config.yaml", folder / "volumes" / "index.tsv"
        for path in (config, index):
            if not path.is_file():
                problem = f"it holds no finished study (no {path.relative_to(folder)})"
                raise InputError(folder, problem, "Give the results folder of a study that has run")
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        methods = study_methods(settings)
        runs = [f"seed-{seed}" for seed in settings["training_seeds"]]
        predicted = [
            path
            for name in methods.coded()
            for path in _complete(folder / "probes" / name, (SHARED,), ".tsv")
            or _complete(folder / "probes" / name, runs, ".tsv")
        ]
        scored = [p for e in EVALUATIONS for p in _complete(folder / "scores" / e, runs, ".tsv.gz")]
        predictions, scores = read_predictions(predicted), all_scores(*scored)
        if not predictions and not scores:
            problem = "it holds neither predictions nor scores of participants"
            raise InputError(folder, problem, "Run the study to its end")
        labelled = read_index(index, folder / "manifest" / "scans.tsv")
        study = cls(folder, settings, methods, labelled, predictions, scores)
        if INTERPOLATION in scores:
            frame = scores[INTERPOLATION]
            scores[INTERPOLATION] = frame.assign(triple=frame["triple"].map(study._triples()))
        return study

    @property
    def name(self) -> str:
        """What the study is called."""
        return str(self.config["study"])

    @property
    def scored(self) -> str:
        """Split of the participants whom it scores."""
        # Studies of releases without this setting scored their test participants.
        return scored_split(final=bool(self.config.get("final", True)))

    @property
    def scored_subjects(self) -> set[str]:
        """The participants of that split."""
        return set(self.index.loc[self.index["split"] == self.scored, "subject"])

    @property
    def bootstrap(self) -> tuple[int, int]:
        """Replicates of its intervals, and their seed."""
        return int(self.config["evaluation"]["n_bootstrap"]), int(self.config["seed"])

    def _triples(self) -> dict[int, str]:
        """Names of the three scans of each scored triple, by its number."""
        most = self.config["evaluation"]["interpolation"]["max_triples"]
        triples = find_triples(self.index, self.scored, most, self.config["seed"])
        rows = [list(triple.rows) for triple in triples]
        return {i: " ".join(self.index["scan"].loc[three]) for i, three in enumerate(rows)}


def _complete(folder: Path, runs: Sequence[str], ending: str) -> list[Path]:
    """A file of each run, or nothing if the study does without them."""
    paths = [folder / f"{run}{ending}" for run in runs]
    missing = [path for path in paths if not path.is_file()]
    if 0 < len(missing) < len(paths):
        problem = "it is missing, and those of other training seeds are there"
        raise InputError(missing[0], problem, "Run the study to its end")
    return [] if missing else paths


def changes(before: FinishedStudy, after: FinishedStudy) -> dict[str, tuple[Any, Any]]:
    """Settings in which two studies differ, by path such as ``grid.shape``, with both values.

    Names and places are left out, and so are settings that only one of them has: these are of
    another release.
    """
    one, other = (dict(_leaves(study.config)) for study in (before, after))
    return {
        path: (value, other[path])
        for path, value in one.items()
        if path in other and value != other[path] and path.partition(".")[0] not in OWN
    }


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its path."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
