"""Which variant of the numerical libraries a process computes with.

OpenBLAS, MKL and torch hold several implementations of the same operation and choose one for the
processor at hand. Sums then differ in their last digits from one processor to the next, and what
depends on a threshold may differ altogether. A record therefore names the choice.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Variables by which users or sites choose kernels.
VARIABLES = (
    "ATEN_CPU_CAPABILITY", "BLIS_ARCH_TYPE", "GLIBC_TUNABLES", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES",
    "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE",
)  # fmt: skip


def kernels() -> dict[str, Any]:
    """Libraries of linear algebra, instruction set of torch, and variables that choose them.

    Returns
    -------
    dict
        ``blas``, a list of library, version, kernel and file; ``torch``, None if it is not
        imported; ``variables``, those that are set.
    """
    torch = sys.modules.get("torch")
    return {
        "blas": _blas(),
        "torch": None if torch is None else torch.backends.cpu.get_cpu_capability(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def _blas() -> list[dict[str, Any]]:
    """Loaded libraries of linear algebra, by the names of their files; none where none can be."""
    try:
        import threadpoolctl
    except ImportError:
        return []
    found = [
        {
            "library": one["internal_api"],
            "version": one.get("version"),
            "kernel": one.get("architecture"),
            "file": Path(one["filepath"]).name,
        }
        for one in threadpoolctl.threadpool_info()
        if one["user_api"] == "blas"
    ]
    return sorted(found, key=lambda one: str(one["file"]))


def kernel_differences(
    before: Mapping[str, Any] | None, now: Mapping[str, Any] | None
) -> list[str]:
    """What two records of kernels have different, in words; empty if nothing or if one is missing.

    Parameters
    ----------
    before, now
        As of :func:`kernels`; None for a record without.
    """
    if before is None or now is None:
        return []
    found = []
    one, other = _by_library(before), _by_library(now)
    for name in sorted({*one, *other}):
        if name in one and name in other and one[name] != other[name]:
            found.append(f"{name}: {one[name]} before, {other[name]} now")
    if None not in (before["torch"], now["torch"]) and before["torch"] != now["torch"]:
        found.append(f"torch: {before['torch']} before, {now['torch']} now")
    for name in sorted({*before["variables"], *now["variables"]}):
        a, b = before["variables"].get(name, "unset"), now["variables"].get(name, "unset")
        if a != b:
            found.append(f"{name}: {a} before, {b} now")
    return found


def _by_library(found: Mapping[str, Any]) -> dict[str, str]:
    """Versions and kernels of each library, as text."""
    kinds: dict[str, set[str]] = {}
    for one in found["blas"]:
        text = f"{one['version'] or 'unknown version'}, kernel {one['kernel'] or 'unknown'}"
        kinds.setdefault(one["library"], set()).add(text)
    return {name: " and ".join(sorted(texts)) for name, texts in kinds.items()}
