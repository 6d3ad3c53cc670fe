"""Interruption of trainings: atomic checkpoints and snapshots, and stops.

A training stops before its time limit, and when a loss is not a finite number.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from typing_extensions import override

from ldae.errors import InputError, Interrupted
from ldae.training.checkpoints import snapshot_file
from ldae.training.module import StepTraining

# Time reserved after the last step for the record, the report and the end of the container. If the
# time limit is short, as in tests, this fraction of it is reserved instead.
CLOSING_SECONDS = 60.0
CLOSING_SHARE = 0.2
# Safety factor: durations of steps and checkpoints vary, especially on shared file systems.
CAUTION = 2.0
WRITER = "writer"
"""File beside a checkpoint with the token of the attempt that may write it."""
PARTIAL = ".partial"

# A disk with less free space counts as full.
FULL_BYTES = 2**20


class WholeCheckpoints(TorchCheckpointIO):
    """Writer of checkpoints that replaces the previous checkpoint atomically.

    Lightning writes to the folder for temporary files first. On a cluster this is on another file
    system than the results, so the final move is a copy, and a job that is killed during the copy
    would leave an incomplete checkpoint.

    A node that has lost its network may continue to compute while SLURM starts the job again on
    another one. The attempt that began last is the only one that writes.

    Attributes
    ----------
    seconds
        Duration of the slowest checkpoint so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._token = uuid.uuid4().hex
        self._folder: Path | None = None

    def take_over(self, folder: Path) -> None:
        """Become the only writer of a folder of checkpoints."""
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"*{PARTIAL}"):
            left.unlink(missing_ok=True)
        (folder / WRITER).write_text(self._token, encoding="utf-8")
        self._folder = folder

    def check_writer(self) -> None:
        """Stop if another attempt of the training has begun since.

        Raises
        ------
        Interrupted
            If another one is the writer now.
        """
        writer = self._folder and self._folder / WRITER
        if writer and writer.is_file() and writer.read_text(encoding="utf-8") != self._token:
            raise Interrupted("Another attempt of this training has begun, and this one stops")

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        start = time.monotonic()
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.check_writer()
        partial = target.with_name(f".{target.name}.{self._token}{PARTIAL}")
        with partial.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # torch does not report why writing failed
                if shutil.disk_usage(target.parent).free < FULL_BYTES:
                    reason = os.strerror(errno.ENOSPC)
                    raise OSError(errno.ENOSPC, reason, str(partial)) from error
                raise
            file.flush()
            os.fsync(file.fileno())
        self.check_writer()
        partial.replace(target)
        self.seconds = max(self.seconds, time.monotonic() - start)


