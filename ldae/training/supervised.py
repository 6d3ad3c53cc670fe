"""Training of the supervised baseline: the semantic encoder, trained on the labels."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from typing_extensions import override

from ldae.data.diagnoses import Diagnoses
from ldae.data.volumes import VolumeStore
from ldae.leakage import note_fitted
from ldae.networks.assembly import EncoderWithHeads, save_encoder_with_heads
from ldae.networks.encoders import encoder_architecture
from ldae.training.batches import Batch
from ldae.training.encoder_start import prepare_encoder
from ldae.training.fit import file_identity, fingerprint, fit, resolve_steps
from ldae.training.job import Sections, TrainingData, TrainingJob
from ldae.training.module import AveragedTraining

# If no scan of a batch has a label, the loss is 0 / TINY = 0.
TINY = torch.finfo(torch.float32).tiny


def supervised_targets(store: VolumeStore, diagnoses: Diagnoses) -> dict[str, np.ndarray]:
    """Targets of all scans by task; NaN for scans without one.

    Parameters
    ----------
    store
        The packed scans.
    diagnoses
        Words for patients and controls.

    Returns
    -------
    dict
        ``ad_vs_cn``: 1 for patients and 0 for controls, present if the training split has both;
        ``age``: z-score by the training split, present if the age varies there.
    """
    index, train = store.index, store.rows("train")
    targets = {}
    label = diagnoses.target(index["diagnosis"]).astype(np.float32)
    if {0.0, 1.0} <= set(label[train]):
        targets["ad_vs_cn"] = label
    age = index["age"].to_numpy(dtype=np.float32)
    deviation = np.nanstd(age[train])
    if deviation > 0:
        targets["age"] = (age - np.nanmean(age[train])) / deviation
    return targets


class SupervisedTraining(AveragedTraining):
    """Cross-entropy for patients and controls plus squared error for the standardised age.

    Parameters
    ----------
    network
        Encoder with one head per task.
    store
        The packed scans.
    targets
        From :func:`supervised_targets`.
    settings, seed
        See :class:`AveragedTraining`.
    """

    def __init__(
        self,
        network: EncoderWithHeads,
        store: VolumeStore,
        targets: dict[str, np.ndarray],
        settings: dict[str, Any],
        seed: int,
    ) -> None:
        super().__init__(network, store.rows("train"), store.rows("val"), settings, seed)
        note_fitted("supervised", store.index["subject"].iloc[self.train_rows])
        self.store = store
        self.targets = targets

    @override
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        mine = rows[part]
        batch = {"x": self.store.batch(mine)}
        for task, values in self.targets.items():
            batch[task] = torch.from_numpy(values[mine])
            # the share is that of the whole batch, so that means over its parts are correct
            known = np.count_nonzero(~np.isnan(values[rows])) / len(rows)
            batch[f"{task}_known"] = torch.full((len(mine),), known, dtype=torch.float32)
        return batch

    @override
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        for task, output in network(batch["x"]).items():
            target = batch[task]
            known = ~target.isnan()
            error = F.binary_cross_entropy_with_logits if task == "ad_vs_cn" else F.mse_loss
            # without any label in the batch the sum is 0, whereas the mean would be NaN
            total = error(output[known], target[known], reduction="sum")
            losses[task] = total / batch[f"{task}_known"].sum().clamp_min(TINY)
        return losses | {"loss": torch.stack(list(losses.values())).sum()}

    @override
    def codes(self, network: nn.Module, rows: np.ndarray) -> Tensor:
        y: Tensor = network.encoder(self.store.batch(rows).to(self.device))  # type: ignore[operator]
        return y


def train_supervised(data: TrainingData, sections: Sections, job: TrainingJob) -> None:
    """Train a semantic encoder on the labels and save its averaged weights.

    Parameters
    ----------
    data
        The packed scans.
    sections
        Config sections ``supervised``, ``encoder`` and ``cohort``.
    job
        Seed and output files of the training.
    """
    torch.manual_seed(job.seed)
    store, encoder = data.store, sections["encoder"]
    settings = resolve_steps(sections["supervised"], len(store.rows("train")))
    diagnoses = Diagnoses(**sections["cohort"]["diagnoses"])
    targets = supervised_targets(store, diagnoses)
    network = EncoderWithHeads(encoder_architecture(encoder, store.shape), list(targets))
    prepare_encoder(network.encoder, encoder, store)
    module = SupervisedTraining(network, store, targets, settings, job.seed)
    weights = file_identity(encoder["pretrained"])
    identity = fingerprint(job, settings, encoder, asdict(diagnoses), weights, store.digest())
    fit(module, "train_supervised", job, identity, save_encoder_with_heads)
