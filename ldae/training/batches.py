"""Batches as a function of (seed, step), so that a resumed training continues identically."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

Batch = dict[str, Tensor]
MakeBatch = Callable[[np.ndarray, slice, torch.Generator], Batch]
"""(rows of the global batch, the part to return, generator of the batch) → tensors of the part."""


def step_seed(*parts: int) -> int:
    """Well-mixed 63-bit seed from integers such as (seed, step, rank)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def batch_rows(rows: np.ndarray, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Rows of the global batch of `step`, from an endless sequence of shuffled epochs.

    Parameters
    ----------
    rows
        Rows to draw from, (N,), N ≥ 1.
    batch_size
        Global batch size; a batch may extend over the end of an epoch.
    seed, step
        Seed of the sequence, and position in it.

    Returns
    -------
    numpy.ndarray
        (batch_size,) rows.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    passes = positions // len(rows)
    shuffled = {
        number: np.random.default_rng([seed, int(number)]).permutation(rows)
        for number in np.unique(passes)
    }
    return np.array([shuffled[n][i] for n, i in zip(passes, positions % len(rows), strict=True)])


class Ahead(IterableDataset[Batch]):
    """Batches of which the next is made while the last one is computed with.

    It is read and put together in a thread of its own; order and content are those of `batches`.

    Parameters
    ----------
    batches
        The batches.
    pin
        Whether they are put where a GPU can fetch them while it computes.
    """

    def __init__(self, batches: Iterable[Batch], pin: bool) -> None:
        self.batches = batches
        self.pin = pin

    def __iter__(self) -> Iterator[Batch]:
        waiting = iter(self.batches)
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(self._next, waiting)
            while (batch := coming.result()) is not None:
                coming = thread.submit(self._next, waiting)
                yield batch

    def _next(self, waiting: Iterator[Batch]) -> Batch | None:
        batch = next(waiting, None)
        if batch is None or not self.pin:
            return batch
        return {name: tensor.pin_memory() for name, tensor in batch.items()}


class StepBatches(IterableDataset[Batch]):
    """Batches of the steps from `start` up to `n_steps` for one rank.

    All random numbers of a step come from a generator seeded with (seed, step). Those of a rank are
    its part of the global batch's (:func:`ldae.data.draws.normal_part`), so that results do not
    depend on the number of processes.

    Parameters
    ----------
    make_batch
        Function that returns the tensors of a batch.
    rows
        Rows of the training split.
    batch_size
        Global batch size; a multiple of `world_size`.
    seed
        Training seed.
    start, n_steps
        First step to yield, and number of steps of the whole training.
    rank, world_size
        Rank of this process, and number of processes.

    Raises
    ------
    ValueError
        If `batch_size` is not a multiple of `world_size`.
    """

    def __init__(
        self,
        make_batch: MakeBatch,
        rows: np.ndarray,
        batch_size: int,
        seed: int,
        start: int,
        n_steps: int,
        rank: int,
        world_size: int,
    ) -> None:
        if batch_size % world_size:
            raise ValueError(
                f"global batch size {batch_size} is not a multiple of {world_size} processes"
            )
        self.make_batch = make_batch
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.n_steps = n_steps
        self.part = slice(rank, None, world_size)

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        first, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for step in range(self.start + first, self.n_steps, stride):
            rows = batch_rows(self.rows, self.batch_size, self.seed, step)
            generator = torch.Generator().manual_seed(step_seed(self.seed, step))
            yield self.make_batch(rows, self.part, generator)
