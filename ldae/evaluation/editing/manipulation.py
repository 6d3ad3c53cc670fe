"""Moving a scan along a direction of an attribute in code space, and measuring what moved.

The protocol keeps apart what gives the direction (:mod:`ldae.evaluation.editing.directions`) and
what judges the edit: the direction comes from one half of the training participants, the
judges from the other half, and one kind of judge never sees a code
(:mod:`ldae.evaluation.editing.judges`). What is measured of an edit is in
:mod:`ldae.evaluation.editing.fidelity`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldae.data.pieces import NOTHING_KEPT, Pieces
from ldae.data.volumes import batches
from ldae.errors import InputError
from ldae.evaluation.editing.directions import Direction, find_directions, manipulated_code
from ldae.evaluation.editing.fidelity import (
    GROUP_DIFFERENCE,
    Effects,
    Fidelity,
    Scans,
    measure_scans,
    summarise_trends,
)
from ldae.evaluation.editing.judges import Halves, Panel, ProbeSettings
from ldae.evaluation.reconstruction import with_scans
from ldae.evaluation.regions import RegionAtlas
from ldae.evaluation.selection import rows_of
from ldae.methods import Method, Methods
from ldae.models.inference import edit, encode_stochastic, sample
from ldae.statistics.scores import NOTHING, SLOPES

if TYPE_CHECKING:
    from ldae.data.volumes import VolumeStore
    from ldae.models.base import DiffusionAutoencoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EditSettings:
    """By how much scans are edited, and how.

    Attributes
    ----------
    amounts
        Values of a; 0 is added if it is missing.
    n_steps
        Sampler steps, each way.
    batch_size
        Scans at a time; changes speed and memory only.
    split
        Split of the edited scans, in which the nearest other scan is looked for.
    """

    amounts: Sequence[float]
    n_steps: int
    batch_size: int
    split: str = "test"

    @property
    def doses(self) -> list[float]:
        """Rising amounts, 0 among them."""
        return sorted({0.0, *map(float, self.amounts)})


@torch.inference_mode()
def manipulate_attribute(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    codes: Mapping[str, np.ndarray],
    volumes: np.ndarray,
    atlas: RegionAtlas,
    effects: Effects | None,
    *,
    scans: Sequence[str],
    probing: ProbeSettings,
    settings: EditSettings,
    seed: int,
    methods: Methods,
    pieces: Pieces = NOTHING_KEPT,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Dose and response of editing disease and age in scans of the split.

    Each scan is decoded from its own stochastic code, or deformed where the model does that
    (:func:`ldae.models.inference.edit`); changes are against the same scan decoded at a = 0. A
    method's edits go along the weights of its probes, as the paper's do, or along the attribute's
    effect on the code (:func:`ldae.evaluation.editing.directions.find_directions`). Metrics of each
    scan, by edited attribute (`task`) and amount:

    * ``ventricle_change_ml``, ``hippocampus_change_ml``, in template space;
    * ``response`` of each judge to each `attribute`, in SD of its score between participants, and
      ``response_years`` of the age judges;
    * ``change`` inside the affected regions and in the rest of the brain, and ``change_ratio``;
    * ``identity_kept``: the nearest other scan of the split is the same participant's;
    * ``map_correlation`` of the difference map with the training participants' own (patients -
      controls, or slope on age), ``truth_correlation`` with the simulated participant's true one,
      and whether that is positive (``truth_agreement``); both inside the mask, and positive when
      the change goes the right way, whatever the sign of a.

    Over all amounts: ``*_spearman`` and ``*_monotone`` of the responses, ``response_slope`` (per
    unit of a), and ``participant_slope``: how the judges' scores of real participants (first
    half) go with the target. ``truth_ceiling`` is the correlation that remains of the
    true map after the scan with the true effect went through the autoencoder. Method
    ``group_difference`` adds the training participants' difference instead.

    Parameters
    ----------
    store
        The packed scans.
    models
        Trained models with a semantic code, by method.
    codes
        Codes of all scans by network, (N, dim), row-aligned.
    volumes
        Volumes of structures of all scans in template space, (N, 6), ml
        (:func:`ldae.evaluation.codes.template_volumes`).
    atlas
        Regions on the study's grid.
    effects
        True effects of the scans that are edited; None where they are not known.
    scans
        Names of the scans that are edited, in the order of the store.
    probing
        How directions and judges are fitted.
    settings
        By how much scans are edited, and how.
    seed
        Of the halves of the training participants, and of the fits.
    methods
        The methods of `models`; those with one network and sampler are edits of one model.
    pieces
        Scores of batches that an earlier attempt has left.

    Returns
    -------
    tuple
        Scores (:mod:`ldae.statistics.scores`) for every task the data allow, and arrays for the
        figures, of one scan and the recommended model, or the first one where the study has not
        trained it: ``amounts`` (k,), ``scan``, ``method``, ``original`` and ``mask`` (H, W, D),
        ``<task>`` (k, H, W, D), ``<task>_group`` and, if known, ``<task>_truth`` (H, W, D).

    Raises
    ------
    ValueError
        If codes, volumes and scans differ in number.
    InputError
        If the halves of the training participants know no attribute that is to be edited.
    """
    for name in codes:
        if not len(codes[name]) == len(volumes) == len(store.index):
            raise ValueError(
                f"{len(codes[name])} codes and {len(volumes)} volumes for {len(store.index)} scans"
            )
    rows = rows_of(store.index, scans)
    halves = Halves(store, volumes, probing, seed)
    tasks = halves.editable()
    if not tasks:
        raise InputError(
            "volumes/index.tsv",
            "too few training participants passed quality control to edit diagnosis or age",
            "Look through qc/qc.html",
        )
    fidelity = Fidelity(store, atlas.affected, effects, tasks, probing.diagnoses, settings.split)
    parts: list[pd.DataFrame] = []
    shown: dict[str, np.ndarray] = {}
    for edits_of in _edits_of_models(methods[name] for name in models):
        model, of_model = models[edits_of[0].name], codes[str(edits_of[0].network)]
        directions = _find_directions(halves, tasks, edits_of, of_model)
        panel = halves.panel(of_model)
        slopes = [
            halves.participant_slopes(task, panel).assign(method=method)
            for method in directions
            for task in tasks
        ]
        edits, examples = _edit_scans(
            store, rows, model, directions, panel, atlas, fidelity, settings, pieces
        )
        parts.append(_complete(pd.concat([*slopes, *edits], ignore_index=True), panel))
        if not shown or edits_of[0].network == methods.recommended.network:
            shown = examples | {"method": np.array(edits_of[0].name)}
    edited = pd.concat(parts, ignore_index=True).assign(steps=settings.n_steps)
    trivial = _score_trivial_edit(store, rows, fidelity, settings.batch_size)
    return pd.concat([edited, *trivial], ignore_index=True), shown


