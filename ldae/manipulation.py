"""Moving a scan along a probe's direction in code space, and measuring what moved.

The protocol keeps apart what gives the direction and what judges the edit: the direction comes from
one half of the training people, the judges from the other half, and one kind of judge never sees a
code.  A judge's response is counted in deviations of its own score between people, so responses to
different attributes, and of different judges, can be compared.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldae.codes import REGION_COLUMNS, VoxelPCA, batches, learn_voxel_pca
from ldae.inference import encode_stochastic, sample
from ldae.probe_measures import AD_VS_CN, AGE, SEX, weighted_auc, weighted_correlation
from ldae.probes import (
    Probe,
    fit_probe,
    is_classification,
    probe_tasks,
    subject_weights,
    task_target,
)
from ldae.provenance.fitted import note_fitted
from ldae.reconstruction import choose_rows
from ldae.regions import RegionAtlas, measure_regions

if TYPE_CHECKING:
    from ldae.models import DiffusionAutoencoder
    from ldae.volumes import VolumeStore

logger = logging.getLogger(__name__)

ATTRIBUTES = (AD_VS_CN, AGE, SEX)
"""What is judged in every edit; an edit's own attribute is on target, the others off target."""

CODE_JUDGE, VOXEL_JUDGE, VOLUME_JUDGE = "code", "voxels", "volumes"
"""Probe of the re-encoded code; and two that never saw one, of voxel principal components and of
the volumes of structures."""

TREND_METRICS = ("ventricle_change_ml", "hippocampus_change_ml", "response")
"""Responses whose dependence on the amount is summed up by rank correlation and monotone share."""

GROUP_DIFFERENCE = "group_difference"
"""Trivial edit: add a multiple of the training people's mean difference, the same for everyone."""


