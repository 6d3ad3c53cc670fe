"""What every training shares: steps, averaged weights, validation, resuming."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from typing_extensions import override

from ldae.training.batches import Batch, StepBatches, step_seed

ParamList = tuple[Tensor, ...] | list[Tensor]
AverageUpdate = Callable[[ParamList, ParamList, Tensor | int], None]


class StepTraining(pl.LightningModule):
    """A training counted in optimizer steps, each a function of (seed, step).

    Parameters
    ----------
    network
        What is trained; alone enters checkpoints, with its average and the optimizers.
    train_rows, val_rows
        Rows of the splits; `val_rows` may be empty.
    settings
        Holds ``batch_size``, ``n_steps``, ``n_validations`` and what the subclass names.
    seed
        Of the training.

    Attributes
    ----------
    step
        Finished optimizer steps, an int64 buffer, so that checkpoints carry it.
    latest
        The last losses, by name, for status lines and metrics.
    """

    step: Tensor

    def __init__(
        self,
        network: nn.Module,
        train_rows: np.ndarray,
        val_rows: np.ndarray,
        settings: dict[str, Any],
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.train_rows = train_rows
        self.val_rows = val_rows
        self.settings = settings
        self.seed = seed
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.latest: dict[str, float] = {}

    @abstractmethod
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        """Part of a global batch; every random draw is of the global size, then cut."""

    @abstractmethod
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses by name; ``loss`` is the one that is minimised."""

    @property
    def validated_network(self) -> nn.Module:
        """The weights that will be saved."""
        return self.network

    @override
    def train_dataloader(self) -> DataLoader[Batch]:
        batches = StepBatches(
            self.make_batch,
            self.train_rows,
            int(self.settings["batch_size"]),
            self.seed,
            int(self.step),
            int(self.settings["n_steps"]),
            self.trainer.global_rank,
            self.trainer.world_size,
        )
        return DataLoader(batches, batch_size=None)

    @override
    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # dropout draws from the global generator: make it a function of the step too
        torch.manual_seed(step_seed(self.seed, int(self.step), self.trainer.global_rank))

    @property
    def validated_rows(self) -> np.ndarray:
        """Validation rows that are looked at: up to one global batch."""
        return self.val_rows[: int(self.settings["batch_size"])]

    @torch.no_grad()
    def validate_now(self) -> dict[str, float]:
        """Losses of the saved weights on the validated rows, with fixed noise.

        One process does it alone, in pieces and the precision of a training step: what fits into
        its memory while it trains fits when it validates.
        """
        rows = self.validated_rows
        n_pieces = min(self.trainer.world_size, len(rows))
        network = self.validated_network
        was_training = network.training
        network.eval()
        means: dict[str, float] = {}
        for piece in range(n_pieces):
            part = slice(piece, None, n_pieces)
            generator = torch.Generator().manual_seed(step_seed(self.seed, 2**31))
            batch = self.make_batch(rows, part, generator)
            batch = {name: value.to(self.device) for name, value in batch.items()}
            with self.trainer.precision_plugin.forward_context():
                losses = self.losses(network, batch)
            share = len(rows[part]) / len(rows)
            for name, value in losses.items():
                means[name] = means.get(name, 0.0) + share * float(value)
        network.train(was_training)
        return means

    def record(self, losses: dict[str, Tensor]) -> None:
        """Keep the step's losses for callbacks."""
        self.latest = {name: float(value.detach()) for name, value in losses.items()}


def averaging(decay: float) -> AverageUpdate:
    """Exponential moving average that forgets the first steps of a short training too.

    At its n-th update the average keeps min(decay, (1 + n) / (10 + n)) of itself.  With a decay of
    0.99 throughout, a third of what is saved after 100 steps would be the weights before training.

    Parameters
    ----------
    decay
        What the average keeps of itself per step in a long training.

    Returns
    -------
    Callable
        ``multi_avg_fn`` of :class:`torch.optim.swa_utils.AveragedModel`.
    """

    def update(average: ParamList, current: ParamList, n: Tensor | int) -> None:
        kept = min(decay, (1 + int(n)) / (10 + int(n)))
        get_ema_multi_avg_fn(kept)(average, current, n)

    return update


class AveragedTraining(StepTraining):
    """One optimizer (Adam) and an exponential moving average of the weights.

    `settings` further holds ``learning_rate`` and ``ema_decay``.  The average is updated once per
    optimizer step (:func:`averaging`) and is what validation uses and what is saved.
    """

    def __init__(
        self,
        network: nn.Module,
        train_rows: np.ndarray,
        val_rows: np.ndarray,
        settings: dict[str, Any],
        seed: int,
    ) -> None:
        super().__init__(network, train_rows, val_rows, settings, seed)
        average = averaging(float(settings["ema_decay"]))
        self.average = AveragedModel(network, multi_avg_fn=average, use_buffers=False)
        self.average.requires_grad_(False)

    @override
    @property
    def validated_network(self) -> nn.Module:
        average: nn.Module = self.average.module
        return average

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), lr=float(self.settings["learning_rate"]))

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses = self.losses(self.network, batch)
        self.record(losses)
        return losses["loss"]

    @override
    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.average.update_parameters(self.network)
        self.step += 1
