"""A model of one cohort on the scans of another one, and what it takes to adapt it.

Nothing of the target's test participants is fitted. The steps of adaptation take more and more of
the target. ``frozen``: everything is the source's. ``statistics``: mean and SD of each entry of the
code are those of the target's training scans, without labels. ``labels``: the probe is fitted on
some labelled training participants of the target, and the network is still the source's.
``fine-tuned``: the network is trained on for some steps on all training scans of the target,
without labels; then it is read by the source's probe, and by probes fitted on labelled
participants. ``constant`` is the mean age of the target's training participants, which any model
should beat.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ldae.data.diagnoses import Diagnoses
from ldae.data.volumes import VolumeStore
from ldae.deployment.fine_tuning import check_fine_tuning, fine_tune
from ldae.deployment.model import Model
from ldae.deployment.readout import read_probes
from ldae.errors import InputError
from ldae.evaluation.codes import encode_semantics
from ldae.evaluation.probes.fitting import fit_probe, is_classification, task_target
from ldae.evaluation.reconstruction import evaluate_reconstruction
from ldae.methods import METHODS, Methods
from ldae.statistics.auc import measure_interval
from ldae.statistics.bootstrap import summarise_scores
from ldae.statistics.measures import AGE, MAIN_MEASURE, MEASURES
from ldae.statistics.tables import tidy
from ldae.subsets import scored_split

N_DRAWS = 5
"""Draws of labelled participants; a number is their mean, and its interval has their spread."""

AUTOENCODER = "autoencoder"
FROZEN, FINE_TUNED = "frozen", "fine-tuned"


@dataclass(frozen=True)
class Target:
    """The cohort on which a model is tested: results of a study whose scans are packed.

    Attributes
    ----------
    config
        Complete settings of its study.
    store
        Its scans, with labels.
    files
        Where they lie: ``volumes``, ``masks`` and ``index``.
    """

    config: dict[str, Any]
    store: VolumeStore
    files: Mapping[str, Path]

    @classmethod
    def read(cls, results: Path) -> Target:
        """The cohort of a study.

        Raises
        ------
        InputError
            If its scans are not packed.
        """
        config, names = results / "config.yaml", ("volumes.npy", "masks.npy", "index.tsv")
        files = {Path(name).stem: results / "volumes" / name for name in names}
        for path in (config, *files.values()):
            if not path.is_file():
                problem = "it holds no packed scans of a study"
                remedy = "Run the study of the target as far as volumes/index.tsv"
                raise InputError(path, problem, remedy)
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        paths = (files["volumes"], files["masks"], files["index"])
        return cls(settings, VolumeStore(*paths, results / "manifest" / "scans.tsv"), files)

    @property
    def scored(self) -> str:
        """Split that measures the model: the one that the target's study scores."""
        # Studies of releases without this setting scored their test participants.
        return scored_split(final=self.config.get("final", True))

    def targets(self, task: str) -> np.ndarray:
        """Target of a task of every scan, NaN where it is not known, (N,)."""
        diagnoses = Diagnoses(**self.config["cohort"]["diagnoses"])
        return task_target(self.store.index, task, diagnoses)


def transfer(
    source: Model,
    target: Target,
    *,
    n_labelled: Sequence[int],
    n_scans: int | None,
    n_steps: int | None = None,
) -> pd.DataFrame:
    """How well a model does on another cohort, frozen and adapted.

    Parameters
    ----------
    source
        The trained model, from the results of a study.
    target
        The other cohort, on the same grid. Settings of probes, bootstrap and seed are those of its
        study.
    n_labelled
        Numbers of labelled participants of the target to which probes are fitted; numbers above
        that of its training participants stand for all of them.
    n_scans
        Scored scans of the target that are reconstructed; None is all of them.
    n_steps
        Steps for which the network is trained on; None is no fine-tuning.

    Returns
    -------
    pandas.DataFrame
        Table ``transfer``.

    Raises
    ------
    InputError
        If the grids differ, or the model cannot be trained on.
    """
    if source.config["grid"] != target.config["grid"]:
        problem = f"{source.config['grid']} is not the target's grid, {target.config['grid']}"
        raise InputError("grid", problem, "Preprocess the target on the grid of the source")
    if n_steps is not None:
        check_fine_tuning(source, n_steps)
    found = [_measure(source, target, n_labelled, n_scans)]
    if n_steps is not None:
        with tempfile.TemporaryDirectory() as folder:
            tuned, seconds = fine_tune(
                source, target.files, target.store, target.config, n_steps, Path(folder)
            )
            measured = _measure(tuned, target, n_labelled, n_scans)
        found.append(_as_fine_tuned(measured, source.method.name, target, n_steps, seconds))
    return tidy(
        pd.concat(found).assign(source=source.config["study"]),
        "transfer", cohort=target.config["study"],
        seeds={source.method.name: [source.artefact.seed]}, split=target.scored,
    )  # fmt: skip


def _measure(
    model: Model, target: Target, n_labelled: Sequence[int], n_scans: int | None
) -> pd.DataFrame:
    """Rows of a model as it is: its probes, and its reconstruction."""
    size = int(target.config["evaluation"]["micro_batch"])
    codes = encode_semantics(model.semantic_encoder, target.store, size, model.device)
    rows = [
        {"method": model.method.name, **row}
        for task, probe in read_probes(model.artefact).items()
        if task in MAIN_MEASURE
        for row in _of_task(codes.astype(float), probe, target, n_labelled)
    ]
    return pd.concat([pd.DataFrame(rows), _reconstruct(model, target, n_scans)])


