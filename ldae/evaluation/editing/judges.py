"""Who judges an edit: probes of participants whom the edit's direction has not seen.

The training participants are halved. The first half gives the directions and weighs the judges, the
second fits the judges. A judge's score counts in SD between participants, so responses to
different attributes, and of different judges, can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ldae.data.diagnoses import Diagnoses
from ldae.evaluation.codes import VoxelPCA, learn_voxel_pca
from ldae.evaluation.probes.fitting import (
    Probe,
    fit_probe,
    is_classification,
    probe_tasks,
    task_target,
)
from ldae.evaluation.probes.groups import subject_weights
from ldae.statistics.measures import AD_VS_CN, AGE, SEX, weighted_auc, weighted_correlation

if TYPE_CHECKING:
    from ldae.data.volumes import VolumeStore

ATTRIBUTES = (AD_VS_CN, AGE, SEX)
"""What is judged in every edit; an edit's own attribute is on target, the others off target."""

CODE_JUDGE, VOXEL_JUDGE, VOLUME_JUDGE = "code", "voxels", "volumes"
"""Probe of the re-encoded code; and two that never saw one, of voxel principal components and of
the volumes of structures."""

Judges = dict[tuple[str, str], "Judge"]
"""Judges by kind and attribute."""


@dataclass(frozen=True)
class ProbeSettings:
    """How directions and judges are fitted: the study's own settings of probes.

    Attributes
    ----------
    c_grid, alpha_grid
        Candidates for logistic and ridge regularisation.
    n_folds
        Folds of the choice, grouped by subject.
    pca_components
        Of the voxel judge.
    diagnoses
        Words for patients and controls.
    tasks
        Attributes that are edited.
    """

    c_grid: Sequence[float]
    alpha_grid: Sequence[float]
    n_folds: int
    pca_components: int
    diagnoses: Diagnoses
    tasks: Sequence[str] = (AD_VS_CN, AGE)


@dataclass(frozen=True)
class Judge:
    """A probe that scores edits, and what its score is worth.

    Attributes
    ----------
    probe
        Fitted on the second half of the training participants.
    deviation
        SD of its score over the first half, whom it has not seen.
    skill
        Its area under the ROC curve (of age: its correlation) on the first half.
    """

    probe: Probe
    deviation: float
    skill: float

    def score(self, codes: np.ndarray) -> np.ndarray:
        """Score (N,) in SD between participants."""
        return self.probe.score(codes) / self.deviation

    @property
    def note(self) -> str:
        """What the judge is worth, in words."""
        name = "AUC" if is_classification(self.probe.task) else "correlation"
        return f"judge's own {name} on participants it was not fitted on: {self.skill:.2f}"


@dataclass(frozen=True)
class Panel:
    """All judges of one model's edits.

    Attributes
    ----------
    judges
        By kind and attribute.
    pca
        Makes the voxel judges' codes of a scan.
    participants
        Score of each judge on the first half's scans, in the order of :attr:`Halves.first`.
    """

    judges: Judges
    pca: VoxelPCA
    participants: Mapping[tuple[str, str], np.ndarray]

    @property
    def notes(self) -> dict[tuple[str, str], str]:
        """What each judge is worth, in words."""
        return {key: judge.note for key, judge in self.judges.items()}


