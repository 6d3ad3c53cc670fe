"""Trainings that are interrupted, resumed, and distributed over several processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from train_toy import STAGES, train, write_data

from ldae.errors import InputError, Interrupted
from ldae.networks.weights import read_weights
from ldae.training.checkpoints import remove_checkpoints
from ldae.training.interruption import StopInTime, WholeCheckpoints
from ldae.training.status import StatusLines

PROGRAM = Path(__file__).with_name("train_toy.py")
# Sums in another order differ by rounding, which Adam amplifies if a gradient is close to zero. A
# wrong weighting of pieces would move weights by several steps of 1e-3.
HALF_A_STEP = 5e-4
# Entries of a tensor whose gradient is so small; a wrong weighting would move nearly all.
FEW = 0.02


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy data and a trained prior."""
    place = tmp_path_factory.mktemp("toy")
    write_data(place)
    train(place, "prior", "prior")
    return place


def straight(folder: Path, stage: str) -> str:
    """Tag of a training of a stage without any interruption, which is done at its first use."""
    if not (folder / f"{stage}.safetensors").exists():
        train(folder, stage, stage)
    return stage


def close(name: str, one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    """Whether two tensors are equal within a tolerance.

    The tolerance is larger for the keys of the attention: with these toy brains their gradient is
    close to zero, so that Adam amplifies rounding errors.
    """
    if ".in_proj_" not in name:
        beyond = (one - other).abs() > tolerance
        return float(beyond.float().mean()) <= (FEW if tolerance else 0)
    limits = {"query": tolerance, "key": 10 * tolerance, "value": tolerance}
    pairs = zip(one.chunk(3), other.chunk(3), limits.values(), strict=True)
    return all(torch.allclose(x, y, rtol=0, atol=limit) for x, y, limit in pairs)


def same(folder: Path, one: str, other: str, tolerance: float = 0.0) -> bool:
    """Whether two trainings have the same weights and metrics."""
    a, b = (read_weights(folder / f"{tag}.safetensors")[0] for tag in (one, other))
    tables = [pd.read_csv(folder / f"{tag}.csv").drop(columns="seconds") for tag in (one, other)]
    return (
        a.keys() == b.keys()
        and all(close(name, a[name], b[name], tolerance) for name in a)
        and tables[0].shape == tables[1].shape
        and np.allclose(*tables, rtol=max(tolerance, 1e-9) * 100, atol=tolerance, equal_nan=True)
    )


def checkpoints(folder: Path, tag: str) -> list[Path]:
    return sorted((folder / f"{tag}-work").glob("*/last.ckpt"))


@pytest.mark.parametrize("stage", STAGES)
def test_training_stops_before_its_time_limit_and_resumes(
    folder: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time()))
    tag = f"{stage}-limited"
    for step in (1, 2):
        with pytest.raises(Interrupted, match=rf"before its time limit after step {step} of 6"):
            train(folder, stage, tag)
        assert not (folder / f"{tag}.safetensors").exists()
        assert len(checkpoints(folder, tag)) == 1
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    train(folder, stage, tag)
    assert same(folder, straight(folder, stage), tag)


