"""Execution of a training with Lightning: checkpoints, resuming and distribution."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment, SLURMEnvironment
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy

from ldae import slurm
from ldae.data.digests import trusted_digest
from ldae.data.exported import FROZEN
from ldae.errors import InputError
from ldae.training.checkpoints import CURVES
from ldae.training.interruption import (
    RegularCheckpoints,
    Snapshots,
    StopAtNaN,
    StopInTime,
    WholeCheckpoints,
)
from ldae.training.job import TrainingJob
from ldae.training.module import StepTraining
from ldae.training.status import StatusLines

CHECKPOINT = "last.ckpt"

logger = logging.getLogger(__name__)
# the record of the job contains everything that Lightning logs about devices
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


def resolve_steps(settings: Mapping[str, Any], n_scans: int) -> dict[str, Any]:
    """Settings with ``n_steps``, computed from ``n_epochs`` passes over `n_scans` if that is set.

    Raises
    ------
    ValueError
        If both or neither of ``n_steps`` and ``n_epochs`` are set, or there are no scans.
    """
    steps, epochs = settings.get("n_steps"), settings.get("n_epochs")
    if (steps is None) == (epochs is None):
        raise ValueError("set exactly one of n_steps and n_epochs")
    if n_scans < 1:
        raise ValueError("the training split has no scans")
    if epochs is not None:
        steps = -(-int(epochs) * n_scans // int(settings["batch_size"]))
    return {**settings, "n_steps": steps}


def file_identity(path: str | Path | None) -> str:
    """SHA-256 of an input file of a training, for :func:`fingerprint`; empty if there is none."""
    return "" if path is None else trusted_digest(Path(path))


def fingerprint(job: TrainingJob, *parts: Any) -> str:
    """Digest of a training's code, seed and further JSON-serialisable parts.

    A checkpoint is resumed only by a training with the same fingerprint. The steps whose weights
    are kept are part of it: past them a checkpoint could not give their weights any more.
    """
    kept = [sorted(job.kept)] if job.kept else []
    text = json.dumps([job.code, job.seed, *parts, *kept], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fit_nothing(job: TrainingJob) -> bool:
    """Write the empty table of metrics of a network that is not trained.

    Returns
    -------
    bool
        Whether this process must save the weights.
    """
    first = slurm.process_rank() == 0
    if first:
        columns = ["step", "seconds", "train_loss"]
        pd.DataFrame(columns=columns).to_csv(job.metrics_path, index=False)
    return first


def fit(
    module: StepTraining,
    name: str,
    job: TrainingJob,
    identity: str,
    save: Callable[[Path, Any], None],
) -> None:
    """Train `module` to its last step and save it; resume from an earlier attempt's checkpoint.

    A network with the setting ``start: frozen`` is saved as it is.

    Checkpoints (weights, average, optimizers, step, metrics) are replaced atomically. They are kept
    after the training, see :func:`ldae.training.checkpoints.remove_checkpoints`. So are the weights
    that ``job.kept`` asks for, until the training ends: what an interrupted job has written of its
    outputs is removed before the next attempt.

    In a SLURM job step with several tasks, the training is distributed: each process takes its part
    of every global batch. The training stops before the time limit of the job.

    Parameters
    ----------
    module
        The training.
    name
        Name of the training, for status lines.
    job
        Paths of weights, checkpoints and curves, and the time between checkpoints.
    identity
        Result of :func:`fingerprint` for settings and data.
    save
        Writes a network to a file: the validated one at the end and at the steps of ``job.kept``.

    Raises
    ------
    InputError
        If the global batch cannot be divided evenly, weights are asked for that the training does
        not have, a piece exceeds the memory of the GPU, or a loss is not a finite number.
    Interrupted
        If the training stopped before its last step, because of the time limit or on request, or
        if another attempt has begun.
    """
    if module.settings.get("start") == FROZEN:
        if fit_nothing(job):
            save(job.model_path, module.validated_network)
        return
    n_processes = slurm.process_count()
    if int(module.settings["batch_size"]) % n_processes:
        raise InputError(
            f"{name}: batch_size",
            f"{module.settings['batch_size']} scans cannot be divided by {n_processes} processes",
            "Request a number of GPUs that divides the batch size.",
        )
    _check_kept(name, job.kept, int(module.settings["n_steps"]))
    folder = job.work_dir / identity
    last = folder / CHECKPOINT
    with _without_idle_warnings():
        whole = WholeCheckpoints()
        snapshots = Snapshots(folder, job.kept, save, whole)
        trainer = _trainer(name, job, folder, n_processes, whole, snapshots)
        if trainer.is_global_zero:
            whole.take_over(folder)
        if last.exists():
            logger.info("%s: resuming from %s", name, last.name)
        try:
            trainer.fit(module, ckpt_path=last if last.exists() else None, weights_only=True)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{name}: micro_batch",
                f"{module.micro_batch} scans at a time do not fit into the memory of the GPU",
                "Reduce micro_batch in the network's section, or use a larger GPU.",
            ) from error
    if int(module.step) < int(module.settings["n_steps"]):
        raise RuntimeError(f"{name} stopped at step {int(module.step)}")
    whole.check_writer()
    if trainer.is_global_zero:
        save(job.model_path, module.validated_network)
        for step, path in job.kept.items():
            shutil.copyfile(snapshots.path(step), path)


@contextlib.contextmanager
def _without_idle_warnings() -> Iterator[None]:
    """Silence what Lightning warns of and is meant so here."""
    with warnings.catch_warnings():
        # batches are read from memory: worker processes would only add a copy
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        # a deprecation that concerns only Lightning and torch
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        # Snakemake starts a job with one task as a job step
        warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
        yield


def _check_kept(name: str, kept: Mapping[int, Path], n_steps: int) -> None:
    """Stop before the training where it has no weights after a step that is asked for."""
    late = [step for step in kept if step >= n_steps]
    if late:
        raise InputError(
            f"{name}: curves.steps",
            f"step {late[0]} is not before the last step of the training, {n_steps}",
            "Take it out, or train longer: the last step is a point of each curve anyway.",
        )


def _trainer(
    name: str,
    job: TrainingJob,
    folder: Path,
    n_processes: int,
    whole: WholeCheckpoints,
    snapshots: Snapshots,
) -> pl.Trainer:
    """Lightning's trainer with our callbacks; `whole` writes checkpoints to `folder`."""
    cuda = torch.cuda.is_available()
    callbacks = [
        StopAtNaN(name),  # first: what follows writes metrics, weights and checkpoints
        StatusLines(name, job.metrics_path),
        snapshots,  # before the checkpoints: after one, all weights of earlier steps are there
        StopInTime(folder / CHECKPOINT, slurm.end_time(), whole),
        RegularCheckpoints(folder / CHECKPOINT, job.checkpoint_minutes),
    ]
    return pl.Trainer(
        accelerator="gpu" if cuda else "cpu",
        **_placement(n_processes, cuda),
        plugins=[whole, _environment(n_processes)],
        precision=training_precision(),
        max_epochs=1,
        logger=TensorBoardLogger(folder.parent, name=CURVES, version=folder.name),
        callbacks=callbacks,
        enable_checkpointing=False,  # our callbacks write checkpoints
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        use_distributed_sampler=False,  # StepBatches divides batches between ranks
    )


def training_precision() -> Literal["bf16-mixed", "32-true"]:
    """Precision of a training: bf16 where the device computes in it.

    Before capability 8.0 (V100, T4) torch emulates bf16, slower than fp32. With fp16 the loss would
    have to be scaled, by another factor after a resume.
    """
    fast = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if fast else "32-true"


def _placement(n_processes: int, cuda: bool) -> dict[str, Any]:
    """Arguments of the trainer for the number of processes and their communication."""
    if n_processes == 1:
        return {"devices": 1, "num_nodes": 1}
    # in each backward pass the parameters of either discriminator or generator are unused
    strategy = DDPStrategy(
        find_unused_parameters=True, process_group_backend="nccl" if cuda else "gloo"
    )
    n_nodes = slurm.node_count()
    return {"devices": n_processes // n_nodes, "num_nodes": n_nodes, "strategy": strategy}


def _environment(n_processes: int) -> LightningEnvironment | SLURMEnvironment:
    """Source of the trainer's rank. Snakemake, not Lightning, resubmits a job that has ended."""
    return SLURMEnvironment(auto_requeue=False) if n_processes > 1 else LightningEnvironment()
