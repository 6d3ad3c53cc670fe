"""What is measured of an edited scan: anatomy, judges' responses, where it changed, whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldae.data.diagnoses import Diagnoses
from ldae.data.volumes import HELD_BYTES, ROWS_AT_A_TIME, batches
from ldae.evaluation.codes import REGION_COLUMNS
from ldae.evaluation.editing.judges import CODE_JUDGE, VOLUME_JUDGE, VOXEL_JUDGE, Panel
from ldae.evaluation.probes.fitting import task_target
from ldae.evaluation.regions import RegionAtlas, measure_regions
from ldae.leakage import note_fitted
from ldae.statistics.measures import AGE

if TYPE_CHECKING:
    from ldae.data.volumes import VolumeStore
    from ldae.models.base import DiffusionAutoencoder

TREND_METRICS = ("ventricle_change_ml", "hippocampus_change_ml", "response")
"""Responses whose dependence on the amount is summed up by rank correlation and monotone share."""

GROUP_DIFFERENCE = "group_difference"
"""Trivial edit: add a multiple of the training participants' mean difference to every scan."""

Measures = dict[tuple[str, str, str], np.ndarray]
"""(metric, attribute, judge) to one number per scan."""


class Effects(Protocol):
    """True effects of the attributes on scans (:class:`ldae.simulation.effects.TrueEffects`)."""

    maps: dict[str, np.ndarray]

    def of(self, attribute: str, scans: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Base images and difference maps, (k, H, W, D) each."""
        ...


@dataclass(frozen=True)
class Scans:
    """A batch of real scans.

    Attributes
    ----------
    rows
        Rows of the index, (B,).
    names
        Of the scans.
    x, mask
        Intensities and brain masks, (B, 1, H, W, D).
    """

    rows: np.ndarray
    names: list[str]
    x: Tensor
    mask: Tensor

    @classmethod
    def load(cls, store: VolumeStore, rows: np.ndarray) -> Scans:
        """Read the scans in `rows`."""
        names = store.index["scan"].to_numpy(str)[rows].tolist()
        return cls(rows, names, store.batch(rows), store.mask_batch(rows))


def measure_scans(
    x: Tensor, mask: Tensor, model: DiffusionAutoencoder, atlas: RegionAtlas, panel: Panel
) -> Measures:
    """Volumes and judges' scores of scans, in absolute terms."""
    again = model.semantic_code(x.to(model.device))
    if again is None:
        raise ValueError("a model without a semantic code cannot be judged by it")
    volumes = measure_regions(x, mask, atlas)
    seen = {
        CODE_JUDGE: again.float().cpu().numpy(),
        VOXEL_JUDGE: panel.pca.transform(x[:, 0].numpy()),
        VOLUME_JUDGE: np.stack([volumes[name] for name in REGION_COLUMNS], axis=1),
    }
    measures: Measures = {
        ("ventricle_change_ml", "", ""): volumes["ventricles"],
        ("hippocampus_change_ml", "", ""): volumes["hippocampi"],
    }
    for (kind, attribute), judge in panel.judges.items():
        score = judge.score(seen[kind])
        measures["response", attribute, kind] = score
        if attribute == AGE:
            measures["response_years", attribute, kind] = score * judge.deviation
    return measures


class Fidelity:
    """How faithful edits of a split's scans are.

    Parameters
    ----------
    store
        The packed scans.
    affected
        Voxels of the regions that the attributes affect, bool (H, W, D).
    effects
        True effects of the scans that are edited; None where they are not known.
    tasks
        Attributes that are edited.
    diagnoses
        Words for patients and controls.
    split
        Split of the edited scans.
    """

    def __init__(
        self,
        store: VolumeStore,
        affected: np.ndarray,
        effects: Effects | None,
        tasks: Sequence[str],
        diagnoses: Diagnoses,
        split: str,
    ) -> None:
        self.affected, self.effects = affected, effects
        self.group = {task: group_effect(store, task, diagnoses) for task in tasks}
        self._gallery = Gallery(store, split)

    def truth(self, task: str, scans: Scans) -> np.ndarray | None:
        """True effect on each scan, (B, H, W, D), if it is known."""
        if self.effects is None or task not in self.effects.maps:
            return None
        return self.effects.of(task, scans.names)[1]

    def ceilings(
        self, scans: Scans, model: DiffusionAutoencoder, z_0: Tensor
    ) -> dict[str, pd.DataFrame]:
        """``truth_ceiling`` by task of the autoencoder that made `z_0`; empty without truth."""
        known = [] if self.effects is None else [t for t in self.group if t in self.effects.maps]
        if self.effects is None or not known:
            return {}
        passed = model.from_latent(z_0).cpu()
        frames = {}
        for task in known:
            healthy, truth = self.effects.of(task, scans.names)
            ceiling = autoencoder_ceiling(model, scans.x, scans.mask, passed, healthy, truth)
            frames[task] = score_frame("truth_ceiling", ceiling)
        return frames

    def trivial(self, scans: Scans) -> dict[str, pd.DataFrame]:
        """``truth_correlation`` by task of the trivial edit; empty without truth."""
        frames = {}
        for task, group in self.group.items():
            truth = self.truth(task, scans)
            if truth is not None:
                correlation = correlate_maps(np.broadcast_to(group, truth.shape), truth, scans.mask)
                frames[task] = score_frame("truth_correlation", correlation)
        return frames

    def compare(
        self,
        task: str,
        amount: float,
        scans: Scans,
        edited: Tensor,
        unedited: Tensor,
        measures: Measures,
        base: Measures,
    ) -> list[pd.DataFrame]:
        """Scores of scans edited by an amount, against the same scans decoded unedited.

        `measures` and `base` are theirs by :func:`measure_scans`. Unedited scans (amount 0) have
        no difference map.
        """
        frames = [
            score_frame(
                metric, values - base[metric, attribute, kind], attribute=attribute, judge=kind
            )
            for (metric, attribute, kind), values in measures.items()
        ]
        kept = self._gallery.identity_kept(edited, scans.rows)
        frames.append(score_frame("identity_kept", kept))
        if amount != 0:
            difference = (edited - unedited)[:, 0].numpy()
            frames += spread_of_change(difference, scans.mask, self.affected)
            towards_more = difference * np.sign(amount)
            truth = self.truth(task, scans)
            frames += agreement_of_change(towards_more, self.group[task], truth, scans.mask)
        return frames


def score_frame(metric: str, values: np.ndarray, **columns: str) -> pd.DataFrame:
    """One score of each sample of a batch, by its position in it (`sample`)."""
    values = np.asarray(values, dtype=np.float64)
    named = {"metric": metric, "value": values, **columns}
    return pd.DataFrame({"sample": np.arange(len(values)), **named})


def spread_of_change(
    difference: np.ndarray, mask: Tensor, affected: np.ndarray
) -> list[pd.DataFrame]:
    """Mean absolute change inside the affected regions and in the rest of the brain."""
    inside = mask[:, 0].numpy()
    means = {}
    for region, where in (("affected", inside & affected), ("rest", inside & ~affected)):
        n = where.sum((1, 2, 3))
        means[region] = (np.abs(difference) * where).sum((1, 2, 3)) / np.maximum(n, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = means["rest"] / means["affected"]
    frames = [score_frame("change", values, region=region) for region, values in means.items()]
    return [*frames, score_frame("change_ratio", np.where(np.isfinite(ratio), ratio, np.nan))]


def agreement_of_change(
    difference: np.ndarray, group: np.ndarray, truth: np.ndarray | None, mask: Tensor
) -> list[pd.DataFrame]:
    """Correlation of difference maps (towards more of the attribute) with group and truth."""
    in_group = correlate_maps(difference, np.broadcast_to(group, mask[:, 0].shape), mask)
    frames = [score_frame("map_correlation", in_group)]
    if truth is not None:
        correlation = correlate_maps(difference, truth, mask)
        agrees = np.where(np.isfinite(correlation), correlation > 0, np.nan)
        frames += [
            score_frame("truth_correlation", correlation),
            score_frame("truth_agreement", agrees),
        ]
    return frames


def correlate_maps(a: np.ndarray, b: np.ndarray, mask: Tensor) -> np.ndarray:
    """Pearson correlation of each pair of maps (B, H, W, D) inside its mask; NaN if one is flat."""
    result = []
    for one, other, inside in zip(a, b, mask[:, 0].numpy(), strict=True):
        u, v = one[inside], other[inside]
        flat = u.std() == 0 or v.std() == 0
        result.append(np.nan if flat else float(np.corrcoef(u, v)[0, 1]))
    return np.array(result)


def autoencoder_ceiling(
    model: DiffusionAutoencoder,
    x: Tensor,
    mask: Tensor,
    passed: Tensor,
    healthy: np.ndarray,
    truth: np.ndarray,
) -> np.ndarray:
    """How much of the true map comes through the autoencoder: correlation of each scan.

    The true effect, brought to the scan's intensities by regression of the scan on its noise-free
    rendering, is added to the scan; scan and changed scan are encoded and decoded.

    Parameters
    ----------
    model
        Its autoencoder is asked.
    x, mask
        Scans and brain masks, (B, 1, H, W, D).
    passed
        The scans encoded and decoded, (B, 1, H, W, D).
    healthy, truth
        Noise-free renderings and true difference maps, (B, H, W, D).
    """
    changed = x.clone()
    for i, inside in enumerate(mask[:, 0].numpy()):
        gain = np.polyfit(healthy[i][inside], x[i, 0].numpy()[inside], 1)[0]
        effect = torch.from_numpy(np.where(inside, gain * truth[i], 0).astype(np.float32))
        changed[i, 0] = (x[i, 0] + effect).clamp(0, 1)
    through = model.from_latent(model.to_latent(changed.to(model.device))).cpu()
    return correlate_maps((through - passed)[:, 0].numpy(), truth, mask)


def group_effect(store: VolumeStore, task: str, diagnoses: Diagnoses) -> np.ndarray:
    """Mean difference patients - controls in training, or slope of intensity on age, (H, W, D)."""
    target = task_target(store.index, task, diagnoses)
    rows = store.rows("train")
    rows = rows[np.isfinite(target[rows])]
    note_fitted(f"effect of {task}", store.index["subject"].iloc[rows])
    centred = target[rows] - target[rows].mean()
    # The slope on a 0/1 target is the difference of the group means, so one formula serves both.
    slope = np.zeros(store.shape)
    for piece, weights in zip(batches(rows, 64), batches(centred, 64), strict=True):
        slope += np.tensordot(weights, store.volumes[piece].astype(np.float64), axes=1)
    slope /= (centred**2).sum()
    return slope


class Gallery:
    """The split's real scans, to look up whose scan an edited one resembles most.

    Parameters
    ----------
    store
        The packed scans.
    split
        Split of the edited scans.
    """

    def __init__(self, store: VolumeStore, split: str) -> None:
        self.rows = store.rows(split)
        self.subjects = store.index["subject"].to_numpy(str)
        self.inside = store.common_mask(self.rows)
        n_bytes = len(self.rows) * int(self.inside.sum()) * np.dtype(np.float32).itemsize
        # as they are stored, where that many are not held as float32
        kind = np.float32 if n_bytes <= HELD_BYTES else np.float16
        self.values = store.intensities(self.rows, self.inside, kind)
        every = np.arange(len(self.rows))
        self._pieces = batches(every, max(1, len(every)) if kind is np.float32 else ROWS_AT_A_TIME)
        self.norms = np.concatenate([(self._float(one) ** 2).sum(1) for one in self._pieces])

    def _float(self, piece: np.ndarray) -> np.ndarray:
        """Intensities of some scans of the split, (n, V) float32; of all, without a copy."""
        whole = len(piece) == len(self.values)
        return (self.values if whole else self.values[piece]).astype(np.float32, copy=False)

    def identity_kept(self, x_hat: Tensor, rows: np.ndarray) -> np.ndarray:
        """1 where the nearest other scan is the same participant's, else 0; NaN if alone."""
        values = x_hat[:, 0].numpy()[:, self.inside]
        products = [2 * values @ self._float(one).T for one in self._pieces]
        distance = self.norms - np.concatenate(products, axis=1)
        distance[self.rows[None, :] == rows[:, None]] = np.inf
        same = self.subjects[self.rows][None, :] == self.subjects[rows][:, None]
        has_other = (same & (self.rows[None, :] != rows[:, None])).any(1)
        nearest = same[np.arange(len(rows)), distance.argmin(1)].astype(float)
        return np.where(has_other, nearest, np.nan)


def summarise_trends(scores: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation with the amount, monotone or not, and slope, of each scan's responses."""
    rows: list[dict[str, object]] = []
    selected = scores[scores["metric"].isin(TREND_METRICS)]
    keys = ["method", "task", "metric", "attribute", "judge", "scan"]
    for names, curve in selected.groupby(keys, sort=False):
        method, task, metric, attribute, judge, scan = names
        curve = curve.sort_values("amount")
        if len(curve) < 3:
            continue
        amount, response = curve["amount"].to_numpy(float), curve["value"].to_numpy(float)
        common = {"method": method, "task": task, "attribute": attribute, "judge": judge}
        common |= {"scan": scan, "subject": curve["subject"].iloc[0]}
        common |= {"amount": np.nan, "region": "", "note": ""}
        if metric == "response":
            slope = float(amount @ response / (amount @ amount))
            rows.append(common | {"metric": "response_slope", "value": slope})
        if metric == "response" and attribute != task:
            continue  # an off-target response need not follow the amount
        ranks = pd.Series(response).rank().to_numpy()
        flat = ranks.std() == 0
        spearman = np.nan if flat else np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]
        sign = -1 if metric == "hippocampus_change_ml" else 1
        monotone = float((sign * np.diff(response) > 0).all())
        stem = str(metric).removesuffix("_ml")
        rows.append(common | {"metric": f"{stem}_spearman", "value": spearman})
        rows.append(common | {"metric": f"{stem}_monotone", "value": monotone})
    return pd.DataFrame(rows)