def _as_fine_tuned(
    rows: pd.DataFrame, method: str, target: Target, n_steps: int, seconds: float
) -> pd.DataFrame:
    """Rows of a network that was trained on, with the time that this took.

    Neither the autoencoder nor the mean age depends on the network.
    """
    rows = rows[rows["adaptation"].isin([FROZEN, "labels"]) & rows["method"].eq(method)]
    train = target.store.index["split"] == "train"
    time = {
        "method": method, "metric": "seconds", "value": seconds, "n_scans": int(train.sum()),
        "n_subjects": target.store.index["subject"][train].nunique(),
    }  # fmt: skip
    found = pd.concat([rows, pd.DataFrame([time])])
    return found.assign(adaptation=FINE_TUNED, training_steps=n_steps)


def _of_task(
    codes: np.ndarray, probe: Any, target: Target, n_labelled: Sequence[int]
) -> Iterator[dict[str, object]]:
    """Rows of one task, from all of the source to most of the target."""
    task, index = probe.task, target.store.index
    truth = target.targets(task)
    known = np.isfinite(truth)
    train = np.flatnonzero(known & (index["split"] == "train").to_numpy())
    scored = np.flatnonzero(known & (index["split"] == target.scored).to_numpy())
    needed = 2 if is_classification(task) else 1
    if len(np.unique(truth[scored])) < needed or len(np.unique(truth[train])) < 2:
        return
    statistics = replace(probe, mean=codes[train].mean(0), std=codes[train].std(0) + 1e-12)
    predictions: dict[tuple[str, int | None], list[np.ndarray]] = {
        (FROZEN, None): [probe.predict(codes[scored])],
        ("statistics", None): [statistics.predict(codes[scored])],
    }
    if task == AGE:
        predictions["constant", None] = [np.full(len(scored), truth[train].mean())]
    subjects = index["subject"].to_numpy(str)
    for n in _numbers(n_labelled, len(set(subjects[train]))):
        predictions["labels", n] = [
            _fit_on(codes, truth, rows, subjects, task, target).predict(codes[scored])
            for rows in _draws(train, truth, subjects, n, task, target.config["seed"])
        ]
    for (adaptation, number), of_draws in predictions.items():
        values = np.concatenate([np.column_stack([truth[scored], p]) for p in of_draws])
        metric = MAIN_MEASURE[task]
        result = measure_interval(
            values, np.tile(subjects[scored], len(of_draws)), MEASURES[task][metric],
            target.config["evaluation"]["n_bootstrap"], target.config["seed"],
            np.repeat(np.arange(len(of_draws)), len(scored)),
        )  # fmt: skip
        yield {
            "adaptation": adaptation, "n_labelled": number, "task": task, "metric": metric,
            "n_subjects": len(set(subjects[scored])), "n_scans": len(scored),
            **dict(zip(("value", "ci_low", "ci_high"), result, strict=True)),
        }  # fmt: skip


def _numbers(wanted: Sequence[int], most: int) -> list[int]:
    """Numbers of participants to learn from, without repeats."""
    return sorted({min(n, most) for n in wanted})


def _draws(
    train: np.ndarray, truth: np.ndarray, subjects: np.ndarray, n: int, task: str, seed: int
) -> Iterator[np.ndarray]:
    """Rows of `n` participants, drawn several times; of a classification, half of each class."""
    names, first = np.unique(subjects[train], return_index=True)
    groups = truth[train][first] if is_classification(task) else np.zeros(len(names))
    for draw in range(N_DRAWS if n < len(names) else 1):
        rng = np.random.default_rng([seed, draw])
        order = rng.permutation(len(names))
        # the classes in turn, as long as there are participants of both
        place = pd.Series(groups[order]).groupby(groups[order]).cumcount().to_numpy()
        chosen = names[order[np.argsort(place, kind="stable")[:n]]]
        yield train[np.isin(subjects[train], chosen)]


def _fit_on(
    codes: np.ndarray,
    truth: np.ndarray,
    rows: np.ndarray,
    subjects: np.ndarray,
    task: str,
    target: Target,
) -> Any:
    """A probe of the source's codes, fitted on labelled scans of the target."""
    probes = target.config["probes"]
    grid = probes["c_grid"] if is_classification(task) else probes["alpha_grid"]
    return fit_probe(
        codes[rows], truth[rows], subjects[rows], task, grid, probes["n_folds"],
        target.config["seed"],
    )  # fmt: skip


def _reconstruct(source: Model, target: Target, n_scans: int | None) -> pd.DataFrame:
    """Reconstruction of the target's scored scans by the source's networks and autoencoder."""
    method, verdicts = source.method, target.config["verdicts"]
    known = Methods(METHODS)
    scores, _ = evaluate_reconstruction(
        target.store, {method.name: source.decoder()},
        Methods([method, *([known[AUTOENCODER]] if method.space == "latent" else [])]),
        steps=[verdicts["n_steps"]], voxel_steps=[verdicts["n_steps"]], n_scans=n_scans,
        windows=[verdicts["ssim_window"]], batch_size=target.config["evaluation"]["micro_batch"],
        seed=target.config["seed"], split=target.scored,
    )  # fmt: skip
    scores = scores[(scores["region"] == "mask") & scores["metric"].isin(["ssim", "mse"])]
    scores[["steps", "window"]] = scores[["steps", "window"]].replace(0, np.nan)
    rows = summarise_scores(
        scores, ["method", "steps", "region", "window"],
        target.config["evaluation"]["n_bootstrap"], target.config["seed"],
    )  # fmt: skip
    return rows.assign(adaptation=FROZEN)
