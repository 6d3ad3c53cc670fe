"""Moving a scan along a probe's direction in code space, and measuring what moved.

The protocol keeps apart what gives the direction and what judges the edit: the direction comes from
one half of the training people, the judges from the other half, and one kind of judge never sees a
code (:mod:`ldae.edit_judges`).  What is measured of an edit stands in :mod:`ldae.edit_fidelity`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldae.codes import batches
from ldae.edit_fidelity import (
    GROUP_DIFFERENCE,
    Effects,
    Fidelity,
    Scans,
    measure_scans,
    summarise_trends,
)
from ldae.edit_judges import Halves, Panel, ProbeSettings
from ldae.inference import encode_stochastic, sample
from ldae.probes import Probe, probe_tasks
from ldae.reconstruction import choose_rows, with_scans
from ldae.regions import RegionAtlas
from ldae.scores import NOTHING, SLOPES

if TYPE_CHECKING:
    from ldae.models import DiffusionAutoencoder
    from ldae.volumes import VolumeStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EditSettings:
    """Which scans are edited, by how much and how.

    Attributes
    ----------
    amounts
        Values of a; 0 is added if it is missing.
    n_steps
        Sampler steps, each way.
    n_scans
        Scans edited, from as many people as possible; None is the whole split.
    batch_size
        Scans at a time; changes speed and memory only.
    split
        Split of the edited scans.
    """

    amounts: Sequence[float]
    n_steps: int
    n_scans: int | None
    batch_size: int
    split: str = "test"

    @property
    def doses(self) -> list[float]:
        """Rising amounts, 0 among them."""
        return sorted({0.0, *map(float, self.amounts)})


def manipulated_code(y: Tensor, probe: Probe, amount: float) -> Tensor:
    """Y' = std ⊙ ((y - mean)/std + a·√dim·w/‖w‖) + mean, shape of `y` (B, dim).

    Parameters
    ----------
    y
        Semantic codes, (B, dim).
    probe
        Its weights are the direction, its mean and std the standardisation.
    amount
        a, in root mean square standard deviations per entry of the code; positive is towards AD, or
        towards old age.
    """
    w, mean, std = (
        torch.as_tensor(v, dtype=y.dtype, device=y.device)
        for v in (probe.weights, probe.mean, probe.std)
    )
    norm = w.norm()
    if not norm > 0:
        raise ValueError(f"the probe of {probe.task} has no direction: all weights are zero")
    shifted = (y - mean) / std + amount * len(w) ** 0.5 * w / norm
    return std * shifted + mean


@torch.inference_mode()
def manipulate_attribute(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    codes: Mapping[str, np.ndarray],
    volumes: np.ndarray,
    atlas: RegionAtlas,
    effects: Effects | None,
    *,
    probing: ProbeSettings,
    settings: EditSettings,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Dose and response of editing disease and age in scans of the split.

    Each scan is decoded from its own stochastic code; changes are against the same scan decoded at
    a = 0.  Metrics of each scan, by edited attribute (`task`) and amount:

    * ``ventricle_change_ml``, ``hippocampus_change_ml``, in template space;
    * ``response`` of each judge to each `attribute`, in deviations of its score between people, and
      ``response_years`` of the age judges;
    * ``change`` inside the affected regions and in the rest of the brain, and ``change_ratio``;
    * ``identity_kept``: the nearest other scan of the split is the same person's;
    * ``map_correlation`` of the difference map with the training people's own (AD - CN, or slope on
      age), ``truth_correlation`` with the simulated person's true one, and whether that is positive
      (``truth_agreement``); both inside the mask, and positive when the change goes the right way,
      whatever the sign of a.

    Over all amounts: ``*_spearman`` and ``*_monotone`` of the responses, ``response_slope`` (per
    unit of a), and ``people_slope``: how the judges' scores of real people (first half) go with the
    target.  ``truth_ceiling`` is the correlation that remains of the true map after the scan with
    the true effect went through the autoencoder.  Method ``group_difference`` adds the training
    people's difference instead.

    Parameters
    ----------
    store
        The packed scans.
    models
        Models with a semantic code, by name.
    codes
        Codes of all scans of each model, (N, dim), row-aligned.
    volumes
        Volumes of structures of all scans in template space, (N, 6), ml
        (:func:`ldae.codes.template_volumes`).
    atlas
        Regions on the study's grid.
    effects
        True effects of the scans that are edited; None where they are not known.
    probing
        How directions and judges are fitted.
    settings
        Which scans are edited, by how much and how.
    seed
        Of the halves of the training people, the fits, and the draw of scans.

    Returns
    -------
    tuple
        Scores (:mod:`ldae.scores`) for every task the data allow, and arrays for the figures, of
        one scan and the first model: ``amounts`` (k,), ``scan``, ``original`` and ``mask``
        (H, W, D), ``<task>`` (k, H, W, D), ``<task>_group`` and, if known, ``<task>_truth``
        (H, W, D).

    Raises
    ------
    ValueError
        If there is nothing to edit, or codes, volumes and scans differ in number.
    """
    tasks = probe_tasks(store.index)
    if not tasks:
        raise ValueError("there is neither a diagnosis nor an age to edit")
    for name in models:
        if not len(codes[name]) == len(volumes) == len(store.index):
            raise ValueError(
                f"{len(codes[name])} codes and {len(volumes)} volumes for {len(store.index)} scans"
            )
    rows = choose_rows(store.index, settings.split, settings.n_scans, seed)
    halves = Halves(store, volumes, probing, seed)
    fidelity = Fidelity(store, atlas.affected, effects, tasks, settings.split)
    parts: list[pd.DataFrame] = []
    shown: dict[str, np.ndarray] = {}
    for name, model in models.items():
        directions = {task: halves.directing_probe(task, codes[name]) for task in tasks}
        panel = halves.panel(codes[name])
        people = [halves.people_slopes(task, panel) for task in tasks]
        edits, examples = _edit_scans(
            store, rows, model, directions, panel, atlas, fidelity, settings
        )
        scores = _complete(pd.concat([*people, *edits], ignore_index=True), panel, name)
        if parts:  # the training people's difference is no model's: once is enough
            scores = scores[scores["method"] != GROUP_DIFFERENCE]
        parts.append(scores)
        shown = shown or examples
    scores = pd.concat(parts, ignore_index=True)
    steps = np.where(scores["method"] == GROUP_DIFFERENCE, NOTHING, settings.n_steps)
    return scores.assign(steps=steps), shown


