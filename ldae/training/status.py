"""Metrics of a training as a table, and its progress as status lines."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from tqdm import tqdm
from typing_extensions import override

from ldae.training.module import StepTraining

STATUS_INTERVAL_S = 20.0  # time between status lines, short enough to follow and not to flood a log

logger = logging.getLogger(__name__)


def format_duration(seconds: float) -> str:
    """Duration as text: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} min {s % 60:02d} s"
    return f"{s // 3600} h {s % 3600 // 60:02d} min"


class StatusLines(pl.Callback):
    """Callback that validates at even intervals, writes the metrics, and reports the progress.

    Progress is shown as a bar on a terminal, and otherwise as one line per ``STATUS_INTERVAL_S``
    with steps, loss, speed and remaining time. Checkpoints contain the rows of metrics, so the
    table of a resumed training is complete.

    Parameters
    ----------
    name
        Name of the training in status lines.
    metrics_path
        CSV with columns step, seconds, train_*, val_*; rewritten at every validation. The last row
        of a network with a semantic code also has code_rank and code_explains.
    """

    def __init__(self, name: str, metrics_path: Path) -> None:
        self.name = name
        self.metrics_path = Path(metrics_path)
        self.rows: list[dict[str, float]] = []
        self.seconds_before = 0.0
        self._train_sums: dict[str, float] = {}
        self._train_count = 0
        self._bar: tqdm | None = None

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self._seconds(), "sums": self._train_sums,
                "count": self._train_count}  # fmt: skip

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]
        self.seconds_before = state_dict["seconds"]
        self._train_sums = state_dict["sums"]
        self._train_count = state_dict["count"]

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self._start

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._start = self._last_line = time.monotonic()

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: StepTraining) -> None:  # type: ignore[override]
        self._start = self._last_line = time.monotonic()
        self._first_step = int(pl_module.step)
        if trainer.is_global_zero and self.rows:  # a resumed training may have no steps left
            self._write()
        n_steps = int(pl_module.settings["n_steps"])
        if trainer.is_global_zero and sys.stderr.isatty():
            self._bar = tqdm(total=n_steps, initial=self._first_step, desc=self.name, unit="step")
        size = sum(p.numel() for p in pl_module.network.parameters() if p.requires_grad)
        logger.info(
            "%s: %d steps of %d scans from step %d, %.2f M parameters, %d training scans",
            self.name, n_steps, pl_module.settings["batch_size"], self._first_step, size / 1e6,
            len(pl_module.train_rows),
        )  # fmt: skip

    @override
    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: pl.Trainer,
        pl_module: StepTraining,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step, n_steps = int(pl_module.step), int(pl_module.settings["n_steps"])
        for name, value in pl_module.latest.items():
            self._train_sums[name] = self._train_sums.get(name, 0.0) + value
        self._train_count += 1
        interval = max(1, n_steps // int(pl_module.settings["n_validations"]))
        if step % interval == 0 or step == n_steps:
            self._validate(trainer, pl_module, step)
        if not trainer.is_global_zero:
            return
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
        elif time.monotonic() - self._last_line > STATUS_INTERVAL_S or step == n_steps:
            self._last_line = time.monotonic()
            self._report(step, n_steps, pl_module.latest["loss"])

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._bar is not None:
            self._bar.close()

    def _validate(self, trainer: pl.Trainer, pl_module: StepTraining, step: int) -> None:
        row = {"step": float(step), "seconds": round(self._seconds(), 1)}
        for name, total in self._train_sums.items():
            mean = torch.tensor(total / self._train_count, dtype=torch.float64)
            mean = mean.to(pl_module.device)
            row[f"train_{name}"] = float(trainer.strategy.reduce(mean, reduce_op="mean"))
        self._train_sums, self._train_count = {}, 0
        if not trainer.is_global_zero:
            return
        if len(pl_module.val_rows):
            row |= {f"val_{k}": v for k, v in pl_module.validate_now().items()}
        if step == int(pl_module.settings["n_steps"]):
            row |= pl_module.measure_code()
        self.rows.append(row)
        self._write()
        for experiment in trainer.loggers:
            experiment.log_metrics({k: v for k, v in row.items() if k != "step"}, step=step)

    def _write(self) -> None:
        table = pd.DataFrame(self.rows).astype({"step": int})
        table.to_csv(self.metrics_path, index=False, float_format="%.6g")

    def _report(self, step: int, n_steps: int, loss: float) -> None:
        done = max(1, step - self._first_step)
        per_step = (time.monotonic() - self._start) / done
        validated = next((r["val_loss"] for r in reversed(self.rows) if "val_loss" in r), None)
        text = "" if validated is None else f", validation {validated:.4g}"
        logger.info(
            "%s: step %d/%d, loss %.4g%s, %.2f s/step, about %s left",
            self.name, step, n_steps, loss, text, per_step,
            format_duration(per_step * (n_steps - step)),
        )  # fmt: skip
