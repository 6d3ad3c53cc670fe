"""Filling in a visit that was not made: interpolation between two visits of one person."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldae.bootstrap import subject_bootstrap, summarise_scores, weighted_mean
from ldae.codes import batches
from ldae.inference import encode_stochastic, lerp, sample, slerp
from ldae.metrics import score_pairs, template_regions, ventricle_volume
from ldae.tables import tidy

if TYPE_CHECKING:
    from ldae.models import DiffusionAutoencoder
    from ldae.volumes import VolumeStore

logger = logging.getLogger(__name__)

TRIVIAL = ("nearest_visit", "voxel_average", "latent_average")
"""Methods that need no diffusion model; the best of them is what a model has to beat."""

BIN_MONTHS = 6
"""Gaps are tabulated in bins of half a year, the interval at which such studies plan visits."""

TARGETS = ("real", "autoencoder")


@dataclass(frozen=True)
class Triple:
    """Three visits of one person: rows of A, M and B in time order, and their months."""

    subject: str
    rows: tuple[int, int, int]
    months: tuple[float, float, float]

    @property
    def alpha(self) -> float:
        """Position of M between A (0) and B (1)."""
        a, m, b = self.months
        return (m - a) / (b - a)

    @property
    def gap(self) -> float:
        """t_B - t_A, months."""
        return self.months[2] - self.months[0]

    @property
    def nearest(self) -> float:
        """Distance of M to the nearer of A and B, months."""
        a, m, b = self.months
        return min(m - a, b - m)


def find_triples(
    index: pd.DataFrame, split: str, max_triples: int | None = None, seed: int = 0
) -> list[Triple]:
    """Triples (A, M, B) of one person's visits in a split, in the order of the index.

    Parameters
    ----------
    index
        Index of the packed scans.
    split
        Split to look in.
    max_triples
        Upper bound; if there are more, they are drawn in turn from each combination of gap and
        distance, so that rare ones are not lost.  None keeps all.
    seed
        Seed of that draw.
    """
    part = index[index["split"] == split]
    triples = []
    for subject, visits in part.groupby("subject", sort=True):
        visits = visits.dropna(subset=["months"]).sort_values("months")
        rows, months = visits.index.to_numpy(), visits["months"].to_numpy(float)
        for a in range(len(rows)):
            for m in range(a + 1, len(rows)):
                for b in range(m + 1, len(rows)):
                    if months[a] < months[m] < months[b]:
                        triples.append(
                            Triple(
                                str(subject),
                                (int(rows[a]), int(rows[m]), int(rows[b])),
                                (float(months[a]), float(months[m]), float(months[b])),
                            )
                        )
    if max_triples is None or len(triples) <= max_triples:
        return triples
    order = np.random.default_rng(seed).permutation(len(triples))
    taken: dict[tuple[int, int], int] = {}
    keys = []
    for i in order:
        cell = (_bin(triples[i].gap), _bin(triples[i].nearest))
        keys.append((taken.get(cell, 0), cell, int(i)))
        taken[cell] = taken.get(cell, 0) + 1
    return [triples[i] for i in sorted(i for *_, i in sorted(keys)[:max_triples])]


def _bin(months: float) -> int:
    """Months rounded to the bin, at least one bin."""
    return max(1, round(months / BIN_MONTHS)) * BIN_MONTHS


@torch.inference_mode()
def interpolate_gaps(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    affine: np.ndarray,
    *,
    n_steps: int,
    max_triples: int | None,
    windows: Sequence[int],
    batch_size: int,
    n_bootstrap: int,
    seed: int,
    cohort: str,
    split: str = "test",
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Middle visits from their neighbours, against the real scan and the trivial answers.

    Rows: every model (y on the line, z_T on the sphere between A and B, decoded);
    ``nearest_visit``, a copy of the visit closer in time (the earlier on a tie); ``voxel_average``
    and ``latent_average``, weighted by time, of intensities and of autoencoder latents.  The target
    ``real`` is the scan; ``autoencoder`` is its autoencoder reconstruction, as the method's authors
    scored.  Metric ``skill`` = 1 - MSE/MSE of the best trivial answer, chosen anew in each
    replicate. ``ventricle_error_ml`` is |V̂ - V|, ``ventricle_bias_ml`` V̂ - V.

    Parameters
    ----------
    store
        The packed scans.
    models
        ``ldae``, whose autoencoder also gives the latent average; others (``voxel_dae``) add rows.
    affine
        Voxel to MNI152 mm of the study's grid, 4 x 4.
    n_steps
        Sampler steps, each way.
    max_triples
        See :func:`find_triples`.
    windows
        SSIM windows, voxels.
    batch_size, n_bootstrap, seed, cohort, split
        As for :func:`ldae.reconstruction.evaluate_reconstruction`.

    Returns
    -------
    tuple
        Table ``interpolation``; empty gap or distance means all.  Arrays of the triple with the
        longest distance to its nearer visit: ``subject``, ``months`` (3,), ``alpha``, ``visit_a``,
        ``real``, ``visit_b``, ``mask`` and one per method, all (H, W, D); and ``sequence`` (n, H,
        W, D) of the model at ``sequence_alpha`` (n,).

    Raises
    ------
    ValueError
        If nobody in the split has three visits, or ``ldae`` is not among the models.
    """
    if "ldae" not in models:
        raise ValueError("interpolation needs the model ldae")
    triples = find_triples(store.index, split, max_triples, seed)
    if not triples:
        raise ValueError(f"nobody in the split {split} has three visits")
    ends = np.unique([row for t in triples for row in (t.rows[0], t.rows[2])])
    middles = np.unique([t.rows[1] for t in triples])
    z_0, z_T, y = _encode(store, models, ends, n_steps, batch_size)  # noqa: N806
    reference = models["ldae"]
    seen: dict[int, Tensor] = {}
    for piece in batches(middles, batch_size):
        latent = reference.to_latent(store.batch(piece).to(reference.device))
        seen |= dict(zip(piece.tolist(), reference.from_latent(latent).cpu(), strict=True))

    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    region = template_regions(store.shape, affine)["ventricle"]
    longest = max(range(len(triples)), key=lambda i: (triples[i].nearest, triples[i].gap, -i))
    parts: list[pd.DataFrame] = []
    examples: dict[str, np.ndarray] = {}
    for positions in batches(np.arange(len(triples)), batch_size):
        chosen = [triples[i] for i in positions]
        a, m, b = (np.array([t.rows[k] for t in chosen]) for k in range(3))
        alpha = torch.tensor([t.alpha for t in chosen], dtype=torch.float32)
        x_a, x_b, mask = store.batch(a), store.batch(b), store.mask_batch(m)
        middle = {
            "real": store.batch(m),
            "autoencoder": torch.stack([seen[int(row)] for row in m]),
        }
        answers: dict[str, Tensor] = {}
        for name, model in models.items():
            decoded = decode_between(
                model,
                _rows(y[name], a),
                _rows(y[name], b),
                _rows(z_T[name], a),
                _rows(z_T[name], b),
                alpha.to(model.device),
                n_steps,
            )
            answers[name] = decoded.cpu()
        share = alpha.reshape(-1, 1, 1, 1, 1)
        answers["nearest_visit"] = torch.where(share <= 0.5, x_a, x_b)
        answers["voxel_average"] = lerp(x_a, x_b, share)
        average = lerp(_rows(z_0, a), _rows(z_0, b), share.to(reference.device))
        answers["latent_average"] = reference.from_latent(average).cpu()
        true_ml = {t: ventricle_volume(x, mask, region, voxel_ml) for t, x in middle.items()}
        for name, x_hat in answers.items():
            ml = ventricle_volume(x_hat, mask, region, voxel_ml)
            for target in TARGETS:
                scores = score_pairs(x_hat, middle[target], mask, windows, full=False)
                error = (ml - true_ml[target]).numpy().astype(float)
                for metric, value in (
                    ("ventricle_error_ml", abs(error)),
                    ("ventricle_bias_ml", error),
                ):
                    extra = {"sample": np.arange(len(error)), "region": "", "window": 0}
                    frame = pd.DataFrame(extra | {"metric": metric, "value": value, "note": ""})
                    scores = pd.concat([scores, frame], ignore_index=True)
                where = positions[scores["sample"].to_numpy()]
                parts.append(scores.assign(triple=where, method=name, target=target))
        if longest in positions:
            k = int(np.flatnonzero(positions == longest)[0])
            t = triples[longest]
            examples = {
                "subject": np.array(t.subject),
                "months": np.array(t.months),
                "alpha": np.array(t.alpha),
                "visit_a": x_a[k, 0].numpy(),
                "real": middle["real"][k, 0].numpy(),
                "visit_b": x_b[k, 0].numpy(),
                "mask": mask[k, 0].numpy(),
                **{name: x_hat[k, 0].numpy() for name, x_hat in answers.items()},
                **_sequence(reference, y["ldae"], z_T["ldae"], t, n_steps),
            }
        logger.info("interpolated %d of %d triples", positions[-1] + 1, len(triples))
    scores = pd.concat(parts, ignore_index=True)
    number = scores["triple"].to_numpy()
    scores["subject"] = np.array([t.subject for t in triples])[number]
    scores["scan"] = np.array([t.rows[1] for t in triples])[number]
    scores["gap_months"] = np.array([_bin(t.gap) for t in triples])[number]
    scores["nearest_months"] = np.array([_bin(t.nearest) for t in triples])[number]
    table = _tabulate(scores, n_bootstrap, seed).assign(steps=n_steps)
    table.loc[table["method"].isin(TRIVIAL), "steps"] = 0
    for column in ("steps", "window"):
        table[column] = table[column].astype("Int64").mask(table[column] == 0)
    return tidy(table, "interpolation", cohort=cohort, seed=seed, split=split), examples


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