class Halves:
    """The training participants in two halves, and the fits on them.

    Parameters
    ----------
    store
        The packed scans.
    volumes
        Volumes of structures of all scans in template space, (N, 6), ml.
    settings
        Of the probes.
    seed
        Of the halves, of the folds and of the principal components.
    """

    def __init__(
        self, store: VolumeStore, volumes: np.ndarray, settings: ProbeSettings, seed: int
    ) -> None:
        self.index = store.index
        self.settings, self.seed = settings, seed
        self.subjects = store.index["subject"].to_numpy(str)
        self.target = {
            attribute: task_target(store.index, attribute, settings.diagnoses)
            for attribute in ATTRIBUTES
        }
        self.first, self.second = halve_subjects(store.index, seed)
        self._pca = learn_voxel_pca(store, self.second, settings.pca_components, seed)
        voxels = [self._pca.codes(store, rows) for rows in (self.first, self.second)]
        self._without_code = {
            VOXEL_JUDGE: (voxels[0], voxels[1]),
            VOLUME_JUDGE: (volumes[self.first], volumes[self.second]),
        }
        self._judges, self._participants = self._fit_judges(self._without_code)

    def panel(self, codes: np.ndarray) -> Panel:
        """Judges of a model with these codes of all scans, (N, dim)."""
        judges, participants = self._fit_judges(
            {CODE_JUDGE: (codes[self.first], codes[self.second])}
        )
        return Panel(judges | self._judges, self._pca, participants | self._participants)

    def directing_probes(self, tasks: Sequence[str], codes: np.ndarray) -> dict[str, Probe]:
        """Probes of the first half by attribute, of the codes of all scans (N, dim).

        Those of the tasks, and of every other attribute that the first half knows.
        """
        known = [a for a in ATTRIBUTES if a in tasks or self._possible(a, self.first)]
        return {a: self._fit(a, self.first, codes[self.first]) for a in known}

    def editable(self) -> list[str]:
        """Attributes that are edited and that both halves know."""
        return [
            task
            for task in probe_tasks(self.index, self.settings.diagnoses)
            if task in self.settings.tasks
            and all(self._possible(task, rows) for rows in (self.first, self.second))
        ]

    def participant_slopes(self, task: str, panel: Panel) -> pd.DataFrame:
        """Each participant's part in the slope of the judges' scores on the target; first half.

        The mean of the parts is the least-squares slope; of a 0/1 target it is the difference of
        the group means. It is the slope that an ideal edit would produce: one that changes a
        participant exactly as the attribute differs between participants.
        """
        target = self.target[task][self.first]
        known = np.isfinite(target)
        named = self.index.iloc[self.first[known]]
        centred = target[known] - target[known].mean()
        share = centred / np.mean(centred**2)
        parts = []
        for (kind, attribute), scores in panel.participants.items():
            score = scores[known]
            part = {
                "scan": named["scan"].to_numpy(str),
                "subject": named["subject"].to_numpy(str),
                "metric": "participant_slope",
                "attribute": attribute,
                "judge": kind,
                "region": "",
                "value": share * (score - score.mean()),  # the parts' mean is the slope either way
                "amount": np.nan,
                "split": "train",
                "task": task,
            }
            parts.append(pd.DataFrame(part))
        return pd.concat(parts, ignore_index=True)

    def _possible(self, attribute: str, rows: np.ndarray) -> bool:
        """Whether the rows hold at least two participants of each class, or two ages."""
        target = self.target[attribute][rows]
        known = np.isfinite(target)
        if not is_classification(attribute):
            return len(np.unique(target[known])) > 1
        participants = [
            len(set(self.subjects[rows][known & (target == label)])) for label in (0, 1)
        ]
        return min(participants) > 1

    def _fit(self, attribute: str, rows: np.ndarray, x: np.ndarray) -> Probe:
        """Probe of an attribute on the codes `x` of `rows`."""
        target = self.target[attribute][rows]
        known = np.isfinite(target)
        grid = self.settings.c_grid if is_classification(attribute) else self.settings.alpha_grid
        return fit_probe(
            x[known], target[known], self.subjects[rows][known], attribute, grid,
            self.settings.n_folds, self.seed,
        )  # fmt: skip

    def _fit_judges(
        self, seen: Mapping[str, tuple[np.ndarray, np.ndarray]]
    ) -> tuple[Judges, dict[tuple[str, str], np.ndarray]]:
        """Judges by kind and attribute, from codes of the two halves; and the first half's scores.

        An attribute that either half does not know gets no judge.
        """
        judges: Judges = {}
        participants = {}
        for kind, (x_first, x_second) in seen.items():
            for attribute in ATTRIBUTES:
                if not all(self._possible(attribute, rows) for rows in (self.first, self.second)):
                    continue
                probe = self._fit(attribute, self.second, x_second)
                judges[kind, attribute] = self._weigh(probe, x_first)
                participants[kind, attribute] = judges[kind, attribute].score(x_first)
        return judges, participants

    def _weigh(self, probe: Probe, x: np.ndarray) -> Judge:
        """What a probe is worth on the first half, whose codes are `x`."""
        score = probe.score(x)
        target = self.target[probe.task][self.first]
        known = np.isfinite(target)
        both = np.column_stack([target, score])[known]
        weights = subject_weights(self.subjects[self.first])
        measure = weighted_auc if is_classification(probe.task) else weighted_correlation
        deviation = float(np.sqrt(np.cov(score, aweights=weights)))
        return Judge(probe, max(deviation, 1e-12), float(measure(both, weights[None, known])[0]))


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
    participants = train.drop_duplicates("subject")[["subject", "diagnosis"]]
    rng = np.random.default_rng(seed)
    shuffled = participants.iloc[rng.permutation(len(participants))].sort_values(
        "diagnosis", kind="stable"
    )
    first = set(shuffled["subject"].iloc[::2])
    in_first = train["subject"].isin(first).to_numpy()
    rows = train.index.to_numpy()
    return rows[in_first], rows[~in_first]
