"""Directions in code space along which a scan is edited.

The paper moves a code along the weights of a probe. Weights say what reads an attribute off the
code, and not how the code changes with it (Haufe et al. 2014, NeuroImage 87:96-110): they point as
well along what merely has to be subtracted for a clean reading. The targeted direction goes as
codes change with the attribute between participants, and leaves the readings of the others where
they are. The direction of the effect is that change alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from ldae.evaluation.probes.fitting import Probe, is_classification
from ldae.evaluation.probes.groups import subject_weights
from ldae.leakage import note_fitted

logger = logging.getLogger(__name__)

PROBE, TARGETED, EFFECT = "probe", "targeted", "effect"
"""Kinds of edits (:attr:`ldae.methods.Method.edit`): along the weights of the attribute's probe, as
in the paper; along its effect while the probes of the other attributes stay where they are; along
its effect on codes of participants who are alike in the other attributes."""

CHANCE = 0.01
"""Probability with which a score without any information is above that of chance. A probe passes
more often: its score is the best of its grid."""

LEAST_APART = 0.01
"""Least eigenvalue of the correlations between probes' readings. Two probes that correlate above
0.99 are one: what would move one without the other is noise of their fits."""


@dataclass(frozen=True)
class Direction:
    """A direction of edits in standardised code space.

    Attributes
    ----------
    task
        Attribute that rises along it.
    vector
        Of any length but zero, (dim,).
    mean, std
        Standardisation of the code, (dim,).
    """

    task: str
    vector: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of_probe(cls, probe: Probe) -> Direction:
        """The paper's: the probe's weights."""
        return cls(probe.task, probe.weights, probe.mean, probe.std)

    def __post_init__(self) -> None:
        if not np.linalg.norm(self.vector) > 0:
            raise ValueError(f"there is no direction of {self.task}: all its entries are zero")


def manipulated_code(y: Tensor, direction: Direction, amount: float) -> Tensor:
    """Code y' = std ⊙ ((y - mean)/std + a·√dim·δ/‖δ‖) + mean, shape of `y` (B, dim).

    Parameters
    ----------
    y
        Semantic codes, (B, dim).
    direction
        δ and the standardisation; the paper's δ are the probe's weights w.
    amount
        a, in root mean square standard deviations per entry of the code; positive is towards AD, or
        towards old age.
    """
    delta, mean, std = (
        torch.as_tensor(v, dtype=y.dtype, device=y.device)
        for v in (direction.vector, direction.mean, direction.std)
    )
    shifted: Tensor = (y - mean) / std + amount * len(delta) ** 0.5 * delta / delta.norm()
    return std * shifted + mean


def find_directions(
    kind: str,
    codes: np.ndarray,
    subjects: np.ndarray,
    targets: Mapping[str, np.ndarray],
    probes: Mapping[str, Probe],
) -> dict[str, Direction]:
    """Direction of each attribute's edit, for one of the kinds above.

    Parameters
    ----------
    kind
        Of the edit.
    codes, subjects, targets, probes
        As for :func:`targeted_directions`.

    Raises
    ------
    ValueError
        If there is no such kind, or as :func:`targeted_directions`.
    """
    if kind == PROBE:
        return {task: Direction.of_probe(probe) for task, probe in probes.items()}
    if kind == EFFECT:
        return effect_directions(codes, subjects, {task: targets[task] for task in probes})
    if kind == TARGETED:
        return targeted_directions(codes, subjects, targets, probes)
    raise ValueError(f"{kind} is no kind of edit: {PROBE}, {TARGETED} or {EFFECT}")


def effect_directions(
    codes: np.ndarray, subjects: np.ndarray, targets: Mapping[str, np.ndarray]
) -> dict[str, Direction]:
    """What each attribute does to codes of participants who are alike in the others.

    The effect β_k of an attribute on the standardised code comes from the regression of codes on
    all attributes. What disease and age have in common stays in both: a brain with more disease
    looks older, too. :func:`targeted_directions` take that out, and with it most of what the
    attribute does (docs/tried/edits.md).

    Parameters
    ----------
    codes, subjects, targets
        As for :func:`targeted_directions`.

    Raises
    ------
    ValueError
        If codes are not finite or fewer than two.
    """
    standard, mean, std = _standardised(codes, subjects)
    effects = _effects(standard, targets, subjects)
    return {task: Direction(task, effect, mean, std) for task, effect in effects.items()}


def _standardised(
    codes: np.ndarray, subjects: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardised codes (N, dim), and their mean and SD, (dim,) each."""
    codes = np.asarray(codes, np.float64)
    if len(codes) < 2 or not np.isfinite(codes).all():
        raise ValueError(f"need at least two codes, all finite, got {len(codes)}")
    note_fitted("effects and covariance of codes", np.asarray(subjects, str))
    mean, std = codes.mean(0), codes.std(0)
    std = np.where(std > 1e-12, std, 1.0)
    return (codes - mean) / std, mean, std