class StopAtNaN(pl.Callback):
    """Callback that stops a training whose loss or weights are not finite numbers.

    It comes before the callbacks that write: no file then has such weights, and the last checkpoint
    is from before.

    Parameters
    ----------
    name
        Name of the training in messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @override
    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: pl.Trainer,
        pl_module: StepTraining,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        lost = [name for name, value in pl_module.latest.items() if not math.isfinite(value)]
        anywhere = bool(lost)
        if trainer.world_size > 1:  # all processes stop after the same step
            anywhere = trainer.strategy.reduce_boolean_decision(anywhere, all=False)
        if anywhere:
            what = f"loss {', '.join(lost)}" if lost else "the loss of another process"
            raise self._error(f"{what} is not a finite number after step {int(pl_module.step)}")

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: StepTraining) -> None:  # type: ignore[override]
        # gradients may overflow in the last step, which no further loss shows
        weights = pl_module.validated_network.state_dict().values()
        if not all(bool(value.isfinite().all()) for value in weights):
            raise self._error("weights are not finite numbers after the last step")

    def _error(self, problem: str) -> InputError:
        return InputError(
            self.name,
            problem,
            "Lower learning_rate in the network's section; if that does not help, look for scans "
            "of an unusual intensity in qc/qc.html",
        )


class Snapshots(pl.Callback):
    """Callback that keeps the validated network after some steps, beside the checkpoint.

    Parameters
    ----------
    folder
        Folder of the checkpoint.
    steps
        Steps after which the network is kept.
    save
        Writes a network to a file.
    checkpoints
        Writer of the checkpoints, which knows whether another attempt has begun.
    """

    def __init__(
        self,
        folder: Path,
        steps: Collection[int],
        save: Callable[[Path, Any], None],
        checkpoints: WholeCheckpoints,
    ) -> None:
        self.folder = folder
        self.steps = frozenset(steps)
        self.save = save
        self.checkpoints = checkpoints

    def path(self, step: int) -> Path:
        """File of the network after a step."""
        return self.folder / snapshot_file(step)

    @override
    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: pl.Trainer,
        pl_module: StepTraining,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step = int(pl_module.step)
        if step not in self.steps or not trainer.is_global_zero:
            return
        self.checkpoints.check_writer()
        partial = self.path(step).with_suffix(PARTIAL)
        self.save(partial, pl_module.validated_network)
        partial.replace(self.path(step))


class RegularCheckpoints(pl.Callback):
    """Callback that writes a checkpoint at regular intervals, after a complete step.

    Lightning's ModelCheckpoint supports time intervals only with automatic optimisation.

    Parameters
    ----------
    checkpoint
        File to write.
    minutes
        Time between checkpoints.
    """

    def __init__(self, checkpoint: Path, minutes: float) -> None:
        self.checkpoint = checkpoint
        self.seconds = 60 * minutes
        self._last = time.monotonic()

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._last = time.monotonic()

    @override
    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        due = time.monotonic() - self._last >= self.seconds
        if trainer.strategy.broadcast(due):  # all processes take part
            trainer.save_checkpoint(self.checkpoint)
            self._last = time.monotonic()


class StopInTime(pl.Callback):
    """Callback that stops a training after a step, with a checkpoint, before it would be killed.

    It stops before the time limit of the job, or on SIGTERM, which SLURM sends before pre-emption
    and to cancel a job.

    Parameters
    ----------
    checkpoint
        File to write.
    end_time
        Time at which the job will be killed, seconds since 1970; None if there is no limit.
    checkpoints
        Writer of the checkpoints, which measures how long a checkpoint takes.
    """

    def __init__(
        self, checkpoint: Path, end_time: float | None, checkpoints: WholeCheckpoints
    ) -> None:
        self.checkpoint = checkpoint
        self.end_time = end_time
        self.checkpoints = checkpoints
        left = 0.0 if end_time is None else max(0.0, end_time - time.time())
        self._closing = min(CLOSING_SECONDS, CLOSING_SHARE * left)
        self._asked = False
        self._longest_step = 0.0
        self._step_start = time.monotonic()
        self._former: Any = None

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._step_start = time.monotonic()
        self._former = signal.signal(signal.SIGTERM, self._ask)

    @override
    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: pl.Trainer,
        pl_module: StepTraining,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        now = time.monotonic()
        self._longest_step = max(self._longest_step, now - self._step_start)
        self._step_start = now
        stop = self._asked or self._time_is_up()
        if trainer.world_size > 1:  # all processes stop after the same step
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        step, n_steps = int(pl_module.step), int(pl_module.settings["n_steps"])
        if stop and step < n_steps:
            trainer.save_checkpoint(self.checkpoint)
            reason = "on request" if self._asked else "before its time limit"
            raise Interrupted(
                f"It stopped {reason} after step {step} of {n_steps}; the next attempt resumes"
            )

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    @override
    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)
            self._former = None

    def _time_is_up(self) -> bool:
        if self.end_time is None:
            return False
        needed = CAUTION * (self._longest_step + self.checkpoints.seconds) + self._closing
        return time.time() + needed > self.end_time

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