def _edits_of_models(methods: Iterable[Method]) -> list[list[Method]]:
    """Methods that are edits of one model together, in their order."""
    together: dict[tuple[str | None, str | None], list[Method]] = {}
    for method in methods:
        together.setdefault((method.network, method.sampler), []).append(method)
    return list(together.values())


def _find_directions(
    halves: Halves, tasks: Sequence[str], methods: Iterable[Method], codes: np.ndarray
) -> dict[str, dict[str, Direction]]:
    """Directions of the tasks by method, in the code space of one model."""
    probes = halves.directing_probes(tasks, codes)
    directions = {}
    first = halves.first
    targets = {attribute: target[first] for attribute, target in halves.target.items()}
    for method in methods:
        found = find_directions(
            str(method.edit), codes[first], halves.subjects[first], targets, probes
        )
        directions[method.name] = {task: found[task] for task in tasks}
    return directions


def _edit_scans(
    store: VolumeStore,
    rows: np.ndarray,
    model: DiffusionAutoencoder,
    directions: Mapping[str, Mapping[str, Direction]],
    panel: Panel,
    atlas: RegionAtlas,
    fidelity: Fidelity,
    settings: EditSettings,
    pieces: Pieces,
) -> tuple[list[pd.DataFrame], dict[str, np.ndarray]]:
    """Scores of one model's edits of the scans in `rows` by each method and task of `directions`.

    Also examples of the first scan and method.
    """

    def edit_batch(piece: np.ndarray) -> tuple[list[pd.DataFrame], dict[str, np.ndarray]]:
        """Scores of one batch, and examples of its first scan."""
        parts: list[pd.DataFrame] = []
        examples: dict[str, np.ndarray] = {}
        scans = Scans.load(store, piece)
        y, z_0, z_T = _encode(model, scans, next(iter(directions)), settings.n_steps)  # noqa: N806
        decoded = model.from_latent(sample(model, z_T, y, settings.n_steps))
        unedited = decoded.cpu()
        base = measure_scans(unedited, scans.mask, model, atlas, panel)
        ceilings = fidelity.ceilings(scans, model, z_0)
        for method, task in ((m, t) for m, of_tasks in directions.items() for t in of_tasks):
            named = {"method": method, "task": task}
            if task in ceilings:
                parts.append(_rows_of([ceilings[task]], store.index, piece).assign(**named))
            edited = {0.0: unedited}
            for a in settings.doses:
                measures = base
                if a != 0:
                    moved = manipulated_code(y, directions[method][task], a)
                    edited[a] = edit(model, decoded, z_T, y, moved, settings.n_steps).cpu()
                    measures = measure_scans(edited[a], scans.mask, model, atlas, panel)
                frames = fidelity.compare(task, a, scans, edited[a], unedited, measures, base)
                parts.append(_rows_of(frames, store.index, piece).assign(**named, amount=a))
            if not {"scan", task} <= set(examples):
                shown = {a: edited[a] for a in settings.doses}
                examples |= _example(scans, shown, task, fidelity)
        return parts, examples

    parts: list[pd.DataFrame] = []
    examples: dict[str, np.ndarray] = {}
    for piece in batches(rows, settings.batch_size):
        scored, shown = pieces.once((list(directions), piece.tolist()), partial(edit_batch, piece))
        parts += scored
        examples = examples or shown
        logger.info("edited %d of %d scans", np.searchsorted(rows, piece[-1]) + 1, len(rows))
    return parts, examples


