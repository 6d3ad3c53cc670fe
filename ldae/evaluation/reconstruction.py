"""How well scans come back from their codes, and what the stochastic code adds."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldae.data.pieces import NOTHING_KEPT, Pieces
from ldae.data.volumes import batches
from ldae.evaluation.metrics import score_pairs, ssim
from ldae.evaluation.selection import choose_rows
from ldae.methods import Methods, Role, Space
from ldae.models.inference import encode_stochastic, sample
from ldae.statistics.scores import NOTHING

if TYPE_CHECKING:
    from ldae.data.volumes import VolumeStore
    from ldae.models.base import DiffusionAutoencoder

logger = logging.getLogger(__name__)


def with_scans(scores: pd.DataFrame, index: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Scores of a batch with the scan and subject of each sample in place of its position."""
    named = index.iloc[rows[scores["sample"].to_numpy()]]
    return scores.drop(columns="sample").assign(
        scan=named["scan"].to_numpy(), subject=named["subject"].to_numpy()
    )


@torch.inference_mode()
def evaluate_reconstruction(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    methods: Methods,
    *,
    steps: Sequence[int],
    voxel_steps: Sequence[int],
    n_scans: int | None,
    windows: Sequence[int],
    batch_size: int,
    seed: int,
    split: str = "test",
    n_examples: int = 1,
    pieces: Pieces = NOTHING_KEPT,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Similarity of scans and their reconstructions, by model and number of sampler steps.

    Rows: each model from its own stochastic code (encoded with the same number of steps); parts of
    models, from the semantic code alone (z_T ~ N(0, I)); and the autoencoder without any diffusion.

    Parameters
    ----------
    store
        The packed scans.
    models
        Trained models by method.
    methods
        The methods of this evaluation, parts of models and the autoencoder among them.
    steps
        Numbers of steps T of the deterministic sampler, each way.
    voxel_steps
        The same for models in voxel space, whose steps cost many times more.
    n_scans
        Scans evaluated, from as many participants as possible; None is the whole split.
    windows
        SSIM windows, voxels.
    batch_size
        Scans at a time.
    seed
        Draws z_T and the scans.
    split
        Split evaluated.
    n_examples
        Scans kept as examples.
    pieces
        Scores of batches that an earlier attempt has left.

    Returns
    -------
    tuple
        Scores of every scan (:mod:`ldae.statistics.scores`), and arrays for the figure: ``scan``
        names, ``original`` and ``mask`` (n, H, W, D), and one array per method at its largest
        number of steps.
    """
    rows = choose_rows(store.index, split, n_scans, seed)
    if len(rows) == 0:
        raise ValueError(f"no scan in the split {split}")
    steps_of = {
        name: voxel_steps if methods[name].space is Space.VOXEL else steps for name in models
    }
    # Noise belongs to a scan, not to a batch: another batch size must not change the numbers.
    parts: list[pd.DataFrame] = []
    kept: dict[str, list[np.ndarray]] = {}
    example_rows = rows[:n_examples]
    measure = partial(_measure, store, models, methods, steps_of, windows, seed, example_rows)
    for piece in batches(rows, batch_size):
        scored, shown = pieces.once(piece.tolist(), partial(measure, piece))
        parts += scored
        for method, arrays in shown.items():
            kept.setdefault(method, []).append(arrays)
        logger.info("reconstructed %d of %d scans", np.searchsorted(rows, piece[-1]) + 1, len(rows))
    most = {"steps": np.array(max(steps)), "voxel_steps": np.array(max(voxel_steps))}
    examples = _examples(store, example_rows, most, kept)
    return pd.concat(parts, ignore_index=True), examples


def _examples(
    store: VolumeStore,
    rows: np.ndarray,
    steps: Mapping[str, np.ndarray],
    kept: Mapping[str, Sequence[np.ndarray]],
) -> dict[str, np.ndarray]:
    """The scans in `rows`, and what each method made of them, from its arrays by batch."""
    return {
        "scan": store.index["scan"].to_numpy(str)[rows],
        **steps,
        "original": store.volumes[rows].astype(np.float32),
        "mask": np.asarray(store.masks[rows]),
        **{method: np.concatenate(arrays) for method, arrays in kept.items()},
    }


def _measure(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    methods: Methods,
    steps_of: Mapping[str, Sequence[int]],
    windows: Sequence[int],
    seed: int,
    example_rows: np.ndarray,
    piece: np.ndarray,
) -> tuple[list[pd.DataFrame], dict[str, np.ndarray]]:
    """Scores of one batch, and the examples in it by method."""
    scored, shown = [], {}
    x, mask = store.batch(piece), store.mask_batch(piece)
    for method, n_steps, x_hat in _reconstructions(x, models, methods, steps_of, piece, seed):
        scores = with_scans(score_pairs(x_hat, x, mask, windows), store.index, piece)
        scored.append(scores.assign(method=method, steps=n_steps))
        most = max(steps_of.get(methods[method].part_of or method, [NOTHING]))
        if n_steps == most:
            shown[method] = x_hat[np.isin(piece, example_rows), 0].numpy()
    return scored, shown


def _reconstructions(
    x: Tensor,
    models: Mapping[str, DiffusionAutoencoder],
    methods: Methods,
    steps_of: Mapping[str, Sequence[int]],
    rows: np.ndarray,
    seed: int,
) -> list[tuple[str, int, Tensor]]:
    """(method, steps, x̂ on the CPU) for one batch; every code is computed once."""
    results: list[tuple[str, int, Tensor]] = []
    parts = {m.part_of: m.name for m in methods.select(Role.PART).values()}
    # any latent model can stand for the autoencoder alone: its latents are the autoencoder's
    bounds = list(methods.select(Role.BOUND))
    for name, model in models.items():
        on_device = x.to(model.device)
        y, z_0 = model.semantic_code(on_device), model.to_latent(on_device)
        if methods[name].space is Space.LATENT and bounds:
            results.append((bounds.pop(), NOTHING, model.from_latent(z_0).cpu()))
        noise = scan_noise(model.latent_shape, rows, seed).to(model.device)
        for n_steps in steps_of[name]:
            z_T = encode_stochastic(model, z_0, y, n_steps)  # noqa: N806
            x_hat = model.from_latent(sample(model, z_T, y, n_steps))
            results.append((name, n_steps, x_hat.cpu()))
            if name in parts:
                x_hat = model.from_latent(sample(model, noise, y, n_steps))
                results.append((parts[name], n_steps, x_hat.cpu()))
    return results


def scan_noise(latent_shape: Sequence[int], rows: np.ndarray, seed: int, draw: int = 0) -> Tensor:
    """Standard normal z_T of each scan, (B, C, h, w, d), a function of (seed, row, draw) alone.

    A scan's noise must not depend on the scans that share its batch.
    """
    return torch.stack(
        [
            torch.from_numpy(
                np.random.default_rng([seed, int(row), draw]).standard_normal(
                    tuple(latent_shape), dtype=np.float32
                )
            )
            for row in rows
        ]
    )


@torch.inference_mode()
def vary_stochastic(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    *,
    n_steps: int,
    n_scans: int,
    n_samples: int,
    window: int,
    batch_size: int,
    seed: int,
    split: str = "test",
    pieces: Pieces = NOTHING_KEPT,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """What remains open when the semantic code is fixed: one y, many z_T.

    Metrics: ``ssim_pairwise`` (between samples of one y), ``std`` (voxel-wise SD
    over samples, averaged), ``code_distance`` (‖E(x̂) - y‖ over the root mean square distance
    between codes of different participants; 0 when the samples keep the code, 1 when they differ
    as much).

    Parameters
    ----------
    store
        The packed scans.
    models
        Models with a semantic code; others are passed over.
    n_steps
        Sampler steps.
    n_scans
        Scans whose code is fixed, from different participants.
    n_samples
        Draws of z_T for each, at least 2.
    window
        SSIM window, voxels.
    batch_size, seed, split, pieces
        As for :func:`evaluate_reconstruction`.

    Returns
    -------
    tuple
        Scores of every scan, and arrays of the first scan and the first model: ``scan``,
        ``original`` and ``mask`` (H, W, D), ``samples`` (n, H, W, D), ``mean`` and ``std`` (H, W,
        D).
    """
    if n_samples < 2:
        raise ValueError(f"need at least two samples, got {n_samples}")
    rows = choose_rows(store.index, split, n_scans, seed)
    scores: list[dict[str, object]] = []
    examples: dict[str, np.ndarray] = {}
    for name, model in models.items():
        y_all = _codes_of(model, store, rows, batch_size)
        if y_all is None:
            continue
        between = _distance_between_subjects(y_all, store.index["subject"].to_numpy(str)[rows])
        for row, y in zip(rows, y_all, strict=True):
            draw = partial(_draw_code, model, y, int(row), seed, n_samples, n_steps, batch_size)
            samples, moved = pieces.once((name, int(row)), draw)
            deviation = samples.std(0)  # (1, H, W, D)
            common = {
                "method": name,
                "scan": store.index["scan"].iloc[row],
                "subject": store.index["subject"].iloc[row],
            }
            values = [
                *_spread_of_samples(samples, deviation, store.mask_batch([row]), window),
                {"region": "", "window": 0, "metric": "code_distance", "value": moved / between},
            ]
            scores += [common | value for value in values]
            examples = examples or {
                "scan": np.array(common["scan"]),
                "original": store.volumes[row].astype(np.float32),
                "mask": np.asarray(store.masks[row]),
                "samples": samples[:, 0].numpy(),
                "mean": samples[:, 0].mean(0).numpy(),
                "std": deviation[0].numpy(),
            }
    many = f"{n_samples} draws of z_T per scan"
    return pd.DataFrame(scores).assign(steps=n_steps, note=many), examples


def _codes_of(
    model: DiffusionAutoencoder, store: VolumeStore, rows: np.ndarray, batch_size: int
) -> Tensor | None:
    """Semantic codes (N, dim_y) of scans; None for a model without."""
    parts = (store.batch(part).to(model.device) for part in batches(rows, batch_size))
    codes = [model.semantic_code(x) for x in parts]
    known = [code for code in codes if code is not None]
    return torch.cat(known) if len(known) == len(codes) else None


def _draw_code(
    model: DiffusionAutoencoder,
    y: Tensor,
    row: int,
    seed: int,
    n_samples: int,
    n_steps: int,
    batch_size: int,
) -> tuple[Tensor, float]:
    """As `_sample_code`, from the draws of z_T of one scan."""
    draws, of_row = range(n_samples), np.array([row])
    noise = [scan_noise(model.latent_shape, of_row, seed, draw) for draw in draws]
    return _sample_code(model, y, torch.cat(noise), n_steps, batch_size)


def _sample_code(
    model: DiffusionAutoencoder,
    y: Tensor,
    z_T: Tensor,  # noqa: N803
    n_steps: int,
    batch_size: int,
) -> tuple[Tensor, float]:
    """Scans (n, 1, H, W, D) of one code (dim_y,) and n draws of z_T; their codes' mean distance."""
    samples, distances = [], []
    for piece in torch.split(z_T.to(model.device), batch_size):
        repeated = y.expand(len(piece), -1)
        x_hat = model.from_latent(sample(model, piece, repeated, n_steps))
        again = model.semantic_code(x_hat)
        if again is not None:
            distances.append((again - repeated).norm(dim=1).cpu())
        samples.append(x_hat.cpu())
    return torch.cat(samples), float(torch.cat(distances).mean())


def _spread_of_samples(
    samples: Tensor, deviation: Tensor, mask: Tensor, window: int
) -> Iterator[dict[str, object]]:
    """Likeness of samples (n, 1, H, W, D) in pairs, and their SD; whole and in the mask."""
    first, second = np.triu_indices(len(samples), 1)
    for region, where in (("whole", None), ("mask", mask.expand_as(samples))):
        inside = None if where is None else where[first]
        alike = ssim(samples[first], samples[second], inside, window).mean()
        spread = deviation.mean() if where is None else deviation[mask[0]].mean()
        for metric, size, value in (("ssim_pairwise", window, alike), ("std", 0, spread)):
            yield {"region": region, "window": size, "metric": metric, "value": float(value)}


def _distance_between_subjects(y: Tensor, subjects: np.ndarray) -> float:
    """Root mean square distance between codes of different participants; NaN with one only."""
    distance = torch.cdist(y.double().cpu(), y.double().cpu()).numpy()
    different = subjects[:, None] != subjects[None, :]
    return float(np.sqrt((distance[different] ** 2).mean())) if different.any() else float("nan")
