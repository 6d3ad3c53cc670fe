"""Moving a scan along a probe's direction in code space, and measuring what moved."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldae.bootstrap import summarise_scores
from ldae.codes import batches, learn_voxel_pca
from ldae.inference import encode_stochastic, sample
from ldae.metrics import template_regions, tissue_volume, ventricle_volume
from ldae.probes import AD_VS_CN, Probe, fit_probe, probe_tasks, task_target
from ldae.provenance.fitted import note_fitted
from ldae.reconstruction import choose_rows
from ldae.tables import tidy

if TYPE_CHECKING:
    from ldae.models import DiffusionAutoencoder
    from ldae.volumes import VolumeStore

logger = logging.getLogger(__name__)

TREND_METRICS = ("ventricle_change_ml", "hippocampus_change_ml", "probe_response", "pca_response")
"""Responses whose dependence on the amount is summed up by rank correlation and monotone share."""


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


def halve_subjects(index: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training rows of two disjoint halves of the training subjects, stratified by diagnosis.

    Parameters
    ----------
    index
        Index of the packed scans.
    seed
        Seed of the shuffle.
    """
    train = index[index["split"] == "train"]
    people = train.drop_duplicates("subject")[["subject", "diagnosis"]]
    rng = np.random.default_rng(seed)
    shuffled = people.iloc[rng.permutation(len(people))].sort_values("diagnosis", kind="stable")
    first = set(shuffled["subject"].iloc[::2])
    in_first = train["subject"].isin(first).to_numpy()
    rows = train.index.to_numpy()
    return rows[in_first], rows[~in_first]


