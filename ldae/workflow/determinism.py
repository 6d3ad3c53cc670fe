"""Random generators, threads and device of a job: what its entry does that numbers depend on.

Unlike the rest of a job's entry, this module counts in the digest of every script
(:mod:`ldae.provenance.code.plumbing`).
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Needed by cuBLAS for deterministic results (NVIDIA, cuBLAS library, section 2.1.4).
CUBLAS_WORKSPACE = ":4096:8"


def job_seed(params: Mapping[str, Any]) -> int:
    """Seed of a job from its rule's parameters: 0 for a rule without one."""
    return int(params.get("seed", 0))


def torch_device() -> torch.device:
    """The GPU when there is one, else the processor."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def limit_threads(threads: int) -> None:
    """Hold numerical libraries, here and in child processes, to the job's threads."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
    with contextlib.suppress(ImportError):  # absent where no numerical library is
        import threadpoolctl

        threadpoolctl.threadpool_limits(threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


def seed_everything(seed: int) -> None:
    """Seed the global generators, for libraries that take no generator."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
        torch.manual_seed(seed)
        # Some 3-D operations have no deterministic GPU version: they warn, and the log says so.
        torch.use_deterministic_algorithms(True, warn_only=True)
        # TF32 has an error of about 1e-3, which the equation for z_0 multiplies by up to 157.
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        # Else every new tensor would be filled, which costs a pass over memory and changes nothing.
        torch.utils.deterministic.fill_uninitialized_memory = False