@pytest.mark.parametrize("stage", STAGES)
def test_checkpoints_are_written_at_regular_intervals(
    folder: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is killed without a warning resumes from the last regular checkpoint."""
    written: list[int] = []
    save = WholeCheckpoints.save_checkpoint

    def noted(self: WholeCheckpoints, checkpoint: Any, path: Any, **options: Any) -> None:
        written.append(int(checkpoint["state_dict"]["step"]))
        save(self, checkpoint, path, **options)

    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", noted)
    train(folder, stage, f"{stage}-often", checkpoint_minutes=1e-9)
    assert written == [1, 2, 3, 4, 5, 6]
    assert len(checkpoints(folder, f"{stage}-often")) == 1
    assert not checkpoints(folder, straight(folder, stage)), "it was too short for one"


@pytest.mark.parametrize("stage", ["prior", "ldae_anatomical"])
def test_weights_of_some_steps_are_kept_through_interruptions(
    folder: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt starts without the outputs of the last one, as Snakemake removes them."""
    kept, tag, whole = (1, 3), f"{stage}-resumed", f"{stage}-whole"
    train(folder, stage, whole, kept=kept)
    assert same(folder, straight(folder, stage), whole), "keeping weights changes no training"
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time()))
    for _ in range(2):
        with pytest.raises(Interrupted):
            train(folder, stage, tag, kept=kept)
        assert not list(folder.glob(f"{tag}*.safetensors"))
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    train(folder, stage, tag, kept=kept)
    for name in [*(f"-{step}" for step in kept), ""]:
        files = [folder / f"{run}{name}.safetensors" for run in (whole, tag)]
        assert files[0].read_bytes() == files[1].read_bytes(), name
    assert files[0].read_bytes() != (folder / f"{whole}-3.safetensors").read_bytes()


def test_weights_after_the_end_of_a_training_are_refused_before_it(folder: Path) -> None:
    with pytest.raises(InputError, match=r"curves.steps: step 6 is not before the last .*, 6"):
        train(folder, "prior", "late", kept=(2, 6))
    assert not list(folder.glob("late*"))


def test_lost_result_of_a_finished_training_is_restored_without_a_step(folder: Path) -> None:
    """The job was killed after its last step and before Snakemake had seen its result."""
    train(folder, "prior", "lost", checkpoint_minutes=1e-9)
    kept = (folder / "lost.safetensors").read_bytes()
    metrics = (folder / "lost.csv").read_bytes()
    for name in ("lost.safetensors", "lost.csv"):
        (folder / name).unlink()
    start = os.stat(checkpoints(folder, "lost")[0]).st_mtime_ns
    train(folder, "prior", "lost", checkpoint_minutes=1e-9)
    assert (folder / "lost.safetensors").read_bytes() == kept
    assert (folder / "lost.csv").read_bytes() == metrics
    assert os.stat(checkpoints(folder, "lost")[0]).st_mtime_ns == start, "no step may be repeated"