def _encode(
    model: DiffusionAutoencoder, scans: Scans, name: str, n_steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Semantic code, latent and stochastic code of scans by a model, which errors call `name`."""
    x = scans.x.to(model.device)
    y = model.semantic_code(x)
    if y is None:
        raise ValueError(f"{name} has no semantic code to edit")
    z_0 = model.to_latent(x)
    return y, z_0, encode_stochastic(model, z_0, y, n_steps)


def _example(
    scans: Scans, edited: Mapping[float, Tensor], task: str, fidelity: Fidelity
) -> dict[str, np.ndarray]:
    """The first scan of a batch, its edits by dose, and what it is compared with."""
    found = {
        "scan": np.array(scans.names[0]),
        "amounts": np.array(list(edited)),
        "original": scans.x[0, 0].numpy(),
        "mask": scans.mask[0, 0].numpy(),
        task: np.stack([volumes[0, 0].numpy() for volumes in edited.values()]),
        f"{task}_group": fidelity.group[task].astype(np.float32),
    }
    truth = fidelity.truth(task, scans)
    return found if truth is None else found | {f"{task}_truth": truth[0]}


def _score_trivial_edit(
    store: VolumeStore, rows: np.ndarray, fidelity: Fidelity, batch_size: int
) -> list[pd.DataFrame]:
    """Agreement of the training participants' difference with the truth; it takes no model."""
    parts = []
    for piece in batches(rows, batch_size):
        for task, frame in fidelity.trivial(Scans.load(store, piece)).items():
            named = {"method": GROUP_DIFFERENCE, "task": task}
            parts.append(_rows_of([frame], store.index, piece).assign(**named, steps=NOTHING))
    return parts


def _rows_of(frames: Sequence[pd.DataFrame], index: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Scores of a batch, with every column that scores of edits can have."""
    scores = pd.concat(frames, ignore_index=True)
    if "amount" not in scores:
        scores["amount"] = np.nan
    for column in ("attribute", "judge", "region", "note"):
        scores[column] = scores[column].fillna("") if column in scores else ""
    return with_scans(scores, index, rows)


def _complete(scores: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Scores of one model with their trends and the judges' notes."""
    scores = pd.concat([scores, summarise_trends(scores)], ignore_index=True)
    # The off-target ratios are made from the slopes.
    notes = panel.notes
    pairs = zip(scores["judge"], scores["attribute"], strict=True)
    noted = pd.Series([notes.get(pair, "") for pair in pairs], index=scores.index)
    return scores.assign(note=noted.where(scores["metric"].isin(list(SLOPES)), ""))
