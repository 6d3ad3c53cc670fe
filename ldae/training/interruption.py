"""How a training outlives its job: whole checkpoints, and an end before the time limit."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from typing_extensions import override

from ldae.errors import Interrupted
from ldae.training.module import StepTraining

# Kept for what follows the last step: record, report, end of the container. Short limits, as in
# tests, keep a share of what they leave.
CLOSING_SECONDS = 60.0
CLOSING_SHARE = 0.2
# The time of a step and of a checkpoint varies, on a shared file system by much.
CAUTION = 2.0
# A disk with less room counts as full.
FULL_BYTES = 2**20


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that replace the last one in one step, or not at all.

    Lightning's own writing passes through the folder for temporary files, which on a cluster lies
    on another file system than the results: the last move is a copy there, and a job killed
    meanwhile would leave half a checkpoint.

    Attributes
    ----------
    seconds
        That the slowest checkpoint took.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        start = time.monotonic()
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        with partial.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # torch does not say why a file cannot be written
                if shutil.disk_usage(target.parent).free < FULL_BYTES:
                    reason = os.strerror(errno.ENOSPC)
                    raise OSError(errno.ENOSPC, reason, str(partial)) from error
                raise
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        self.seconds = max(self.seconds, time.monotonic() - start)


class RegularCheckpoints(pl.Callback):
    """Replaces the checkpoint after the first step that ends when it is due.

    Lightning's ModelCheckpoint saves by the clock only where Lightning itself steps the optimizer.

    Parameters
    ----------
    checkpoint
        File to write.
    minutes
        Between checkpoints.
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
    """Ends a training after a step, with a checkpoint, before its time is up or when asked to.

    The job is asked by SIGTERM, with which SLURM announces pre-emption and cancels jobs.

    Parameters
    ----------
    checkpoint
        File to write.
    end_time
        When the job will be killed, seconds since the epoch; None where there is no limit.
    checkpoints
        Knows how long a checkpoint takes.
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
                f"It stopped {reason} after step {step} of {n_steps}; the next attempt goes on"
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
