"""What a model's codes say about age and disease, how sure that is, and directions of edits.

Everything comes from a finished study: the probes of its training participants, and how far their
predictions were off on participants whom no fit has seen. Of those participants only summaries are
exported, no single age or diagnosis.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file, save
from scipy.special import expit

from ldae.data.diagnoses import Diagnoses
from ldae.data.volumes import read_index
from ldae.errors import InputError
from ldae.evaluation.editing.directions import Direction, find_directions, manipulated_code
from ldae.evaluation.probes.fitting import (
    Probe,
    is_classification,
    resample_probe,
    task_target,
)
from ldae.evaluation.probes.groups import subject_weights
from ldae.statistics.measures import AD_VS_CN, AGE, CONVERSION

if TYPE_CHECKING:
    from ldae.deployment.artefact import Artefact

COVERAGE = 0.9
"""Share of new participants whose age lies in its interval, and of resampled fits in a score's."""

N_RESAMPLES = 200
"""Bootstrap samples of training participants for the interval of a score; its ends are read from
the 10th smallest and largest, which is stable to about 0.01."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the scores of held-out patients and controls."""

ATTRIBUTES = {"age": AGE, "diagnosis": AD_VS_CN}
"""Attributes that can be edited and predicted, and the probes' names for them."""

HELD_OUT = ("test", "val")
"""Splits that no probe was fitted on; the first that has predictions is used."""

PROBES, RESAMPLED = "probes.json", "resampled_probes.safetensors"
"""Files of an exported folder."""


