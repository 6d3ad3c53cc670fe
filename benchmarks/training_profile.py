"""What the time of a training step goes to, for every training of a study (`make bench`).

Each training runs for a few steps on random brains, with the study's networks, settings and batch
(:mod:`ldae.workflow.doctor.trials` makes the brains). Nothing of the code that trains is changed:
the clock is read where it waits for a batch, enters and leaves a step, calls the backward pass and
the optimizer.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytorch_lightning as pl
import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from ldae.figures.theme import PALETTE, legend_below, new_figure, theme
from ldae.methods import study_variants
from ldae.references import resolve
from ldae.training.autoencoder import AutoencoderTraining
from ldae.training.batches import Ahead
from ldae.training.job import TrainingJob
from ldae.training.module import AveragedTraining
from ldae.workflow.doctor.trial_arguments import study_trials
from ldae.workflow.doctor.trials import TASKS, short_training, trial_data

STEPS = 12
WARM_UP = 2
"""First steps, which choose kernels and are not measured."""

PARTS = ("waiting for a batch", "forward", "backward", "optimizer", "outside the step")
"""Parts of a step's time; `forward` includes losses and the average of the weights."""

STEP = "step of a training"
PER_STEP, SHARE, BUSY = "seconds per step", "share of the step", "share of the cores' time"


class Clock:
    """Reads of the clock around the parts of all steps after :data:`WARM_UP`.

    Attributes
    ----------
    seconds
        Of each part, summed over the steps.
    wall, cpu
        Seconds, and seconds of all cores, from the first measured step to the end of the last one.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.wall = self.cpu = 0.0
        self._start = self._start_cpu = self._optimizing = 0.0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the clock in every training that runs inside this context."""
        hooks = (
            register_optimizer_step_pre_hook(self._before_optimizer),
            register_optimizer_step_post_hook(self._after_optimizer),
        )
        with ExitStack() as stack:
            for hook in hooks:
                stack.callback(hook.remove)
            for owner, name, part in (
                (pl.LightningModule, "manual_backward", "backward"),
                (AveragedTraining, "training_step", "forward"),
                (AutoencoderTraining, "training_step", "forward"),
            ):
                timed = self._around(part, getattr(owner, name))
                stack.enter_context(mock.patch.object(owner, name, timed))
            batches = self._waited_for(Ahead.__iter__)
            stack.enter_context(mock.patch.object(Ahead, "__iter__", batches))
            yield
        self.seconds["forward"] -= self.seconds["backward"] + self.seconds["optimizer"]
        self.seconds["outside the step"] = self.wall - sum(self.seconds.values())

    def _add(self, part: str, start: float) -> None:
        self.seconds[part] += time.perf_counter() - start
        self.wall = time.perf_counter() - self._start
        self.cpu = time.process_time() - self._start_cpu

    def _around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            self._add(part, start)
            return result

        return timed

    def _waited_for(self, iterate: Callable[[Ahead], Iterator[Any]]) -> Callable[[Ahead], Any]:
        def timed(ahead: Ahead) -> Iterator[Any]:
            batches = iterate(ahead)
            for step in range(STEPS):
                start = time.perf_counter()
                if step == WARM_UP:
                    self.seconds = dict.fromkeys(PARTS, 0.0)
                    self._start, self._start_cpu = start, time.process_time()
                batch = next(batches)
                self._add("waiting for a batch", start)
                yield batch

        return timed

    def _before_optimizer(self, *_: Any) -> None:
        self._optimizing = time.perf_counter()

    def _after_optimizer(self, *_: Any) -> None:
        self._add("optimizer", self._optimizing)


def profile_trainings(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of seconds per step, shares of its parts, and cores that were busy, by training.

    Parameters
    ----------
    config
        Complete settings of a study.
    """
    trials = study_trials(config, study_variants(config).values())
    with tempfile.TemporaryDirectory(prefix="ldae-profile-") as name:
        folder = Path(name)
        (folder / TASKS).write_text(json.dumps(trials), encoding="utf-8")
        for training, task in trials["trainings"].items():
            yield from _profile(folder, trials, training, task)


def _profile(
    folder: Path, trials: dict[str, Any], name: str, task: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    sections = short_training(task["sections"], name, STEPS)
    weights, curves = folder / f"{name}.safetensors", folder / f"{name}.csv"
    job = TrainingJob(0, weights, curves, folder / name, checkpoint_minutes=60.0, code="profile")
    data = trial_data(folder, trials, task["stands_on"])
    clock = Clock()
    with clock.reading():
        resolve(task["train"])(data, sections, job)
    row = {"name": name, "batch": sections[name]["batch_size"], "operation": STEP}
    value = clock.wall / (STEPS - WARM_UP)
    yield row | {"metric": PER_STEP, "value": value}
    cores = min(torch.get_num_threads(), len(os.sched_getaffinity(0)))
    yield row | {"metric": BUSY, "value": clock.cpu / clock.wall / cores}
    for part, seconds in clock.seconds.items():
        yield row | {"operation": part, "metric": SHARE, "value": seconds / clock.wall}


def draw_profile(table: pd.DataFrame, path: Path) -> None:
    """Figure of the rows of :func:`profile_trainings`: one bar for each training, in its parts."""
    shares = table[table["metric"] == SHARE].pivot(index="name", columns="operation")["value"]
    shares = shares.reindex(index=table["name"].unique(), columns=list(PARTS))
    whole = table[table["operation"] == STEP].pivot(index="name", columns="metric")["value"]
    with theme():
        figure = new_figure(0.36 * len(shares) + 1.0)
        axis = figure.subplots()
        left = pd.Series(0.0, shares.index)
        for color, part in zip(PALETTE.values(), PARTS, strict=False):
            axis.barh(shares.index, shares[part], left=left, color=color, label=part)
            left += shares[part]
        for name, row in whole.iterrows():
            text = f" {row[PER_STEP]:.2f} s, cores {row[BUSY]:.0%} busy"
            axis.text(1.0, str(name), text, va="center")
        axis.set(xlim=(0, 1), xlabel="share of a step's time")
        axis.invert_yaxis()
        axis.spines["right"].set_visible(False)
        legend_below(figure, axis, 5)
        figure.savefig(path)