def test_checkpoints_are_removed_and_curves_kept(tmp_path: Path) -> None:
    unfinished = "checkpoints/prior-seed-1/4e5f/file"
    curves = "checkpoints/prior-seed-0/tensorboard/file"
    others = ["checkpoints/prior-seed-0/0a1b/file", "checkpoints/autoencoder/2c3d/file"]
    weights = ["prior/seed-0/model.safetensors", "autoencoder/model.safetensors"]
    for name in (unfinished, curves, *others, *weights):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    remove_checkpoints(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {unfinished, curves, *weights}
    remove_checkpoints(tmp_path / "nowhere")


class Ask(pl.Callback):
    """Callback that sends the process the signal by which SLURM ends it."""

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        if int(pl_module.step) == 3:
            os.kill(os.getpid(), signal.SIGTERM)


def test_training_writes_a_checkpoint_on_sigterm(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pl.Trainer.__init__

    def asked(self: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **{**kwargs, "callbacks": [*kwargs["callbacks"], Ask()]})

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(pl.Trainer, "__init__", asked)
        with pytest.raises(Interrupted, match="on request after step 4 of 6"):
            train(folder, "prior", "asked")
    assert signal.getsignal(signal.SIGTERM) is before
    train(folder, "prior", "asked")
    assert same(folder, "prior", "asked")


def test_failed_write_keeps_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, path = WholeCheckpoints(), tmp_path / "last.ckpt"
    whole.save_checkpoint({"step": 1}, path)

    def cut(checkpoint: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", cut)
    with pytest.raises(OSError, match="No space"):
        whole.save_checkpoint({"step": 2}, path)
    assert whole.load_checkpoint(path, weights_only=True) == {"step": 1}


def test_only_the_last_attempt_writes(tmp_path: Path) -> None:
    """A node that was lost still computes while SLURM starts the job again on another one."""
    place = tmp_path / "last.ckpt"
    lost, next_one = WholeCheckpoints(), WholeCheckpoints()
    lost.take_over(tmp_path)
    lost.save_checkpoint({"step": 1}, place)
    (tmp_path / ".last.ckpt.killed.partial").write_bytes(b"half")
    next_one.take_over(tmp_path)
    assert not list(tmp_path.glob("*.partial")), "what a killed attempt left is removed"
    with pytest.raises(Interrupted, match="Another attempt of this training has begun"):
        lost.save_checkpoint({"step": 2}, place)
    with pytest.raises(Interrupted):  # nor does it write its weights at the end
        lost.check_writer()
    next_one.save_checkpoint({"step": 3}, place)
    next_one.check_writer()
    assert torch.load(place, weights_only=True) == {"step": 3}


def test_time_is_reserved_before_the_limit(tmp_path: Path) -> None:
    whole = WholeCheckpoints()
    assert StopInTime(tmp_path, None, whole)._time_is_up() is False
    assert StopInTime(tmp_path, time.time() + 3600, whole)._time_is_up() is False
    whole.seconds = 2000.0
    assert StopInTime(tmp_path, time.time() + 3600, whole)._time_is_up() is True


@pytest.mark.parametrize("stage", STAGES)
def test_gradient_accumulation_equals_the_whole_batch(folder: Path, stage: str) -> None:
    train(folder, stage, f"{stage}-pieces", micro_batch=3)  # 4 scans in pieces of 3 and 1
    assert same(folder, straight(folder, stage), f"{stage}-pieces", tolerance=HALF_A_STEP)


def test_piece_that_exceeds_the_gpu_memory_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("ldae.training.diffusion.PriorTraining.losses", full)
    with pytest.raises(InputError, match="train_prior: micro_batch: 4 scans at a time do not fit"):
        train(folder, "prior", "large", micro_batch=4)


@pytest.mark.parametrize(
    ("n_steps", "problem"),
    [
        (6, "loss loss is not a finite number after step 2"),
        (1, "weights are not finite numbers after the last step"),
    ],
)
def test_loss_that_is_no_number_ends_a_training(folder: Path, n_steps: int, problem: str) -> None:
    """Whether there is a further step that shows it or not; nothing is written."""
    tag = f"diverging-{n_steps}"
    with pytest.raises(InputError, match=f"train_prior: {problem}. Lower learning_rate"):
        train(folder, "prior", tag, learning_rate=float("inf"), n_steps=n_steps, n_validations=1)
    assert not (folder / f"{tag}.safetensors").exists()
    assert not checkpoints(folder, tag)


def test_two_processes_give_the_result_of_one(folder: Path) -> None:
    """With the environment variables of SLURM; tests/hpc does the same with srun.

    Each process takes its two scans of a batch one by one.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1", "SLURM_STEP_NUM_NODES": "1", "SLURM_NODEID": "0",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    pair = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), "two", *STAGES],
            env=os.environ | shared | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=280)[1] for process in pair]
    assert [process.returncode for process in pair] == [0, 0], errors
    for stage in STAGES:
        one = straight(folder, stage)
        assert same(folder, one, f"{stage}-two", tolerance=HALF_A_STEP), stage


def test_batch_size_that_does_not_fit_the_processes_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    with pytest.raises(InputError, match=r"train_prior: batch_size: 4 scans .* 3 processes"):
        train(folder, "prior", "uneven")


def test_metrics_of_earlier_attempts_are_written_at_once(tmp_path: Path) -> None:
    lines = StatusLines("x", tmp_path / "metrics.csv")
    lines.rows = [{"step": 1.0, "seconds": 2.0, "train_loss": 0.5}]
    lines._write()
    assert pd.read_csv(tmp_path / "metrics.csv")["step"].tolist() == [1]
