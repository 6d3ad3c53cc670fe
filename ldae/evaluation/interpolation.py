"""Filling in a visit that was not made: interpolation between two visits of one participant."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldae.data.pieces import NOTHING_KEPT, Pieces
from ldae.data.triples import Triple, bin_months, find_triples
from ldae.data.volumes import batches
from ldae.evaluation.metrics import score_pairs
from ldae.evaluation.regions import RegionAtlas, measure_regions
from ldae.evaluation.trivial_visits import TrivialAnswers
from ldae.models.inference import encode_stochastic, lerp, sample, slerp
from ldae.networks.residual import Visits
from ldae.statistics.scores import BEST_IN_TRAINING, NOTHING

if TYPE_CHECKING:
    from ldae.data.volumes import VolumeStore
    from ldae.models.base import DiffusionAutoencoder
    from ldae.networks.residual import VisitResidual

logger = logging.getLogger(__name__)

NOTHING_LEARNED = (
    "the residual of average + residual is zero: no training participant has three visits to "
    "learn from"
)

RESIDUAL = "ldae_residual"
"""Method that answers without diffusing."""

COMPARED_REGIONS = {"ventricle": "ventricles", "hippocampus": "hippocampi"}
"""Structures whose volume is compared, by the stem of the metric."""


@torch.inference_mode()
def interpolate_gaps(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    atlas: RegionAtlas,
    *,
    n_steps: int,
    max_triples: int | None,
    windows: Sequence[int],
    batch_size: int,
    seed: int,
    split: str = "test",
    residual: VisitResidual | None = None,
    pieces: Pieces = NOTHING_KEPT,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Middle visits from their neighbours, against the real scan and the trivial answers.

    Rows: every model, by the part of it that was trained to fill in visits, or without one by its
    codes (y on the line, z_T on the sphere between A and B, decoded);
    ``ldae_residual``, the voxel average plus what was learned about its error;
    ``nearest_visit``, a copy of the visit closer in time (the earlier on a tie); ``voxel_average``
    and ``latent_average``, weighted by time, of intensities and of autoencoder latents;
    ``smoothed_average``, of a width chosen on training participants; ``halfway_registration``. The
    trivial answer that is best in training participants is noted in its rows, for each region. The
    target ``real`` is the scan; ``autoencoder`` is its autoencoder reconstruction, as the authors
    of the method scored. ``ventricle_error_ml`` is |V̂ - V| and ``ventricle_bias_ml`` V̂ - V, in
    template space (:func:`ldae.evaluation.regions.measure_regions`); the same for the hippocampi.

    Parameters
    ----------
    store
        The packed scans.
    models
        Trained models by method. The first is the reference: its latents are the autoencoder's, are
        averaged, and are what the residual was trained on.
    atlas
        Regions on the study's grid.
    n_steps
        Sampler steps, each way.
    max_triples
        See :func:`find_triples`.
    windows
        SSIM windows, voxels.
    batch_size, seed, split, pieces
        As for :func:`ldae.evaluation.reconstruction.evaluate_reconstruction`.
    residual
        Trained on the reference's latents, on its device; None leaves the row out. Where no
        training participant has three visits it has learned nothing, and a note says so.

    Returns
    -------
    tuple
        Scores of every triple (:mod:`ldae.statistics.scores`). Arrays of the triple with the
        longest distance to its nearer visit: ``subject``, ``months`` (3,), ``alpha``, ``visit_a``,
        ``real``, ``visit_b``, ``mask`` and one per method, all (H, W, D); and ``sequence`` (n, H,
        W, D) of the model at ``sequence_alpha`` (n,).

    Raises
    ------
    ValueError
        If no participant of the split has three visits, or there is no model.
    """
    if not models:
        raise ValueError("interpolation needs a model for its latents")
    triples = _triples(store, split, max_triples, seed)
    reference = next(iter(models))
    ends = np.unique([row for t in triples for row in (t.rows[0], t.rows[2])])
    codes = _encode(store, models, ends, n_steps, batch_size, pieces)
    middles = np.unique([t.rows[1] for t in triples])
    seen = _reconstruct(store, models[reference], middles, batch_size)
    training = find_triples(store.index, "train", max_triples, seed)
    trivial = TrivialAnswers(store, models[reference], training, batch_size)

    longest = max(range(len(triples)), key=lambda i: (triples[i].nearest, triples[i].gap, -i))
    parts: list[pd.DataFrame] = []
    examples: dict[str, np.ndarray] = {}

    def answer(chosen: Sequence[Triple]) -> dict[str, Tensor]:
        """Middle visits of triples by every method."""
        return _answer(store, models, residual, codes, chosen, n_steps) | trivial(chosen)

    measure = partial(_measure, store, atlas, answer, seen, triples, longest, windows)
    for positions in batches(np.arange(len(triples)), batch_size):
        scores, shown = pieces.once(("triples", positions.tolist()), partial(measure, positions))
        parts.append(scores)
        examples |= shown
        logger.info("interpolated %d of %d triples", positions[-1] + 1, len(triples))
    y, z_T = codes.y[reference], codes.z_T[reference]  # noqa: N806
    examples |= _sequence(models[reference], y, z_T, triples[longest], n_steps)
    scores = _of_triples(pd.concat(parts, ignore_index=True), triples, store.index)
    return _complete(scores, store, list(models), n_steps, residual, trivial.best), examples


