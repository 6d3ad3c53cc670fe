"""Run a training on Lightning: checkpoint, resume, finish."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment, SLURMEnvironment
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy

from ldae import slurm
from ldae.errors import InputError
from ldae.training.checkpoints import CURVES
from ldae.training.interruption import RegularCheckpoints, StopInTime, WholeCheckpoints
from ldae.training.job import TrainingJob
from ldae.training.module import StepTraining
from ldae.training.status import StatusLines

CHECKPOINT = "last.ckpt"

logger = logging.getLogger(__name__)
# its notes on devices and tips say nothing that the record does not
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


def resolve_steps(settings: Mapping[str, Any], n_scans: int) -> dict[str, Any]:
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


def file_identity(path: str | Path | None) -> str:
    """SHA-256 of a file that a training starts from, for :func:`fingerprint`; empty for none."""
    return "" if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()


def fingerprint(job: TrainingJob, *parts: Any) -> str:
    """Digest of a training's code, seed and JSON-serialisable parts.

    Only the training it belongs to resumes a checkpoint.
    """
    text = json.dumps([job.code, job.seed, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fit_nothing(job: TrainingJob) -> bool:
    """Write the empty log of a network that takes no step.

    Returns
    -------
    bool
        Whether this process is the one that saves the weights.
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
) -> bool:
    """Train `module` to its last step, resuming where an earlier attempt left a checkpoint.

    Checkpoints (weights, average, optimizers, step, metrics) are replaced atomically. They outlive
    the training, see :func:`ldae.training.checkpoints.remove_checkpoints`.

    In a SLURM job step of several tasks, the processes train together: each takes its part of every
    global batch. The job is left in good time before its limit.

    Parameters
    ----------
    module
        The training.
    name
        Of the stage, for status lines.
    job
        Where to keep checkpoints and curves, and how often.
    identity
        From :func:`fingerprint` of settings and data.

    Returns
    -------
    bool
        Whether this process is the one that saves the weights.

    Raises
    ------
    InputError
        If the global batch cannot be shared out evenly, or a piece does not fit into the GPU.
    Interrupted
        If the training stopped before its last step, because the job's time was up or on request.
    """
    n_processes = slurm.process_count()
    if int(module.settings["batch_size"]) % n_processes:
        raise InputError(
            f"{name}: batch_size",
            f"{module.settings['batch_size']} scans cannot be shared by {n_processes} processes",
            "Ask for a number of GPUs that divides it",
        )
    folder = job.work_dir / identity
    last = folder / CHECKPOINT
    with warnings.catch_warnings():
        # batches are arrays read from memory: loader workers would only copy them once more
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # between Lightning and torch
        # a job of one task is started as a step by Snakemake
        warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
        trainer = _trainer(name, job, folder, n_processes)
        if last.exists():
            logger.info("%s: resuming from %s", name, last.name)
        try:
            trainer.fit(module, ckpt_path=last if last.exists() else None, weights_only=True)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{name}: micro_batch",
                f"{module.micro_batch} scans at a time do not fit into the memory of the GPU",
                "Set it lower in the network's section, or take a larger GPU.",
            ) from error
    if int(module.step) < int(module.settings["n_steps"]):
        raise RuntimeError(f"{name} stopped at step {int(module.step)}")
    return trainer.is_global_zero


def _trainer(name: str, job: TrainingJob, folder: Path, n_processes: int) -> pl.Trainer:
    """Lightning's trainer with our callbacks; checkpoints go to `folder`, curves beside it."""
    cuda = torch.cuda.is_available()
    whole = WholeCheckpoints()
    callbacks = [
        StatusLines(name, job.metrics_path),
        StopInTime(folder / CHECKPOINT, slurm.end_time(), whole),
        RegularCheckpoints(folder / CHECKPOINT, job.checkpoint_minutes),
    ]
    return pl.Trainer(
        accelerator="gpu" if cuda else "cpu",
        **_placement(n_processes, cuda),
        plugins=[whole, _environment(n_processes)],
        precision="bf16-mixed" if cuda else "32-true",
        max_epochs=1,
        logger=TensorBoardLogger(folder.parent, name=CURVES, version=folder.name),
        callbacks=callbacks,
        enable_checkpointing=False,  # of Lightning's own making
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        use_distributed_sampler=False,  # the batches are cut by rank already
    )


def _placement(n_processes: int, cuda: bool) -> dict[str, Any]:
    """Arguments of the trainer that say how many processes there are and how they talk."""
    if n_processes == 1:
        return {"devices": 1, "num_nodes": 1}
    # the discriminator and the generator take turns: either is idle in some backward passes
    strategy = DDPStrategy(
        find_unused_parameters=True, process_group_backend="nccl" if cuda else "gloo"
    )
    n_nodes = slurm.node_count()
    return {"devices": n_processes // n_nodes, "num_nodes": n_nodes, "strategy": strategy}


def _environment(n_processes: int) -> LightningEnvironment | SLURMEnvironment:
    """Where the trainer learns its rank. Snakemake, not Lightning, submits an ended job again."""
    return SLURMEnvironment(auto_requeue=False) if n_processes > 1 else LightningEnvironment()
