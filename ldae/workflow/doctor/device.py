"""Checks of the device that trainings use: driver, build of torch, capability and precision."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ldae.workflow import gpu
from ldae.workflow.doctor.findings import Check, Finding, note, problem


def device_checks(needed: bool) -> dict[str, Check]:
    """Checks of the device of this process.

    Parameters
    ----------
    needed
        Whether this process was given a GPU, so that it is a problem to find none.
    """
    return {"driver": check_driver, "torch": lambda: check_torch(needed), "NCCL": check_nccl}


def check_driver() -> Iterator[Finding]:
    """Version of the NVIDIA driver."""
    version = gpu.driver_version()
    if version:
        yield Finding("driver", f"NVIDIA {version}")
    elif os.path.exists("/dev/kfd"):
        remedy = "Not supported: the locks have no ROCm build of torch. Trainings use the processor"
        yield note("driver", "an AMD GPU", remedy)
    else:
        yield Finding("driver", "no NVIDIA driver here")


def check_torch(needed: bool) -> Iterator[Finding]:
    """Build of torch, and the device that it finds."""
    import torch

    cuda, driver = torch.version.cuda, gpu.driver_version()
    text = f"{torch.__version__}, " + (f"CUDA {cuda}" if cuda else "without CUDA")
    if not torch.cuda.is_available():
        if needed:
            yield problem("torch", f"{text}, finds no GPU", gpu.remedy(cuda, driver))
        elif driver:
            yield note("torch", f"{text}, finds no GPU", gpu.remedy(cuda, driver))
        else:
            yield Finding("torch", f"{text}; it computes on the processor")
        return
    yield Finding("torch", text)
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        memory = facts.total_memory / 1024**3
        text = f"{facts.name}, {memory:.0f} GiB, capability {facts.major}.{facts.minor}"
        yield Finding(f"device {number}", text)
    if torch.cuda.is_bf16_supported(including_emulation=False):
        yield Finding("precision", "bf16, which this device computes in")
    else:
        remedy = "Expect twice the memory and time of bf16; prefer capability 8.0 or later"
        yield note("precision", "fp32: this device only emulates bf16", remedy)


def check_nccl() -> Iterator[Finding]:
    """Whether several GPUs can talk to each other."""
    import torch

    count = torch.cuda.device_count()
    if count < 2:
        return
    found = ".".join(map(str, torch.cuda.nccl.version()))
    direct = all(torch.cuda.can_device_access_peer(0, number) for number in range(1, count))
    fast = os.path.isdir("/sys/class/infiniband")
    text = f"NCCL {found}, {count} GPUs, {'direct' if direct else 'no direct'} access"
    yield Finding("NCCL", f"{text}, {'InfiniBand' if fast else 'no InfiniBand'}")