@torch.inference_mode()
def manipulate_attribute(
    store: VolumeStore,
    model: DiffusionAutoencoder,
    codes: np.ndarray,
    affine: np.ndarray,
    *,
    amounts: Sequence[float],
    n_steps: int,
    n_scans: int | None,
    c_grid: Sequence[float],
    alpha_grid: Sequence[float],
    n_folds: int,
    pca_components: int,
    batch_size: int,
    n_bootstrap: int,
    seed: int,
    cohort: str,
    split: str = "test",
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Dose and response of editing disease and age in scans of the split.

    The direction is the weight vector of a probe fitted on one half of the training subjects; the
    judges (a probe of the re-encoded code, and one of voxel principal components that never saw y)
    are fitted on the other half.  Each scan is decoded from its own stochastic code.  Changes are
    against the same scan decoded at a = 0.

    Metrics by amount: ``ventricle_change_ml``, ``hippocampus_change_ml`` (their tissue),
    ``probe_response`` and ``pca_response`` (log-odds of AD, or years; change against a = 0),
    ``other_response`` (the probe of the other attribute), ``change`` by region (mean absolute
    difference inside the affected regions, and in the rest of the mask), ``map_correlation`` (of
    the difference with the training people's group difference, or slope on age, inside the mask)
    and ``identity_kept`` (nearest scan of the split, the source itself left out, is the same
    person's). Over amounts, per scan: ``<response>_spearman`` and ``<response>_monotone`` (share of
    scans whose response only rises; for the hippocampus only falls).

    Parameters
    ----------
    store
        The packed scans.
    model
        A model with a semantic code.
    codes
        Its codes of all scans, (N, dim), row-aligned.
    affine
        Voxel to MNI152 mm of the study's grid, 4 x 4.
    amounts
        Values of a; 0 is added if it is missing.
    n_steps
        Sampler steps, each way.
    n_scans
        Scans edited, from as many people as possible; None is the whole split.
    c_grid, alpha_grid, n_folds, pca_components
        As for the probes.
    batch_size, n_bootstrap, seed, cohort, split
        As for :func:`ldae.reconstruction.evaluate_reconstruction`.

    Returns
    -------
    tuple
        Table ``manipulation`` for every task the data allow, and arrays for the figure, of one
        scan: ``amounts`` (k,), ``scan``, ``original`` and ``mask`` (H, W, D), and ``<task>`` (k, H,
        W, D).
    """
    tasks = probe_tasks(store.index)
    if not tasks:
        raise ValueError("there is neither a diagnosis nor an age to edit")
    if len(codes) != len(store.index):
        raise ValueError(f"{len(codes)} codes for {len(store.index)} scans")
    doses = sorted({0.0, *map(float, amounts)})
    half_a, half_b = halve_subjects(store.index, seed)
    pca = learn_voxel_pca(store, half_b, pca_components, seed)
    pca_codes = pca.transform(store.volumes[half_b])

    def fit(task: str, rows: np.ndarray, x: np.ndarray) -> Probe:
        target = task_target(store.index, task)[rows]
        known = np.isfinite(target)
        grid = c_grid if task == AD_VS_CN else alpha_grid
        subjects = store.index["subject"].to_numpy(str)[rows]
        return fit_probe(x[known], target[known], subjects[known], task, grid, n_folds, seed)

    direction = {task: fit(task, half_a, codes[half_a]) for task in tasks}
    judge = {task: fit(task, half_b, codes[half_b]) for task in tasks}
    outsider = {task: fit(task, half_b, pca_codes) for task in tasks}
    regions = template_regions(store.shape, affine)
    affected = torch.from_numpy(regions["ventricle"] | regions["hippocampus"])
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    effect = {task: _group_effect(store, task) for task in tasks}

    rows = choose_rows(store.index, split, n_scans, seed)
    gallery = _Gallery(store, split)
    parts: list[pd.DataFrame] = []
    examples: dict[str, np.ndarray] = {}
    for piece in batches(rows, batch_size):
        x, mask = store.batch(piece), store.mask_batch(piece)
        on_device = x.to(model.device)
        y = model.semantic_code(on_device)
        if y is None:
            raise ValueError(f"{model.name} has no semantic code to edit")
        z_T = encode_stochastic(model, model.to_latent(on_device), y, n_steps)  # noqa: N806
        unedited = model.from_latent(sample(model, z_T, y, n_steps)).cpu()
        for task in tasks:
            edited = {
                a: unedited
                if a == 0
                else model.from_latent(
                    sample(model, z_T, manipulated_code(y, direction[task], a), n_steps)
                ).cpu()
                for a in doses
            }
            others = [t for t in tasks if t != task]

            def measure(
                x_hat: Tensor,
                mask: Tensor = mask,
                task: str = task,
                others: list[str] = others,
            ) -> dict[str, np.ndarray]:
                again = model.semantic_code(x_hat.to(model.device))
                code = np.empty((0,)) if again is None else again.float().cpu().numpy()
                return {
                    "ventricle_change_ml": ventricle_volume(
                        x_hat, mask, regions["ventricle"], voxel_ml
                    ).numpy(),
                    "hippocampus_change_ml": tissue_volume(
                        x_hat, mask, regions["hippocampus"], voxel_ml
                    ).numpy(),
                    "probe_response": judge[task].score(code),
                    "pca_response": outsider[task].score(pca.transform(x_hat[:, 0].numpy())),
                    **({"other_response": judge[others[0]].score(code)} if others else {}),
                }

            base = measure(unedited)
            for a in doses:
                measured = measure(edited[a]) if a != 0 else base
                measured = {k: v - base[k] for k, v in measured.items()}
                difference = edited[a] - unedited
                frames = [_frame(k, v, "") for k, v in measured.items()]
                if a != 0:
                    inside, outside = mask & affected, mask & ~affected
                    frames += [
                        _frame("change", _mean_abs(difference, inside), "affected"),
                        _frame("change", _mean_abs(difference, outside), "rest"),
                        _frame("map_correlation", _correlation(difference, effect[task], mask), ""),
                    ]
                kept = gallery.identity_kept(edited[a], piece)
                frames.append(_frame("identity_kept", kept, ""))
                parts.append(
                    pd.concat(frames, ignore_index=True)
                    .assign(task=task, amount=a)
                    .pipe(_name_scans, store.index, piece)
                )
            if not {"scan", task} <= set(examples):
                examples |= {
                    "scan": np.array(store.index["scan"].iloc[piece[0]]),
                    "amounts": np.array(doses),
                    "original": x[0, 0].numpy(),
                    "mask": mask[0, 0].numpy(),
                    task: np.stack([edited[a][0, 0].numpy() for a in doses]),
                }
        logger.info("edited %d of %d scans", np.searchsorted(rows, piece[-1]) + 1, len(rows))
    scores = pd.concat(parts, ignore_index=True)
    everything = pd.concat([scores, _trends(scores)], ignore_index=True)
    table = summarise_scores(everything, ["task", "amount", "region"], n_bootstrap, seed)
    table = table[table["value"].notna()].assign(method=model.name, steps=n_steps)
    table["note"] = table["metric"].map(_notes(tasks)).fillna("")
    return tidy(table, "manipulation", cohort=cohort, seed=seed, split=split), examples


def _frame(metric: str, values: np.ndarray | Tensor, region: str) -> pd.DataFrame:
    values = np.asarray(values, dtype=np.float64)
    return pd.DataFrame(
        {
            "sample": np.arange(len(values)),
            "region": region,
            "metric": metric,
            "value": values,
            "note": "",
        }
    )


def _name_scans(scores: pd.DataFrame, index: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    named = index.iloc[rows[scores["sample"].to_numpy()]]
    return scores.drop(columns="sample").assign(
        scan=named["scan"].to_numpy(), subject=named["subject"].to_numpy()
    )


def _notes(tasks: Sequence[str]) -> dict[str, str]:
    other = "log-odds of AD while age is edited; years while disease is edited"
    return {
        "probe_response": "judge fitted on the other half of the training subjects",
        "pca_response": "judge on voxel principal components, never saw y",
        "ventricle_change_ml": "measured on intensities inside a fixed region, not segmented",
        "hippocampus_change_ml": "tissue inside a fixed region, not segmented",
        "other_response": other if len(tasks) > 1 else "",
        "identity_kept": "nearest scan in the split by masked MSE, source scan left out",
        "map_correlation": "with the training people's difference AD - CN, or slope on age",
    }


def _mean_abs(difference: Tensor, where: Tensor) -> np.ndarray:
    weights = where.float().flatten(1)
    total = (difference.abs().flatten(1) * weights).sum(1) / weights.sum(1).clamp(min=1)
    return total.numpy()


def _correlation(difference: Tensor, effect: np.ndarray, mask: Tensor) -> np.ndarray:
    """Pearson correlation of each difference map with the effect, inside the scan's mask."""
    result = []
    for scan, inside in zip(difference[:, 0].numpy(), mask[:, 0].numpy(), strict=True):
        a, b = scan[inside], effect[inside]
        flat = a.std() == 0 or b.std() == 0
        result.append(np.nan if flat else float(np.corrcoef(a, b)[0, 1]))
    return np.array(result)


def _group_effect(store: VolumeStore, task: str) -> np.ndarray:
    """Training people's mean difference AD - CN, or slope of intensity on age, (H, W, D)."""
    target = task_target(store.index, task)
    rows = store.rows("train")
    rows = rows[np.isfinite(target[rows])]
    note_fitted(f"effect of {task}", store.index["subject"].iloc[rows])
    centred = target[rows] - target[rows].mean()
    # The slope on a 0/1 target is the difference of the group means, so one formula serves both.
    slope = np.zeros(store.shape)
    for piece, weights in zip(batches(rows, 64), batches(centred, 64), strict=True):
        slope += np.tensordot(weights, store.volumes[piece].astype(np.float64), axes=1)
    return slope / (centred**2).sum()


class _Gallery:
    """The split's real scans, to look up whose scan an edited one resembles most."""

    def __init__(self, store: VolumeStore, split: str) -> None:
        self.rows = store.rows(split)
        self.subjects = store.index["subject"].to_numpy(str)
        self.inside = store.masks[self.rows].mean(0, dtype=np.float64) >= 0.5
        self.values = store.volumes[self.rows][:, self.inside].astype(np.float32)
        self.norms = (self.values**2).sum(1)

    def identity_kept(self, x_hat: Tensor, rows: np.ndarray) -> np.ndarray:
        """1 where the nearest other scan is the same person's, else 0; NaN if alone."""
        values = x_hat[:, 0].numpy()[:, self.inside]
        distance = self.norms - 2 * values @ self.values.T
        distance[self.rows[None, :] == rows[:, None]] = np.inf
        same = self.subjects[self.rows][None, :] == self.subjects[rows][:, None]
        has_other = (same & (self.rows[None, :] != rows[:, None])).any(1)
        nearest = same[np.arange(len(rows)), distance.argmin(1)].astype(float)
        return np.where(has_other, nearest, np.nan)


def _trends(scores: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation with the amount, and whether the response is monotone, for each scan."""
    rows: list[dict[str, object]] = []
    selected = scores[scores["metric"].isin(TREND_METRICS)]
    for (task, metric, scan), curve in selected.groupby(["task", "metric", "scan"], sort=False):
        curve = curve.sort_values("amount")
        if len(curve) < 3:
            continue
        response = curve["value"].to_numpy()
        sign = -1 if metric == "hippocampus_change_ml" else 1
        ranks = pd.Series(response).rank().to_numpy()
        flat = ranks.std() == 0
        spearman = np.nan if flat else np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]
        common = {"task": task, "scan": scan, "subject": curve["subject"].iloc[0]}
        common |= {"amount": np.nan, "region": "", "note": ""}
        stem = str(metric).removesuffix("_ml")
        rows.append(common | {"metric": f"{stem}_spearman", "value": spearman})
        monotone = float((sign * np.diff(response) > 0).all())
        rows.append(common | {"metric": f"{stem}_monotone", "value": monotone})
    return pd.DataFrame(rows, columns=list(scores.columns))
