"""Run a training on Lightning: checkpoint, resume, finish."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from ldae.training.module import StepTraining
from ldae.training.status import StatusLines

logger = logging.getLogger(__name__)
# its notes on devices and tips say nothing that the record does not
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


def resolve_steps(settings: dict[str, Any], n_scans: int) -> dict[str, Any]:
    """Settings with ``n_steps``, from ``n_epochs`` passes over `n_scans` where that is given.

    Raises
    ------
    ValueError
        If both or neither of ``n_steps`` and ``n_epochs`` are set, or no scan is there.
    """
    steps, epochs = settings.get("n_steps"), settings.get("n_epochs")
    if (steps is None) == (epochs is None):
        raise ValueError("set exactly one of n_steps and n_epochs")
    if n_scans < 1:
        raise ValueError("the training split has no scan")
    if epochs is not None:
        steps = -(-int(epochs) * n_scans // int(settings["batch_size"]))
    return {**settings, "n_steps": steps}


def fingerprint(*parts: Any) -> str:
    """Digest of JSON-serialisable parts: only the training it belongs to resumes a checkpoint."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def fit(
    module: StepTraining,
    name: str,
    metrics_path: Path,
    work_dir: Path,
    identity: str,
    checkpoint_minutes: float,
) -> None:
    """Train `module` to its last step, resuming where an earlier attempt left a checkpoint.

    Checkpoints (weights, average, optimizers, step, metrics) are replaced atomically and removed
    once the training has finished and its caller has saved the weights, see :func:`finish`.

    Parameters
    ----------
    module
        The training.
    name
        Of the stage, for status lines.
    metrics_path
        ``metrics.csv`` to write.
    work_dir
        Folder for checkpoints and TensorBoard, outside the rule's outputs.
    identity
        From :func:`fingerprint` of settings and data.
    checkpoint_minutes
        Minutes between checkpoints.
    """
    folder = Path(work_dir) / identity
    last = folder / "last.ckpt"
    checkpoint = ModelCheckpoint(
        dirpath=folder,
        filename="last",
        train_time_interval=timedelta(minutes=checkpoint_minutes),
        save_top_k=1,
        enable_version_counter=False,
    )
    cuda = torch.cuda.is_available()
    trainer = pl.Trainer(
        accelerator="gpu" if cuda else "cpu",
        devices="auto" if cuda else 1,
        precision="bf16-mixed" if cuda else "32-true",
        max_epochs=1,
        logger=TensorBoardLogger(folder.parent, name="tensorboard", version=identity),
        callbacks=[StatusLines(name, metrics_path), checkpoint],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        use_distributed_sampler=False,  # the batches are cut by rank already
    )
    if last.exists():
        logger.info("%s: resuming from %s", name, last.name)
    with warnings.catch_warnings():
        # batches are arrays read from memory: loader workers would only copy them once more
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # between Lightning and torch
        trainer.fit(module, ckpt_path=last if last.exists() else None, weights_only=True)
    if int(module.step) < int(module.settings["n_steps"]):
        raise RuntimeError(f"{name} stopped at step {int(module.step)}")


def finish(work_dir: Path) -> None:
    """Remove the checkpoints of a training whose weights are saved; TensorBoard's files stay."""
    for folder in Path(work_dir).iterdir():
        if folder.is_dir() and folder.name != "tensorboard":
            shutil.rmtree(folder)
