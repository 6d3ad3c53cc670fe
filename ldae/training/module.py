"""Base classes of all trainings: steps, averaged weights, validation and resuming."""

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

from ldae.training.batches import Ahead, Batch, StepBatches, step_seed
from ldae.training.code_measures import effective_rank, explained_variance

# Minimum number of validation rows: fewer, as in a small batch, would give a noisy loss.
LEAST_VALIDATED = 16
CODES_MEASURED = 128
"""Maximum number of scans of each split whose codes are measured at the end of a training."""

ParamList = tuple[Tensor, ...] | list[Tensor]
AverageUpdate = Callable[[ParamList, ParamList, Tensor | int], None]


class StepTraining(pl.LightningModule):
    """Training that is counted in optimizer steps; each step is a function of (seed, step).

    Parameters
    ----------
    network
        Network to train. Checkpoints contain only the network, its average and the optimizers.
    train_rows, val_rows
        Rows of the splits; `val_rows` may be empty.
    settings
        ``batch_size``, ``micro_batch`` (None for the whole batch at once), ``n_steps``,
        ``n_validations``, and the settings of the subclass.
    seed
        Training seed.

    Attributes
    ----------
    step
        Number of finished optimizer steps; an int64 buffer, so that checkpoints contain it.
    latest
        Losses of the last step, by name, for status lines and metrics.
    micro_batch
        Maximum number of scans that a process takes at a time. A larger part of a batch is
        processed in several pieces, whose gradients are accumulated. This affects only rounding and
        the random draws of dropout.
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
        # Gradient accumulation within a step requires manual optimisation in Lightning.
        self.automatic_optimization = False
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.latest: dict[str, float] = {}

    @abstractmethod
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        """Tensors of a part of a global batch; random numbers are drawn for the whole batch."""

    @abstractmethod
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Losses by name, averaged over the batch; ``loss`` is the one that is minimised."""

    @property
    def validated_network(self) -> nn.Module:
        """The network that is validated and saved."""
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
        return DataLoader(Ahead(batches, torch.cuda.is_available()), batch_size=None)

    @override
    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # dropout uses the global generator, which must be a function of the step too
        torch.manual_seed(step_seed(self.seed, int(self.step), self.trainer.global_rank))

    @property
    def validated_rows(self) -> np.ndarray:
        """The validation rows that are used: the first ones, as many as in a batch."""
        return self.val_rows[: max(LEAST_VALIDATED, int(self.settings["batch_size"]))]

    @torch.no_grad()
    def validate_now(self) -> dict[str, float]:
        """Losses of the validated network on the validation rows, with fixed noise.

        A single process computes them, in pieces and in the precision of a training step, so that
        validation needs no more memory than training.
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

    def codes(self, network: nn.Module, rows: np.ndarray) -> Tensor | None:
        """Semantic codes (B, dim) of scans; None for a network without a code."""
        return None

    def latents_of(self, rows: np.ndarray) -> Tensor | None:
        """Latents (B, C, h, w, d) of scans; None for a training without latents."""
        return None

    @torch.no_grad()
    def measure_code(self) -> dict[str, float]:
        """Effective rank of the code, and the share of held-out latent variance that it explains.

        Of the validated network; empty for a network without a code. A share needs latents and
        validation scans.
        """
        network = self.validated_network
        was_training = network.training
        network.eval()
        measured: dict[str, float] = {}
        y, held_y = (self._all_codes(network, rows) for rows in (self.train_rows, self.val_rows))
        if y is not None and len(y) > 1:
            measured["code_rank"] = effective_rank(y)
            z, held_z = (
                self.latents_of(rows[:CODES_MEASURED]) for rows in (self.train_rows, self.val_rows)
            )
            if held_y is not None and z is not None and held_z is not None:
                measured["code_explains"] = explained_variance(y, z, held_y, held_z)
        network.train(was_training)
        return measured

    def _all_codes(self, network: nn.Module, rows: np.ndarray) -> Tensor | None:
        """Codes of the first rows on the CPU, in pieces of a training step; None without codes."""
        found = []
        rows = rows[:CODES_MEASURED]
        for start in range(0, len(rows), self.micro_batch):
            y = self.codes(network, rows[start : start + self.micro_batch])
            if y is None:
                return None
            found.append(y.float().cpu())
        return torch.cat(found) if found else None

    def pieces(self, batch: Batch) -> Iterator[tuple[Batch, float]]:
        """Pieces of a process's batch, with their fractions of the batch.

        Call the backward pass of each piece inside the loop: only that of the last piece
        synchronises gradients with the other processes.
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
    """Add the losses of a piece, a fraction `share` of its batch, to the means over the batch."""
    for name, value in losses.items():
        means[name] = means.get(name, 0.0) + share * float(value.detach())


def averaging(decay: float) -> AverageUpdate:
    """Update function of an exponential moving average whose decay increases at the start.

    The decay at the n-th update is min(decay, (1 + n) / (10 + n)). With a constant decay of 0.99,
    the untrained weights would still contribute a third to the average after 100 steps.

    Parameters
    ----------
    decay
        Decay per step in a long training.

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
    """Training with Adam and an exponential moving average of the weights.

    `settings` also contains ``learning_rate`` and ``ema_decay``. The average is updated once per
    optimizer step (:func:`averaging`); the averaged network is validated and saved.
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
