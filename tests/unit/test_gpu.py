"""GPUs that jobs ask for, and jobs that were given one and find none."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ldae.errors import InputError
from ldae.workflow import determinism, gpu

ROOT = Path(__file__).resolve().parents[2]
SETTINGS: dict[str, Any] = {"request": "gpus", "model": None, "partition": None}


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process without a GPU and without a driver."""
    for name in gpu.GIVEN_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(gpu, "DRIVER_FILE", tmp_path / "version")
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "asked", "expected"),
    [
        ({}, True, {"gpu": 1}),
        ({}, False, {"gpu": 0}),
        ({"request": "none"}, True, {"gpu": 0}),
        ({"model": "a100", "partition": "gpu"}, True,
         {"gpu": 1, "gpu_model": "a100", "slurm_partition": "gpu"}),
        ({"request": "gres"}, True, {"gpu": 0, "gres": "gpu:1"}),
        ({"request": "gres", "model": "a100"}, True, {"gpu": 0, "gres": "gpu:a100:1"}),
    ],
)  # fmt: skip
def test_what_a_rule_asks_for(
    changes: dict[str, Any], asked: bool, expected: dict[str, Any]
) -> None:
    assert gpu.requested_resources(SETTINGS | changes, asked) == expected


@pytest.mark.parametrize(
    ("resources", "number"),
    [
        ({}, 0), ({"gpu": 0}, 0), ({"gpu": 2}, 2), ({"gpu": 0, "gres": "gpu:1"}, 1),
        ({"gres": "gpu:a100:4"}, 4), ({"gres": "gpu"}, 1), ({"gres": "gpu:a100"}, 1),
        ({"gres": "shard:2"}, 0), ({"gres": "lscratch:10,gpu:2"}, 2),
    ],
)  # fmt: skip
def test_number_of_gpus(resources: dict[str, Any], number: int) -> None:
    assert gpu.number_asked(resources) == number


@pytest.mark.parametrize(
    ("resources", "variables", "given"),
    [
        ({"gpu": 1}, {}, "1 requested"),
        ({"gpu": 0, "gres": "gpu:a100:2"}, {}, "2 requested"),
        ({"gpu": 0}, {"CUDA_VISIBLE_DEVICES": "0,1"}, "CUDA_VISIBLE_DEVICES=0,1"),
        ({"gpu": 0}, {"SLURM_JOB_GPUS": "3"}, "SLURM_JOB_GPUS=3"),
        ({"gpu": 0}, {"ROCR_VISIBLE_DEVICES": "0"}, "ROCR_VISIBLE_DEVICES=0"),
    ],
)
def test_a_job_that_was_given_a_gpu_and_finds_none_stops(
    resources: dict[str, Any],
    variables: dict[str, str],
    given: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        gpu.require_gpu("train_network", resources, {"gpu": {"required": True}})
    message = str(caught.value)
    assert message.startswith("train_network: the job was given a GPU (" + given)
    assert "gpu: {required: false}" in message and "driver of" in message
    with caplog.at_level(logging.INFO):
        gpu.require_gpu("train_network", resources, {"gpu": {"required": False}})
    assert "Device: the processor" in caplog.text


@pytest.mark.parametrize(
    ("resources", "variables"),
    [
        ({"gpu": 0}, {}),
        ({"gpu": 0}, {"CUDA_VISIBLE_DEVICES": "-1"}),
        ({"gpu": 0}, {"CUDA_VISIBLE_DEVICES": "NoDevFiles"}),
        ({"mem_mb": 1}, {"CUDA_VISIBLE_DEVICES": "0"}),  # a rule that has no use for one
    ],
)
def test_other_jobs_compute_on_the_processor(
    resources: dict[str, Any], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    gpu.require_gpu("train_network", resources, {"gpu": {"required": True}})


@pytest.mark.parametrize(
    ("cuda", "driver", "remedy"),
    [
        (None, "580.65", "Install the CUDA build of torch"),
        ("13.0", "", "Use nodes with an NVIDIA driver"),
        ("13.0", "550.54.15", "CUDA 13.0 needs driver 580 or later.*TORCH=cuda12"),
        ("13.0", "470.82.01", "needs driver 580 or later: use other nodes, update the driver\\. "),
        ("12.8", "470.82.01", "CUDA 12.8 needs driver 525 or later"),
        ("12.6", "550.54.15", "Run nvidia-smi in such a job"),
    ],
)
def test_the_remedy_fits_build_and_driver(
    cuda: str | None, driver: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.cuda", cuda)
    if driver:
        text = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {driver}  Release Build\n"
        gpu.DRIVER_FILE.write_text(text)
    with pytest.raises(InputError, match=remedy):
        gpu.require_gpu("train_network", {"gpu": 1}, {"gpu": {"required": True}})


def test_no_job_computes_in_reduced_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *_, **__: None)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        determinism.seed_everything(0)
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("driver", "arguments", "adds"),
    [
        ("550.54.15", (), True), ("580.65.06", (), False), (None, (), False),
        (None, ("TORCH=cuda12",), True), ("550.54.15", ("TORCH=cuda",), False),
    ],
)  # fmt: skip
def test_an_old_driver_gets_torch_for_cuda_12(
    driver: str | None, arguments: tuple[str, ...], adds: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """`make` decides it when it sets up the environment."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    if driver:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho {driver}\n")
        program.chmod(0o755)
    command = ("make", "--dry-run", "--always-make", *arguments, ".venv/ready")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ('if [ -n "" ]' not in done.stdout) is adds
    assert "envs/cuda12.lock" in done.stdout and gpu.FIRST_DRIVER["13"] == 580