def targeted_directions(
    codes: np.ndarray,
    subjects: np.ndarray,
    targets: Mapping[str, np.ndarray],
    probes: Mapping[str, Probe],
) -> dict[str, Direction]:
    """What each attribute does to codes, without what the probes of the others would read.

    Only probes that read their attribute are held: whose cross-validated score is above chance.
    The weights of one that does not are noise, and leaving them where they are takes a random part
    of the effect away (docs/tried/edits.md).

    The effect β_k of an attribute on the standardised code comes from the regression of codes on
    all attributes. Its direction is the move δ_k that is nearest to β_k, in the covariance Σ of
    the standardised codes (shrunk; Ledoit & Wolf 2004, J. Multivar. Anal. 88:365-411), among those
    that leave the other probes, with weights W in the same standardisation, where they are
    (Wᵀ δ_k = 0): δ_k = β_k - Σ W (Wᵀ Σ W)⁻¹ Wᵀ β_k.

    Chosen on validation participants of the default study over the smallest move that raises the
    own probe by one and holds the others, Σ V (Vᵀ Σ V)⁻¹ e_k with all weights V: the judges of
    volumes hardly saw those edits of disease, and with Σ within the groups they saw the opposite.

    Parameters
    ----------
    codes
        Codes of the participants who gave the probes, (N, dim).
    subjects
        Subject of each row, (N,); each participant weighs one in the regression.
    targets
        Attribute of each row by name, (N,); NaN where it has none.
    probes
        By attribute.

    Returns
    -------
    dict
        Direction by attribute. An attribute whose probe reads nothing, or the same as that of the
        edited one or of others that are held, is not held; the log says so.

    Raises
    ------
    ValueError
        If codes are not finite or fewer than two, or a probe reads nothing.
    """
    from sklearn.covariance import LedoitWolf

    standard, mean, std = _standardised(codes, subjects)
    covariance = LedoitWolf(store_precision=False).fit(standard).covariance_
    weights = {task: probe.weights * std / probe.std for task, probe in probes.items()}
    for task, w in weights.items():
        if not w @ covariance @ w > 0:
            raise ValueError(f"the probe of {task} reads nothing: it is the same for every code")
    effects = _effects(standard, {task: targets[task] for task in probes}, subjects)
    read = {task for task, probe in probes.items() if _reads(probe, targets[task], subjects)}
    for task in probes.keys() - read:
        logger.info("edits do not hold %s: its probe is not above chance", task)
    directions = {}
    for task, effect in effects.items():
        delta = effect
        of_read = {name: w for name, w in weights.items() if name == task or name in read}
        held = _attributes_apart(task, of_read, covariance)[1:]
        if held:
            w = np.stack([weights[name] for name in held], axis=1)
            pattern = covariance @ w
            delta = effect - pattern @ np.linalg.solve(w.T @ pattern, w.T @ effect)
        if not weights[task] @ delta > 0:
            logger.warning("the targeted edit of %s does not raise its own probe", task)
        directions[task] = Direction(task, delta, mean, std)
    return directions


def _reads(probe: Probe, target: np.ndarray, subjects: np.ndarray) -> bool:
    """Whether a probe's cross-validated score is above chance for so many participants.

    The limit of an AUC is the upper 1 % (`CHANCE`) of that of a score without any information,
    whose SD is that of the Mann-Whitney statistic; the limit of the explained variance is the
    square of the upper 1 % of a correlation of nothing.
    """
    known = np.isfinite(target)
    target, subjects = target[known], subjects[known]
    z = float(norm.isf(CHANCE))
    if is_classification(probe.task):
        n = [len(np.unique(subjects[target == label])) for label in (0.0, 1.0)]
        deviation = np.sqrt((sum(n) + 1) / (12 * n[0] * n[1]))
        return bool(probe.cv_score > 0.5 + z * deviation)
    weights = subject_weights(subjects)
    mean = np.average(target, weights=weights)
    explained = 1 + probe.cv_score / np.average((target - mean) ** 2, weights=weights)
    return bool(explained > z**2 / len(np.unique(subjects)))


def _effects(
    standard: np.ndarray, targets: Mapping[str, np.ndarray], subjects: np.ndarray
) -> dict[str, np.ndarray]:
    """Change of the standardised code with each attribute, the others as they are, (dim,) each.

    Least squares over participants; those without an attribute have a level of their own.
    """
    columns = [np.ones(len(standard))]
    place = {}
    for task, target in targets.items():
        known = np.isfinite(target)
        place[task] = len(columns)
        centred = np.where(known, target - target[known].mean(), 0.0)
        columns.append(centred / (centred.std() or 1.0))
        if not known.all():
            columns.append((~known).astype(float))
    root = np.sqrt(subject_weights(subjects))[:, None]
    slopes = np.linalg.lstsq(np.stack(columns, axis=1) * root, standard * root, rcond=None)[0]
    return {task: slopes[k] for task, k in place.items()}


def _attributes_apart(
    task: str, weights: Mapping[str, np.ndarray], covariance: np.ndarray
) -> list[str]:
    """The edited attribute, and the others whose probes read something of their own."""
    kept = [task]
    for other in weights:
        if other == task:
            continue
        w = np.stack([weights[name] for name in [*kept, other]], axis=1)
        readings = w.T @ covariance @ w
        deviation = np.sqrt(np.diag(readings))
        if np.linalg.eigvalsh(readings / np.outer(deviation, deviation))[0] < LEAST_APART:
            logger.warning(
                "editing %s cannot hold %s: its probe reads what that of %s reads",
                task, other, " and ".join(kept),
            )  # fmt: skip
        else:
            kept.append(other)
    return kept
