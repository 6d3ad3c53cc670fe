"""Training of the residual that is added to the average of two visits for interpolation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ldae.data.latents import LatentStore
from ldae.data.triples import Triple, find_triples
from ldae.data.volumes import VolumeStore
from ldae.leakage import note_fitted
from ldae.networks.residual import VisitResidual, Visits, average_visits, save_residual
from ldae.training.batches import Batch
from ldae.training.fit import fingerprint, fit, fit_nothing, resolve_steps
from ldae.training.job import Sections, TrainingData, TrainingJob
from ldae.training.module import AveragedTraining
from ldae.training.standard import measure_standard

logger = logging.getLogger(__name__)


class ResidualTraining(AveragedTraining):
    """Squared error between x̂ and the real middle scan inside its mask, over triples of visits.

    The rows of this training are triples, not scans.

    Parameters
    ----------
    network
        Network to train.
    store, latents
        Scans and their latents, in the same order.
    train, val
        Triples of the training and validation participants; `val` may be empty.
    settings, seed
        See :class:`AveragedTraining`.
    """

    def __init__(
        self,
        network: VisitResidual,
        store: VolumeStore,
        latents: LatentStore,
        train: list[Triple],
        val: list[Triple],
        settings: dict[str, Any],
        seed: int,
    ) -> None:
        # validation uses the first rows: shuffle them, so that they cover several participants
        val = [val[i] for i in np.random.default_rng(seed).permutation(len(val))]
        numbers = np.arange(len(train) + len(val))
        super().__init__(network, numbers[: len(train)], numbers[len(train) :], settings, seed)
        note_fitted("residual", (triple.subject for triple in train))
        self.store = store
        self.latents = latents
        self.triples = [*train, *val]

    @override
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        return batch_of_triples(self.store, self.latents, [self.triples[i] for i in rows[part]])

    @override
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        a, b = Visits(batch["x_a"], batch["z_a"]), Visits(batch["x_b"], batch["z_b"])
        real, mask = batch["real"], batch["mask"]
        mse = masked_mse(network(a, b, batch["alpha"], batch["gap"]), real, mask).mean()
        trivial = masked_mse(average_visits(a.x, b.x, batch["alpha"]), real, mask).mean()
        return {"loss": mse, "average_mse": trivial}


def batch_of_triples(store: VolumeStore, latents: LatentStore, chosen: Sequence[Triple]) -> Batch:
    """Scans and latents of triples of visits: both ends, and the real scan between them."""
    a, m, b = (np.array([t.rows[k] for t in chosen]) for k in range(3))
    return {
        "x_a": store.batch(a),
        "x_b": store.batch(b),
        "z_a": latents.mean(a),
        "z_b": latents.mean(b),
        "alpha": torch.tensor([t.alpha for t in chosen], dtype=torch.float32),
        "gap": torch.tensor([t.gap for t in chosen], dtype=torch.float32),
        "real": store.batch(m),
        "mask": store.mask_batch(m).float(),
    }


def masked_mse(x_hat: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error inside each mask, (B,), of scans and masks (B, 1, H, W, D)."""
    space = (1, 2, 3, 4)
    return (mask * (x_hat - x).square()).sum(space) / mask.sum(space)


def train_residual(data: TrainingData, sections: Sections, job: TrainingJob) -> None:
    """Train the residual on all triples of visits of training participants.

    If no training participant has three visits, the residual cannot be trained: it stays zero, so
    that its output is the average of the two visits, and the table of metrics is empty.

    Parameters
    ----------
    data
        Scans and their latents.
    sections
        Config section ``residual``.
    job
        Seed and output files of the training.
    """
    store, latents, settings = data.store, data.latents, sections["residual"]
    train, val = (find_triples(store.index, split) for split in ("train", "val"))
    torch.manual_seed(job.seed)
    network = VisitResidual(
        store.shape,
        latents.shape[0],
        patch_size=int(settings["patch_size"]),
        channels=int(settings["channels"]),
        n_blocks=int(settings["n_blocks"]),
    )
    network.standard.load_state_dict(measure_standard(store).state_dict())
    if not train:
        logger.warning(
            "No training participant has three visits: the residual stays zero, and "
            "interpolation with it is the average of the two visits"
        )
        if fit_nothing(job):
            save_residual(job.model_path, network)
        return
    settings = resolve_steps(settings, len(train))
    module = ResidualTraining(network, store, latents, train, val, settings, job.seed)
    identity = fingerprint(job, settings, store.digest(), latents.digest())
    fit(module, "train_residual", job, identity, save_residual)