def _encode(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    rows: np.ndarray,
    n_steps: int,
    batch_size: int,
) -> tuple[dict[int, Tensor], dict[str, dict[int, Tensor]], dict[str, dict[int, Tensor]]]:
    """Codes of every end visit, each encoded once: ldae's z_0, every model's z_T and y, by row."""
    z_0: dict[int, Tensor] = {}
    z_T: dict[str, dict[int, Tensor]] = {name: {} for name in models}  # noqa: N806
    y: dict[str, dict[int, Tensor]] = {name: {} for name in models}
    for piece in batches(rows, batch_size):
        for name, model in models.items():
            x = store.batch(piece).to(model.device)
            code, latent = model.semantic_code(x), model.to_latent(x)
            if code is None:
                raise ValueError(f"{name} has no semantic code to interpolate")
            stochastic = encode_stochastic(model, latent, code, n_steps)
            z_T[name] |= dict(zip(piece.tolist(), stochastic, strict=True))
            y[name] |= dict(zip(piece.tolist(), code, strict=True))
            if name == "ldae":
                z_0 |= dict(zip(piece.tolist(), latent, strict=True))
    return z_0, z_T, y


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
    x = decode_between(
        model, _rows(y, a), _rows(y, b), _rows(z_T, a), _rows(z_T, b), alpha, n_steps
    )
    return {"sequence": x[:, 0].cpu().numpy(), "sequence_alpha": alpha.cpu().numpy()}