class Effects(Protocol):
    """True effects of the attributes on scans (:class:`ldae.simulation.effects.TrueEffects`)."""

    maps: dict[str, np.ndarray]

    def of(self, attribute: str, scans: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Base images and difference maps, (k, H, W, D) each."""
        ...


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


@dataclass(frozen=True)
class Judge:
    """A probe that scores edits, and what its score is worth.

    Attributes
    ----------
    probe
        Fitted on the second half of the training people.
    deviation
        Deviation of its score over the first half, whom it has not seen.
    skill
        Its area under the ROC curve (of age: its correlation) on the first half.
    """

    probe: Probe
    deviation: float
    skill: float

    def score(self, codes: np.ndarray) -> np.ndarray:
        """Score (N,) in deviations between people."""
        return self.probe.score(codes) / self.deviation

    @property
    def note(self) -> str:
        """What the judge is worth, in words."""
        name = "AUC" if is_classification(self.probe.task) else "correlation"
        return f"judge's own {name} on people it was not fitted on: {self.skill:.2f}"


@torch.inference_mode()
def manipulate_attribute(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    codes: Mapping[str, np.ndarray],
    volumes: np.ndarray,
    atlas: RegionAtlas,
    effects: Effects | None,
    *,
    amounts: Sequence[float],
    n_steps: int,
    n_scans: int | None,
    c_grid: Sequence[float],
    alpha_grid: Sequence[float],
    n_folds: int,
    pca_components: int,
    batch_size: int,
    seed: int,
    split: str = "test",
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
    amounts
        Values of a; 0 is added if it is missing.
    n_steps
        Sampler steps, each way.
    n_scans
        Scans edited, from as many people as possible; None is the whole split.
    c_grid, alpha_grid, n_folds, pca_components
        As for the probes.
    batch_size, seed, split
        As for :func:`ldae.reconstruction.evaluate_reconstruction`.

    Returns
    -------
    tuple
        Scores (:mod:`ldae.scores`) for every task the data allow, and arrays for the figures, of
        one scan and the first model: ``amounts`` (k,), ``scan``, ``original`` and ``mask``
        (H, W, D), ``<task>`` (k, H, W, D), ``<task>_group`` and, if known, ``<task>_truth``
        (H, W, D).
    """
    parts: list[pd.DataFrame] = []
    shown: dict[str, np.ndarray] = {}
    for name, model in models.items():
        scores, examples = _manipulate_model(
            store,
            model,
            codes[name],
            volumes,
            atlas,
            effects,
            amounts=amounts,
            n_steps=n_steps,
            n_scans=n_scans,
            c_grid=c_grid,
            alpha_grid=alpha_grid,
            n_folds=n_folds,
            pca_components=pca_components,
            batch_size=batch_size,
            seed=seed,
            split=split,
        )
        if parts:  # the training people's difference is no model's: once is enough
            scores = scores[scores["method"] != GROUP_DIFFERENCE]
        parts.append(scores)
        shown = shown or examples
    return pd.concat(parts, ignore_index=True), shown


@torch.inference_mode()
def _manipulate_model(
    store: VolumeStore,
    model: DiffusionAutoencoder,
    codes: np.ndarray,
    volumes: np.ndarray,
    atlas: RegionAtlas,
    effects: Effects | None,
    *,
    amounts: Sequence[float],
    n_steps: int,
    n_scans: int | None,
    c_grid: Sequence[float],
    alpha_grid: Sequence[float],
    n_folds: int,
    pca_components: int,
    batch_size: int,
    seed: int,
    split: str,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Scores and examples of one model; see :func:`manipulate_attribute`."""
    tasks = probe_tasks(store.index)
    if not tasks:
        raise ValueError("there is neither a diagnosis nor an age to edit")
    if not len(codes) == len(volumes) == len(store.index):
        raise ValueError(
            f"{len(codes)} codes and {len(volumes)} volumes for {len(store.index)} scans"
        )
    doses = sorted({0.0, *map(float, amounts)})
    half_a, half_b = halve_subjects(store.index, seed)
    pca = learn_voxel_pca(store, half_b, pca_components, seed)
    seen = {
        CODE_JUDGE: (codes[half_a], codes[half_b]),
        VOXEL_JUDGE: (pca.transform(store.volumes[half_a]), pca.transform(store.volumes[half_b])),
        VOLUME_JUDGE: (volumes[half_a], volumes[half_b]),
    }
    fitting = _Fitting(store.index, c_grid, alpha_grid, n_folds, seed)
    direction = {task: fitting.fit(task, half_a, codes[half_a]) for task in tasks}
    judges = {
        (kind, attribute): fitting.judge(attribute, half_a, half_b, *seen[kind])
        for kind in seen
        for attribute in ATTRIBUTES
        if fitting.possible(attribute, half_a) and fitting.possible(attribute, half_b)
    }
    group = {task: group_effect(store, task) for task in tasks}
    parts = [
        _people_slopes(fitting, task, judges, seen, half_a).assign(task=task) for task in tasks
    ]

    rows = choose_rows(store.index, split, n_scans, seed)
    gallery = _Gallery(store, split)
    examples: dict[str, np.ndarray] = {}
    for piece in batches(rows, batch_size):
        x, mask = store.batch(piece), store.mask_batch(piece)
        names = store.index["scan"].to_numpy(str)[piece].tolist()
        on_device = x.to(model.device)
        y = model.semantic_code(on_device)
        if y is None:
            raise ValueError(f"{model.name} has no semantic code to edit")
        z_0 = model.to_latent(on_device)
        z_T = encode_stochastic(model, z_0, y, n_steps)  # noqa: N806
        unedited = model.from_latent(sample(model, z_T, y, n_steps)).cpu()
        base = _measure(unedited, mask, model, atlas, judges, pca)
        passed = None if effects is None else model.from_latent(z_0).cpu()
        for task in tasks:
            truth = None
            if effects is not None and task in effects.maps:
                healthy, truth = effects.of(task, names)
                ceiling = _ceiling(model, x, mask, passed, healthy, truth)
                trivial = _correlations(np.broadcast_to(group[task], truth.shape), truth, mask)
                frames = [
                    _frame("truth_ceiling", ceiling),
                    _frame("truth_correlation", trivial, method=GROUP_DIFFERENCE),
                ]
                parts.append(_named(frames, store.index, piece).assign(task=task))
            edited = {0.0: unedited}
            for a in doses:
                if a != 0:
                    moved = manipulated_code(y, direction[task], a)
                    edited[a] = model.from_latent(sample(model, z_T, moved, n_steps)).cpu()
                frames = _compare(
                    _measure(edited[a], mask, model, atlas, judges, pca) if a != 0 else base, base
                )
                frames.append(_frame("identity_kept", gallery.identity_kept(edited[a], piece)))
                if a != 0:
                    difference = (edited[a] - unedited)[:, 0].numpy()
                    frames += _spread(difference, mask, atlas.affected)
                    frames += _agreement(difference * np.sign(a), group[task], truth, mask)
                parts.append(_named(frames, store.index, piece).assign(task=task, amount=a))
            if not {"scan", task} <= set(examples):
                examples |= {
                    "scan": np.array(names[0]),
                    "amounts": np.array(doses),
                    "original": x[0, 0].numpy(),
                    "mask": mask[0, 0].numpy(),
                    task: np.stack([edited[a][0, 0].numpy() for a in doses]),
                    f"{task}_group": group[task].astype(np.float32),
                }
                if truth is not None:
                    examples[f"{task}_truth"] = truth[0]
        logger.info("edited %d of %d scans", np.searchsorted(rows, piece[-1]) + 1, len(rows))
    scores = pd.concat(parts, ignore_index=True)
    for column in ("attribute", "judge", "region", "note"):
        scores[column] = scores[column].fillna("")
    scores = pd.concat([scores, _trends(scores)], ignore_index=True)
    scores["method"] = scores["method"].fillna(model.name)
    steps = np.where(scores["method"] == GROUP_DIFFERENCE, 0, n_steps)
    notes = {
        (kind, attribute): judge.note for (kind, attribute), judge in judges.items()
    }  # of the slopes, from which the ratios are made
    pairs = zip(scores["judge"], scores["attribute"], strict=True)
    slopes = scores["metric"].isin(["response_slope", "people_slope"])
    noted = pd.Series([notes.get(pair, "") for pair in pairs], index=scores.index)
    scores["note"] = scores["note"].where(~slopes, noted)
    return scores.assign(steps=steps), examples


class _Fitting:
    """Probes of the training people's attributes, with one set of settings."""

    def __init__(
        self,
        index: pd.DataFrame,
        c_grid: Sequence[float],
        alpha_grid: Sequence[float],
        n_folds: int,
        seed: int,
    ) -> None:
        self.subjects = index["subject"].to_numpy(str)
        self.scans = index["scan"].to_numpy(str)
        self.target = {attribute: task_target(index, attribute) for attribute in ATTRIBUTES}
        self.c_grid, self.alpha_grid, self.n_folds, self.seed = c_grid, alpha_grid, n_folds, seed

    def possible(self, attribute: str, rows: np.ndarray) -> bool:
        """Whether the rows hold at least two people of each class, or two ages."""
        target = self.target[attribute][rows]
        known = np.isfinite(target)
        if not is_classification(attribute):
            return len(np.unique(target[known])) > 1
        people = [len(set(self.subjects[rows][known & (target == label)])) for label in (0, 1)]
        return min(people) > 1

    def fit(self, attribute: str, rows: np.ndarray, x: np.ndarray) -> Probe:
        """Probe of an attribute on the codes `x` of `rows`."""
        target = self.target[attribute][rows]
        known = np.isfinite(target)
        grid = self.c_grid if is_classification(attribute) else self.alpha_grid
        return fit_probe(
            x[known], target[known], self.subjects[rows][known], attribute, grid, self.n_folds,
            self.seed,
        )  # fmt: skip

    def judge(
        self,
        attribute: str,
        unseen: np.ndarray,
        rows: np.ndarray,
        x_unseen: np.ndarray,
        x: np.ndarray,
    ) -> Judge:
        """Judge fitted on `rows`, weighed on the rows `unseen`."""
        probe = self.fit(attribute, rows, x)
        score = probe.score(x_unseen)
        target = self.target[attribute][unseen]
        known = np.isfinite(target)
        both = np.column_stack([target, score])[known]
        weights = subject_weights(self.subjects[unseen])
        measure = weighted_auc if is_classification(attribute) else weighted_correlation
        deviation = float(np.sqrt(np.cov(score, aweights=weights)))
        return Judge(probe, max(deviation, 1e-12), float(measure(both, weights[None, known])[0]))


Measures = dict[tuple[str, str, str], np.ndarray]
"""(metric, attribute, judge) to one number per scan."""


def _measure(
    x: Tensor,
    mask: Tensor,
    model: DiffusionAutoencoder,
    atlas: RegionAtlas,
    judges: Mapping[tuple[str, str], Judge],
    pca: VoxelPCA,
) -> Measures:
    """Volumes and judges' scores of scans, in absolute terms."""
    again = model.semantic_code(x.to(model.device))
    if again is None:
        raise ValueError(f"{model.name} has no semantic code")
    volumes = measure_regions(x, mask, atlas)
    seen = {
        CODE_JUDGE: again.float().cpu().numpy(),
        VOXEL_JUDGE: pca.transform(x[:, 0].numpy()),
        VOLUME_JUDGE: np.stack([volumes[name] for name in REGION_COLUMNS], axis=1),
    }
    measures: Measures = {
        ("ventricle_change_ml", "", ""): volumes["ventricles"],
        ("hippocampus_change_ml", "", ""): volumes["hippocampi"],
    }
    for (kind, attribute), judge in judges.items():
        score = judge.score(seen[kind])
        measures["response", attribute, kind] = score
        if attribute == AGE:
            measures["response_years", attribute, kind] = score * judge.deviation
    return measures


def _compare(measures: Measures, base: Measures) -> list[pd.DataFrame]:
    """Changes against the unedited decoding, as scores."""
    return [
        _frame(metric, values - base[metric, attribute, kind], attribute=attribute, judge=kind)
        for (metric, attribute, kind), values in measures.items()
    ]


def _frame(metric: str, values: np.ndarray, **columns: str) -> pd.DataFrame:
    values = np.asarray(values, dtype=np.float64)
    named = {"metric": metric, "value": values, **columns}
    return pd.DataFrame({"sample": np.arange(len(values)), **named})


def _named(frames: Sequence[pd.DataFrame], index: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Scores of a batch with the scan and subject of each sample in place of its position."""
    scores = pd.concat(frames, ignore_index=True)
    for column in ("attribute", "judge", "region", "note", "method", "amount"):
        if column not in scores:
            scores[column] = np.nan if column == "amount" else None
    named = index.iloc[rows[scores["sample"].to_numpy()]]
    return scores.drop(columns="sample").assign(
        scan=named["scan"].to_numpy(), subject=named["subject"].to_numpy()
    )


def _spread(difference: np.ndarray, mask: Tensor, affected: np.ndarray) -> list[pd.DataFrame]:
    """Mean absolute change inside the affected regions and in the rest of the brain."""
    inside = mask[:, 0].numpy()
    means = {}
    for region, where in (("affected", inside & affected), ("rest", inside & ~affected)):
        n = where.sum((1, 2, 3))
        means[region] = (np.abs(difference) * where).sum((1, 2, 3)) / np.maximum(n, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = means["rest"] / means["affected"]
    frames = [_frame("change", values, region=region) for region, values in means.items()]
    return [*frames, _frame("change_ratio", np.where(np.isfinite(ratio), ratio, np.nan))]


def _agreement(
    difference: np.ndarray, group: np.ndarray, truth: np.ndarray | None, mask: Tensor
) -> list[pd.DataFrame]:
    """Correlation of difference maps (towards more of the attribute) with group and truth."""
    frames = [
        _frame(
            "map_correlation",
            _correlations(difference, np.broadcast_to(group, mask[:, 0].shape), mask),
        )
    ]
    if truth is not None:
        correlation = _correlations(difference, truth, mask)
        agrees = np.where(np.isfinite(correlation), correlation > 0, np.nan)
        frames += [_frame("truth_correlation", correlation), _frame("truth_agreement", agrees)]
    return frames


def _correlations(a: np.ndarray, b: np.ndarray, mask: Tensor) -> np.ndarray:
    """Pearson correlation of each pair of maps (B, H, W, D) inside its mask; NaN if one is flat."""
    result = []
    for one, other, inside in zip(a, b, mask[:, 0].numpy(), strict=True):
        u, v = one[inside], other[inside]
        flat = u.std() == 0 or v.std() == 0
        result.append(np.nan if flat else float(np.corrcoef(u, v)[0, 1]))
    return np.array(result)


def _ceiling(
    model: DiffusionAutoencoder,
    x: Tensor,
    mask: Tensor,
    passed: Tensor | None,
    healthy: np.ndarray,
    truth: np.ndarray,
) -> np.ndarray:
    """How much of the true map comes through the autoencoder: correlation of each scan.

    The true effect, brought to the scan's intensities by regression of the scan on its noise-free
    rendering, is added to the scan; scan and changed scan are encoded and decoded.
    """
    changed = x.clone()
    for i, inside in enumerate(mask[:, 0].numpy()):
        gain = np.polyfit(healthy[i][inside], x[i, 0].numpy()[inside], 1)[0]
        effect = torch.from_numpy(np.where(inside, gain * truth[i], 0).astype(np.float32))
        changed[i, 0] = (x[i, 0] + effect).clamp(0, 1)
    if passed is None:
        raise ValueError("the unchanged scans have not been decoded")
    through = model.from_latent(model.to_latent(changed.to(model.device))).cpu()
    return _correlations((through - passed)[:, 0].numpy(), truth, mask)


def group_effect(store: VolumeStore, task: str) -> np.ndarray:
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


def _people_slopes(
    fitting: _Fitting,
    task: str,
    judges: Mapping[tuple[str, str], Judge],
    seen: Mapping[str, tuple[np.ndarray, np.ndarray]],
    rows: np.ndarray,
) -> pd.DataFrame:
    """Each real person's part in the slope of the judges' scores on the target.

    The mean of the parts is the least-squares slope (of a 0/1 target: the difference of the group
    means): what an edit that does to a person what the attribute does to people would show.
    """
    target = fitting.target[task][rows]
    known = np.isfinite(target)
    centred = target[known] - target[known].mean()
    share = centred / np.mean(centred**2)
    parts = []
    for (kind, attribute), judge in judges.items():
        score = judge.score(seen[kind][0][known])
        part = {
            "scan": fitting.scans[rows][known],
            "subject": fitting.subjects[rows][known],
            "metric": "people_slope",
            "attribute": attribute,
            "judge": kind,
            "value": share * (score - score.mean()),  # the parts' mean is the slope either way
            "amount": np.nan,
            "split": "train",
        }
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


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
    """Rank correlation with the amount, monotone or not, and slope, of each scan's responses."""
    rows: list[dict[str, object]] = []
    selected = scores[scores["metric"].isin(TREND_METRICS)]
    keys = ["task", "metric", "attribute", "judge", "scan"]
    for (task, metric, attribute, judge, scan), curve in selected.groupby(keys, sort=False):
        curve = curve.sort_values("amount")
        if len(curve) < 3:
            continue
        amount, response = curve["amount"].to_numpy(float), curve["value"].to_numpy(float)
        common = {"task": task, "attribute": attribute, "judge": judge, "scan": scan}
        common |= {"subject": curve["subject"].iloc[0], "amount": np.nan, "region": "", "note": ""}
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
