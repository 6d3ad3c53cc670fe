"""GPUs of jobs: what a rule asks for, and whether torch finds what the job was given."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ldae.errors import InputError

log = logging.getLogger(__name__)

GIVEN_BY = (
    "CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE",
    "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
)  # fmt: skip
"""Variables by which schedulers and users name the GPUs of a process."""

NONE_GIVEN = frozenset({"", "-1", "0:0", "NoDevFiles", "none"})
"""Values of these variables for a process without a GPU."""

DRIVER_FILE = Path("/proc/driver/nvidia/version")
QUERY_SECONDS = 20.0

FIRST_DRIVER = {"11": 450, "12": 525, "13": 580}
"""First driver that runs a CUDA version (NVIDIA, CUDA Compatibility, table of minor versions)."""


CUDA12 = (
    "take the build for CUDA 12: make containers TORCH=cuda12, or rm -rf .venv && make .venv/ready "
    "TORCH=cuda12"
)
"""What to do where the driver runs CUDA 12 and not 13."""


def requested_resources(settings: Mapping[str, Any], asked: bool) -> dict[str, Any]:
    """Resources by which a rule that can use a GPU asks for one.

    Parameters
    ----------
    settings
        Section ``gpu``.
    asked
        Whether jobs are submitted, or GPUs are counted on this machine (``--resources gpu=1``).

    Returns
    -------
    dict
        ``gpu`` is in it even where it is 0: it marks the rules that :func:`require_gpu` checks.
    """
    if not asked or settings["request"] == "none":
        return {"gpu": 0}
    found: dict[str, Any] = {"gpu": 1}
    if settings["request"] == "gres":
        model = f"{settings['model']}:" if settings["model"] else ""
        found = {"gpu": 0, "gres": f"gpu:{model}1"}
    elif settings["model"]:
        found["gpu_model"] = settings["model"]
    if settings["partition"]:
        found["slurm_partition"] = settings["partition"]
    return found


def number_asked(resources: Mapping[str, Any]) -> int:
    """GPUs that a job's resources ask for, by ``gpu`` or ``gres``."""
    gres = re.search(r"\bgpu(?::[\w.]+)*?(?::(\d+))?(?:,|$)", str(resources.get("gres", "")))
    return int(resources.get("gpu", 0)) or (int(gres[1] or 1) if gres else 0)


def require_gpu(rule: str, resources: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Check that torch finds a GPU in a job that was given one, and log the device.

    A job without resource ``gpu``, or without torch in its environment, has no use for one and is
    not checked.

    Parameters
    ----------
    rule
        Name of the rule.
    resources
        The job's resources.
    config
        The study's settings, of which ``gpu.required`` is read.

    Raises
    ------
    InputError
        Naming the versions of torch, CUDA and driver, and what to do.
    """
    if "gpu" not in resources or importlib.util.find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        major, minor = torch.cuda.get_device_capability()
        log.info(
            f"Device: {torch.cuda.get_device_name()}, capability {major}.{minor}, driver "
            f"{driver_version()}, torch {torch.__version__} (CUDA {torch.version.cuda})"
        )
        return
    given = given_gpu(resources)
    if given and config["gpu"]["required"]:
        driver, cuda = driver_version(), torch.version.cuda
        built = f"is built for CUDA {cuda}" if cuda else "is a build without CUDA"
        raise InputError(
            rule,
            f"the job was given a GPU ({given}) but torch finds none: torch {torch.__version__} "
            f"{built}; driver of {os.uname().nodename}: {driver or 'none'}",
            f"{remedy(cuda, driver)}. To compute on the processor instead, set gpu: "
            "{required: false}",
        )
    log.info(f"Device: the processor, torch {torch.__version__}")


def driver_version() -> str:
    """Version of the NVIDIA driver, such as ``580.65.06``; empty without one."""
    if DRIVER_FILE.is_file():
        text = DRIVER_FILE.read_text(errors="replace")
        found = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", text)
        if found:
            return found[1]
    if shutil.which("nvidia-smi"):
        query = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        done = subprocess.run(
            query, capture_output=True, text=True, check=False, timeout=QUERY_SECONDS
        )
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.split()[0]
    return ""


def given_gpu(resources: Mapping[str, Any]) -> str:
    """By what a job was given a GPU, in words; empty if it was not."""
    number = number_asked(resources)
    if number:
        return f"{number} requested"
    named = (f"{name}={os.environ[name]}" for name in GIVEN_BY if name in os.environ)
    return next((text for text in named if text.partition("=")[2] not in NONE_GIVEN), "")


def remedy(cuda: str | None, driver: str) -> str:
    """What to do when torch finds no GPU."""
    if cuda is None:
        return "Install the CUDA build of torch (make containers TORCH=cuda)"
    first = FIRST_DRIVER.get(cuda.partition(".")[0])
    if not driver:
        return "Use nodes with an NVIDIA driver; a container needs --nv"
    if first and int(driver.partition(".")[0]) < first:
        text = f"CUDA {cuda} needs driver {first} or later: use other nodes, update the driver"
        older = cuda.startswith("13") and int(driver.partition(".")[0]) >= FIRST_DRIVER["12"]
        return f"{text}{', or ' + CUDA12 if older else ''}"
    return "Run nvidia-smi in such a job: the GPU may be taken, hidden from the job or of no use"
