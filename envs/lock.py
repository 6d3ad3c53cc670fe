"""Resolve the lists of packages (*.in) into locks with hashes.

    .venv/bin/python envs/lock.py

The CUDA libraries are several gigabytes that a CPU build of torch has no use for, so they are kept
in a lock of their own, which the Makefile installs only beside a CUDA build. What checks a crate
needs older versions of some packages, and has an environment of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CUDA_PACKAGE = re.compile(r"(nvidia-|cuda-|triton\b|torchvision\b)")
# deepbet's graphical window, which the workflow does not open
UNUSED = re.compile(r"(customtkinter|darkdetect)\b")
# torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl, the CPU build of the same version
CPU_TORCH = "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"


def resolve(*lists: str) -> list[str]:
    """Requirements with their hashes, one entry per package."""
    command = ["uv", "pip", "compile", *lists, "--universal", "--python-version"]
    command += ["3.11", "--generate-hashes", "--no-header", "--no-annotate", "--no-config"]
    command[0] = str(Path(sys.executable).parent / "uv")
    done = subprocess.run(command, cwd=FOLDER, stdout=subprocess.PIPE, text=True, check=True)
    entries = re.split(r"\n(?=\S)", done.stdout.strip())
    return [
        entry for entry in entries if not entry.startswith(("#", "-")) and not UNUSED.match(entry)
    ]


def write(name: str, comment: str, entries: list[str]) -> None:
    text = f"# {comment}\n# Made by envs/lock.py; install with pip --no-deps --require-hashes.\n"
    (FOLDER / name).write_text(text + "\n".join(entries) + "\n", encoding="utf-8")


if __name__ == "__main__":
    entries = resolve("local.in", "cuda.in")
    torch = next(i for i, entry in enumerate(entries) if entry.startswith("torch=="))
    cpu = f"{entries[torch].split()[0]} \\\n    --hash=sha256:{CPU_TORCH}"
    entries[torch] += f" \\\n    --hash=sha256:{CPU_TORCH}"
    cuda = [entry for entry in entries if CUDA_PACKAGE.match(entry)]
    write(
        "local.lock",
        "The whole local environment, for Python 3.11 and later.",
        [entry for entry in entries if entry not in cuda],
    )
    write("cuda.lock", "What a CUDA build of torch needs besides local.lock.", cuda)
    write("torch-cpu.lock", "The CPU build of torch, for machines whose pip can find it.", [cpu])
    write("crate-check.lock", "What checks a crate.", resolve("crate-check.in"))