@dataclass(frozen=True)
class Readout:
    """A probe and how far off it is.

    Attributes
    ----------
    probe
        Fitted on all training participants.
    resampled
        Of a classification: weights and, last, the constant term of probes of bootstrap samples of
        them, standardised as the probe's, (B, dim + 1). Empty for age.
    held_out
        ``split`` and ``n_subjects`` of those who were held out. Of age ``half_width``, years; of
        disease ``patients`` and ``controls``: quantiles :data:`QUANTILES` of their scores.
    """

    probe: Probe
    resampled: np.ndarray
    held_out: dict[str, Any]

    def predict(self, y: np.ndarray) -> dict[str, float]:
        """Prediction and the ends of its interval.

        Parameters
        ----------
        y
            Semantic code, (dim,).

        Returns
        -------
        dict
            ``value``, ``low`` and ``high``: years, or a score between 0 and 1. The interval of an
            age contains the age of 90 % of participants like those of the study (split
            conformal); that of a score contains 90 % of the scores of models fitted on resampled
            training participants.
        """
        value = float(self.probe.predict(y[None])[0])
        if not is_classification(self.probe.task):
            reach = float(self.held_out["half_width"])
            return {"value": value, "low": value - reach, "high": value + reach}
        standardised = (np.asarray(y, float) - self.probe.mean) / self.probe.std
        responses = self.resampled[:, :-1] @ standardised + self.resampled[:, -1]
        ends = np.quantile(responses, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
        low, high = expit(ends)
        # the middle of resampled fits is more regular than the fit itself, which they may exclude
        return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def gain_of(probe: Probe, direction: Direction) -> float:
    """By how much a probe's reading rises when a code is edited by an amount of 1.

    Returns
    -------
    float
        Years, or log-odds.
    """
    origin = torch.zeros(1, len(probe.weights), dtype=torch.float64)
    both = torch.cat([origin, manipulated_code(origin, direction, 1.0)]).numpy()
    before, after = probe.score(both)
    return float(after - before)


def fit_readouts(artefact: Artefact) -> dict[str, Readout]:
    """Readouts by task, from the results of a study.

    Raises
    ------
    InputError
        If the study has no probes of this method, or no participants held out.
    """
    probes = read_probes(artefact)
    codes, index, targets = _training_codes(artefact, probes)
    rng = np.random.default_rng(artefact.config["seed"])
    found = {}
    for task in [t for t in ATTRIBUTES.values() if t in probes]:
        resampled = np.empty((0, codes.shape[1] + 1))
        if is_classification(task):
            known = np.isfinite(targets[task])
            subjects = index["subject"].to_numpy(str)[known]
            of_known = codes[known], targets[task][known], subjects
            resampled = resample_probe(*of_known, probes[task], N_RESAMPLES, rng)
        found[task] = Readout(probes[task], resampled, _hold_out(artefact, task))
    return found


def fit_directions(artefact: Artefact) -> dict[str, Direction]:
    """Directions of edits by task, from the results of a study."""
    probes = read_probes(artefact)
    codes, index, targets = _training_codes(artefact, probes)
    subjects = index["subject"].to_numpy(str)
    found = find_directions(str(artefact.method.edit), codes, subjects, targets, probes)
    return {task: found[task] for task in ATTRIBUTES.values() if task in found}


def _probe_file(artefact: Artefact, extension: str) -> Path:
    """Probes or predictions of a study's method."""
    name = f"seed-{artefact.seed}.{extension}"
    path = artefact.folder / "probes" / artefact.coded.name / name
    if not path.is_file():
        problem = "there are no probes of this model"
        raise InputError(path, problem, "Run the study to its end")
    return path


def read_probes(artefact: Artefact) -> dict[str, Probe]:
    """Probes by task, from the results of a study."""
    content = json.loads(_probe_file(artefact, "json").read_text(encoding="utf-8"))
    content.pop(CONVERSION, None)  # no attribute that a scan has
    return {task: Probe.from_dict(values) for task, values in content.items()}


def _training_codes(
    artefact: Artefact, probes: Mapping[str, Probe]
) -> tuple[np.ndarray, pd.DataFrame, dict[str, np.ndarray]]:
    """Codes (N, dim) of the training participants, their index, and targets (N,) by task."""
    results = artefact.folder
    index = read_labelled(results)
    train = (index["split"] == "train").to_numpy()
    codes = np.load(results / "codes" / artefact.coded.name / f"seed-{artefact.seed}.npy")[train]
    index = index[train].reset_index(drop=True)
    diagnoses = Diagnoses(**artefact.config["cohort"]["diagnoses"])
    return codes, index, {task: task_target(index, task, diagnoses) for task in probes}


def read_labelled(results: Path) -> pd.DataFrame:
    """Index of a study's packed scans, with their labels."""
    return read_index(results / "volumes" / "index.tsv", results / "manifest" / "scans.tsv")


def _hold_out(artefact: Artefact, task: str) -> dict[str, Any]:
    """How far off a probe was on participants whom it has not seen."""
    path = _probe_file(artefact, "tsv")
    table = pd.read_csv(path, sep="\t", keep_default_na=False, dtype={"subject": str})
    table = table[table["task"] == task].astype({"target": float, "prediction": float})
    split = next((s for s in HELD_OUT if (table["split"] == s).any()), None)
    if split is None:
        problem = f"no participant was held out from the probe of {task}"
        raise InputError(path, problem, "Give the study a test split")
    table = table[table["split"] == split]
    found: dict[str, Any] = {"split": split, "n_subjects": int(table["subject"].nunique())}
    if not is_classification(task):
        error = (table["target"] - table["prediction"]).abs().to_numpy(float)
        return found | {"half_width": conformal_half_width(error, table["subject"].to_numpy(str))}
    for name, target in (("controls", 0), ("patients", 1)):
        scores = table.loc[table["target"] == target, "prediction"]
        found[name] = [round(float(q), 3) for q in scores.quantile(QUANTILES)]
    return found


def conformal_half_width(error: np.ndarray, subjects: np.ndarray) -> float:
    """Distance within which the next participant's target lies with probability `COVERAGE`.

    Split conformal prediction where participants have several scans: every participant counts once
    (the pooled distribution of Dunn, Wasserman and Ramdas 2023, JASA 118:2491-2502).

    Parameters
    ----------
    error
        Absolute errors on scans held out, (N,).
    subjects
        Subject of each, (N,).

    Returns
    -------
    float
        Infinite with fewer than nine participants.
    """
    order = np.argsort(error)
    share = np.cumsum(subject_weights(subjects)[order])
    reached = np.flatnonzero(share >= COVERAGE * (len(np.unique(subjects)) + 1) - 1e-9)
    return float(error[order][reached[0]]) if len(reached) else float("inf")


def write_readouts(
    folder: Path, readouts: Mapping[str, Readout], directions: Mapping[str, Direction]
) -> None:
    """Write :data:`PROBES` and :data:`RESAMPLED` of an exported folder."""
    content = {
        task: {
            "probe": readout.probe.to_dict(),
            "held_out": readout.held_out,
            "direction": {
                key: np.asarray(value).tolist()
                for key, value in vars(directions[task]).items()
                if key != "task"
            },
        }
        for task, readout in readouts.items()
    }
    (folder / PROBES).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    arrays = {task: readout.resampled.astype(np.float32) for task, readout in readouts.items()}
    (folder / RESAMPLED).write_bytes(save(arrays))


def _read_content(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / PROBES).read_text(encoding="utf-8"))
    return content


def read_readouts(folder: Path) -> dict[str, Readout]:
    """Readouts by task of an exported folder."""
    arrays = load_file(folder / RESAMPLED)
    return {
        task: Readout(Probe.from_dict(kept["probe"]), arrays[task], kept["held_out"])
        for task, kept in _read_content(folder).items()
    }


def read_directions(folder: Path) -> dict[str, Direction]:
    """Directions of edits by task of an exported folder."""
    return {
        task: Direction(task, **{k: np.asarray(v) for k, v in kept["direction"].items()})
        for task, kept in _read_content(folder).items()
    }