def _tabulate(scores: pd.DataFrame, n_bootstrap: int, seed: int) -> pd.DataFrame:
    """Means over all triples, by gap, and by distance to the nearer visit; then the skills."""
    keys = ["method", "target", "region", "window"]
    tables = []
    for conditions in ([], ["gap_months"], ["nearest_months"]):
        table = summarise_scores(scores, [*keys, *conditions], n_bootstrap, seed)
        tables += [table, _skill(scores, conditions, n_bootstrap, seed)]
    result = pd.concat(tables, ignore_index=True)
    for column in ("gap_months", "nearest_months"):
        result[column] = result[column].astype("Int64")
    return result


def _skill(
    scores: pd.DataFrame, conditions: list[str], n_bootstrap: int, seed: int
) -> pd.DataFrame:
    """1 - MSE/MSE of the best trivial answer, for every method that is not trivial."""
    errors = scores[scores["metric"] == "mse"]
    rows: list[dict[str, object]] = []
    for names, cell in errors.groupby(["target", "region", *conditions], sort=False):
        wide = cell.pivot(index=["triple", "subject", "scan"], columns="method", values="value")
        subjects = wide.index.get_level_values("subject").to_numpy(str)
        common: dict[str, object] = dict(zip(["target", "region", *conditions], names, strict=True))
        common |= {"window": 0, "metric": "skill", "n_subjects": len(set(subjects))}
        common["n_scans"] = len(wide.index.unique("scan"))
        best = min(TRIVIAL, key=lambda method: wide[method].mean())
        for method in [m for m in wide.columns if m not in TRIVIAL]:
            values = wide[[method, *TRIVIAL]].to_numpy(float)
            value, low, high = subject_bootstrap(values, subjects, _skill_of, n_bootstrap, seed)
            rows.append(
                common
                | {"method": method, "value": value, "ci_low": low, "ci_high": high}
                | {"note": f"best trivial answer: {best}"}
            )
    return pd.DataFrame(rows)


def _skill_of(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Skill (R,) from squared errors (N, 1 + trivial); the first column is the model's."""
    means = np.stack([weighted_mean(column, weights) for column in values.T])
    return 1 - means[0] / means[1:].min(0)