def _complete(
    scores: pd.DataFrame,
    store: VolumeStore,
    models: Sequence[str],
    n_steps: int,
    residual: VisitResidual | None,
    best: Mapping[str, str],
) -> pd.DataFrame:
    """Scores with the models' steps, and with notes.

    These name the trivial answer that was best in training in each region, and a residual that
    learned nothing.
    """
    for region, name in best.items():
        chosen = (scores["method"] == name) & (scores["region"] == region)
        scores.loc[chosen, "note"] = BEST_IN_TRAINING
    if residual is not None and not find_triples(store.index, "train"):
        scores.loc[scores["method"] == RESIDUAL, "note"] = NOTHING_LEARNED
    scores["steps"] = np.where(scores["method"].isin(models), n_steps, NOTHING)
    return scores


def _triples(store: VolumeStore, split: str, max_triples: int | None, seed: int) -> list[Triple]:
    """Triples of visits of a split.

    Raises
    ------
    ValueError
        If no participant has three visits.
    """
    triples = find_triples(store.index, split, max_triples, seed)
    if not triples:
        raise ValueError(f"no participant of the split {split} has three visits")
    return triples


def _measure(
    store: VolumeStore,
    atlas: RegionAtlas,
    answer: Callable[[Sequence[Triple]], dict[str, Tensor]],
    seen: dict[int, Tensor],
    triples: Sequence[Triple],
    longest: int,
    windows: Sequence[int],
    positions: np.ndarray,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Scores of a batch of triples, and the arrays of the longest if it is among them."""
    chosen = [triples[i] for i in positions]
    m = np.array([t.rows[1] for t in chosen])
    mask = store.mask_batch(m)
    middle = {"real": store.batch(m), "autoencoder": _rows(seen, m)}
    answers = answer(chosen)
    scores = _score(answers, middle, mask, atlas, windows)
    scores = scores.assign(triple=positions[scores["sample"].to_numpy()])
    if longest not in positions:
        return scores, {}
    k = int(np.flatnonzero(positions == longest)[0])
    return scores, _example(store, triples[longest], mask[k, 0], answers, k)


def _example(
    store: VolumeStore, triple: Triple, mask: Tensor, answers: Mapping[str, Tensor], k: int
) -> dict[str, np.ndarray]:
    """Arrays of one triple, of which `answers` are sample `k` of a batch."""
    visit_a, real, visit_b = (store.batch([row])[0, 0].numpy() for row in triple.rows)
    return {
        "subject": np.array(triple.subject),
        "months": np.array(triple.months),
        "alpha": np.array(triple.alpha),
        "visit_a": visit_a,
        "real": real,
        "visit_b": visit_b,
        "mask": mask.numpy(),
        **{name: x_hat[k, 0].numpy() for name, x_hat in answers.items()},
    }


def _of_triples(
    scores: pd.DataFrame, triples: Sequence[Triple], index: pd.DataFrame
) -> pd.DataFrame:
    """Scores with the subject, scan, gap and nearest distance of each one's triple."""
    number = scores["triple"].to_numpy()
    scans = index["scan"].to_numpy(str)[[t.rows[1] for t in triples]]
    return scores.drop(columns="sample").assign(
        subject=np.array([t.subject for t in triples])[number],
        scan=scans[number],
        gap_months=np.array([bin_months(t.gap) for t in triples])[number],
        nearest_months=np.array([bin_months(t.nearest) for t in triples])[number],
    )


def _answer(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    residual: VisitResidual | None,
    codes: _EndCodes,
    triples: Sequence[Triple],
    n_steps: int,
) -> dict[str, Tensor]:
    """Middle visits of B triples by models and residual, (B, 1, H, W, D) on the processor."""
    a, b = (np.array([t.rows[k] for t in triples]) for k in (0, 2))
    x_a, x_b = store.batch(a), store.batch(b)
    alpha = torch.tensor([t.alpha for t in triples], dtype=torch.float32)
    gap = torch.tensor([t.gap for t in triples], dtype=torch.float32)

    def visits(name: str) -> tuple[Visits, Visits]:
        """Both ends, on the device of a model and with its latents."""
        z_0, device = codes.z_0[name], models[name].device
        return (
            Visits(x_a.to(device), _rows(z_0, a).to(device)),
            Visits(x_b.to(device), _rows(z_0, b).to(device)),
        )

    answers: dict[str, Tensor] = {}
    for name, model in models.items():
        if model.fill_in is not None:
            share_of, gap_of = alpha.to(model.device), gap.to(model.device)
            answers[name] = model.fill_in(*visits(name), share_of, gap_of).cpu()
            continue
        y, z_T = codes.y[name], codes.z_T[name]  # noqa: N806
        answers[name] = decode_between(
            model,
            _rows(y, a).to(model.device),
            _rows(y, b).to(model.device),
            _rows(z_T, a).to(model.device),
            _rows(z_T, b).to(model.device),
            alpha.to(model.device),
            n_steps,
        ).cpu()
    if residual is not None:
        reference = next(iter(models))
        device = models[reference].device
        filled = residual(*visits(reference), alpha.to(device), gap.to(device))
        answers[RESIDUAL] = filled.clamp(0, 1).cpu()
    return answers


def _score(
    answers: Mapping[str, Tensor],
    middle: Mapping[str, Tensor],
    mask: Tensor,
    atlas: RegionAtlas,
    windows: Sequence[int],
) -> pd.DataFrame:
    """Scores of every answer against every target, by method, target and sample of the batch."""
    true_ml = {target: measure_regions(x, mask, atlas) for target, x in middle.items()}
    parts: list[pd.DataFrame] = []
    for name, x_hat in answers.items():
        ml = measure_regions(x_hat, mask, atlas)
        for target, x in middle.items():
            scores = score_pairs(x_hat, x, mask, windows, full=False)
            errors = [
                _volume_errors(stem, ml[region] - true_ml[target][region])
                for stem, region in COMPARED_REGIONS.items()
            ]
            parts += [p.assign(method=name, target=target) for p in (scores, *errors)]
    return pd.concat(parts, ignore_index=True)


def _volume_errors(stem: str, error: np.ndarray) -> pd.DataFrame:
    """|error| and error of a structure's volume in each sample, as rows of scores."""
    metrics = {f"{stem}_error_ml": np.abs(error), f"{stem}_bias_ml": error}
    rows = {"sample": np.arange(len(error)), "region": "", "window": NOTHING, "note": ""}
    return pd.concat(
        [pd.DataFrame(rows | {"metric": name, "value": value}) for name, value in metrics.items()],
        ignore_index=True,
    )


def decode_between(
    model: DiffusionAutoencoder,
    y_a: Tensor,
    y_b: Tensor,
    z_a: Tensor,
    z_b: Tensor,
    alpha: Tensor,
    n_steps: int,
) -> Tensor:
    """Scans (B, 1, H, W, D) at alpha (B,) between A and B: lerp of y, slerp of z_T."""
    y = lerp(y_a, y_b, alpha[:, None])
    return model.from_latent(sample(model, slerp(z_a, z_b, alpha), y, n_steps))


@dataclass(frozen=True)
class _EndCodes:
    """Codes of the visits at both ends of triples, by row of the store, on the processor.

    Those of a model in voxel space are as large as the scans, too many for a GPU.

    Attributes
    ----------
    z_0, z_T, y
        Latents, stochastic and semantic codes of every model.
    """

    z_0: dict[str, dict[int, Tensor]]
    z_T: dict[str, dict[int, Tensor]]  # noqa: N815
    y: dict[str, dict[int, Tensor]]


def _encode(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    rows: np.ndarray,
    n_steps: int,
    batch_size: int,
    pieces: Pieces,
) -> _EndCodes:
    """Codes of every end visit, each encoded once."""
    codes = _EndCodes({n: {} for n in models}, {n: {} for n in models}, {n: {} for n in models})

    def encode(name: str, piece: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """z_0, z_T and y of one batch, on the processor."""
        model = models[name]
        x = store.batch(piece).to(model.device)
        code, latent = model.semantic_code(x), model.to_latent(x)
        if code is None:
            raise ValueError(f"{name} has no semantic code to interpolate")
        stochastic = encode_stochastic(model, latent, code, n_steps)
        return latent.cpu(), stochastic.cpu(), code.cpu()

    for piece in batches(rows, batch_size):
        for name in models:
            found = pieces.once((name, piece.tolist()), partial(encode, name, piece))
            for kind, tensor in zip((codes.z_0, codes.z_T, codes.y), found, strict=True):
                kind[name].update(zip(piece.tolist(), tensor, strict=True))
    return codes


def _reconstruct(
    store: VolumeStore, model: DiffusionAutoencoder, rows: np.ndarray, batch_size: int
) -> dict[int, Tensor]:
    """Scans as the model's autoencoder alone returns them, (1, H, W, D) by row."""
    seen: dict[int, Tensor] = {}
    for piece in batches(rows, batch_size):
        latent = model.to_latent(store.batch(piece).to(model.device))
        seen.update(zip(piece.tolist(), model.from_latent(latent).cpu(), strict=True))
    return seen


def _rows(by_row: dict[int, Tensor], rows: np.ndarray) -> Tensor:
    return torch.stack([by_row[int(row)] for row in rows])


SEQUENCE_LENGTH = 5


def _sequence(
    model: DiffusionAutoencoder,
    y: dict[int, Tensor],
    z_T: dict[int, Tensor],  # noqa: N803
    triple: Triple,
    n_steps: int,
) -> dict[str, np.ndarray]:
    """The model's scans at even steps from A to B, for the figure."""
    alpha = torch.linspace(0, 1, SEQUENCE_LENGTH, device=model.device)
    a, b = (np.repeat(triple.rows[k], SEQUENCE_LENGTH) for k in (0, 2))
    y_a, y_b = (_rows(y, rows).to(model.device) for rows in (a, b))
    z_a, z_b = (_rows(z_T, rows).to(model.device) for rows in (a, b))
    x = decode_between(model, y_a, y_b, z_a, z_b, alpha, n_steps)
    return {"sequence": x[:, 0].cpu().numpy(), "sequence_alpha": alpha.cpu().numpy()}
