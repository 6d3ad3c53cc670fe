"""What every training shares: steps, averaged weights, validation, resuming."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from typing_extensions import override

from ldae.training.batches import Batch, StepBatches, step_seed

# Rows that validation looks at where a batch has fewer: those of a small one would say little.
LEAST_VALIDATED = 16

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
        Holds ``batch_size``, ``micro_batch`` (None: the whole batch at once), ``n_steps``,
        ``n_validations`` and what the subclass names.
    seed
        Of the training.

    Attributes
    ----------
    step
        Finished optimizer steps, an int64 buffer, so that checkpoints carry it.
    latest
        The last losses, by name, for status lines and metrics.
    micro_batch
        Scans that a process takes at a time: it goes through its part of a batch in pieces of at
        most so many, whose gradients add up. Changes rounding and the draws of dropout only.
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
        self.micro_batch = int(settings["micro_batch"] or settings["batch_size"])
        # A step goes through its batch in pieces: how, Lightning leaves to the training then.
        self.automatic_optimization = False
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.latest: dict[str, float] = {}

    @abstractmethod
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        """Part of a global batch; every random draw is of the global size, then cut."""

    @abstractmethod
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Scalar means over the batch by name; ``loss`` is the one that is minimised."""

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
        """Validation rows that are looked at: the first ones, as many as a batch has."""
        return self.val_rows[: max(LEAST_VALIDATED, int(self.settings["batch_size"]))]

    @torch.no_grad()
    def validate_now(self) -> dict[str, float]:
        """Losses of the saved weights on the validated rows, with fixed noise.

        One process does it alone, in pieces and the precision of a training step: what fits into
        its memory while it trains fits when it validates.
        """
        rows = self.validated_rows
        n_pieces = max(self.trainer.world_size, math.ceil(len(rows) / self.micro_batch))
        n_pieces = min(n_pieces, len(rows))
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
            add_share(means, losses, len(rows[part]) / len(rows))
        network.train(was_training)
        return means

    def pieces(self, batch: Batch) -> Iterator[tuple[Batch, float]]:
        """Pieces of a process's batch that are taken at a time, with their shares of it.

        Backward passes belong into the loop: only those of the last piece wait for the other
        processes, whose gradients are averaged once per step.
        """
        n = len(next(iter(batch.values())))
        strategy = self.trainer.strategy
        for start in range(0, n, self.micro_batch):
            stop = min(start + self.micro_batch, n)
            piece = {name: value[start:stop] for name, value in batch.items()}
            alone = stop < n and isinstance(strategy, ParallelStrategy)
            with strategy.block_backward_sync() if alone else nullcontext():  # type: ignore[attr-defined]
                yield piece, (stop - start) / n


def add_share(means: dict[str, float], losses: dict[str, Tensor], share: float) -> None:
    """Add a piece's losses to the means over its batch, of which it is a share."""
    for name, value in losses.items():
        means[name] = means.get(name, 0.0) + share * float(value.detach())


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
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()  # type: ignore[union-attr]
        means: dict[str, float] = {}
        for piece, share in self.pieces(batch):
            losses = self.losses(self.network, piece)
            self.manual_backward(share * losses["loss"])
            add_share(means, losses, share)
        optimizer.step()  # type: ignore[union-attr]
        self.latest = means
        self.average.update_parameters(self.network)
        self.step += 1