def _edit_scans(
    store: VolumeStore,
    rows: np.ndarray,
    model: DiffusionAutoencoder,
    directions: Mapping[str, Probe],
    panel: Panel,
    atlas: RegionAtlas,
    fidelity: Fidelity,
    settings: EditSettings,
) -> tuple[list[pd.DataFrame], dict[str, np.ndarray]]:
    """Scores of one model's edits of the scans in `rows`, and examples of the first of them."""
    parts: list[pd.DataFrame] = []
    examples: dict[str, np.ndarray] = {}
    for piece in batches(rows, settings.batch_size):
        scans = Scans.load(store, piece)
        on_device = scans.x.to(model.device)
        y = model.semantic_code(on_device)
        if y is None:
            raise ValueError(f"{model.name} has no semantic code to edit")
        z_0 = model.to_latent(on_device)
        z_T = encode_stochastic(model, z_0, y, settings.n_steps)  # noqa: N806
        unedited = model.from_latent(sample(model, z_T, y, settings.n_steps)).cpu()
        base = measure_scans(unedited, scans.mask, model, atlas, panel)
        bounds = fidelity.bounds(scans, model, z_0)
        for task, direction in directions.items():
            if task in bounds:
                parts.append(_rows_of(bounds[task], store.index, piece).assign(task=task))
            edited = {0.0: unedited}
            for a in settings.doses:
                measures = base
                if a != 0:
                    moved = manipulated_code(y, direction, a)
                    edited[a] = model.from_latent(sample(model, z_T, moved, settings.n_steps)).cpu()
                    measures = measure_scans(edited[a], scans.mask, model, atlas, panel)
                frames = fidelity.compare(task, a, scans, edited[a], unedited, measures, base)
                parts.append(_rows_of(frames, store.index, piece).assign(task=task, amount=a))
            if not {"scan", task} <= set(examples):
                examples |= {
                    "scan": np.array(scans.names[0]),
                    "amounts": np.array(settings.doses),
                    "original": scans.x[0, 0].numpy(),
                    "mask": scans.mask[0, 0].numpy(),
                    task: np.stack([edited[a][0, 0].numpy() for a in settings.doses]),
                    f"{task}_group": fidelity.group[task].astype(np.float32),
                }
                truth = fidelity.truth(task, scans)
                if truth is not None:
                    examples[f"{task}_truth"] = truth[0]
        logger.info("edited %d of %d scans", np.searchsorted(rows, piece[-1]) + 1, len(rows))
    return parts, examples


def _rows_of(frames: Sequence[pd.DataFrame], index: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Scores of a batch, with every column that scores of edits can have."""
    scores = pd.concat(frames, ignore_index=True)
    for column in ("attribute", "judge", "region", "note", "method", "amount"):
        if column not in scores:
            scores[column] = np.nan if column == "amount" else None
    return with_scans(scores, index, rows)


def _complete(scores: pd.DataFrame, panel: Panel, method: str) -> pd.DataFrame:
    """Scores of one model with their trends, the method's name and the judges' notes."""
    for column in ("attribute", "judge", "region", "note"):
        scores[column] = scores[column].fillna("")
    scores = pd.concat([scores, summarise_trends(scores)], ignore_index=True)
    scores["method"] = scores["method"].fillna(method)
    # The off-target ratios are made from the slopes.
    pairs = zip(scores["judge"], scores["attribute"], strict=True)
    notes = panel.notes
    noted = pd.Series([notes.get(pair, "") for pair in pairs], index=scores.index)
    scores["note"] = scores["note"].where(~scores["metric"].isin(list(SLOPES)), noted)
    return scores
