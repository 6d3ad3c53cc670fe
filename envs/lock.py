"""Resolve the requirements in *.in to lock files with hashes.

    .venv/bin/python envs/lock.py

local.lock contains the whole local environment. preprocess.lock, torch.lock and analysis.lock
contain the packages of one stage's container or conda environment, in the same versions. The CUDA
libraries have several gigabytes and are not needed by a CPU build of torch; they are in cuda.lock,
which is installed only with a CUDA build. cuda12.lock has an older torch in the place of that of
local.lock, for drivers that do not run CUDA 13. The crate checker needs older versions of some
packages, and what builds the documentation, or checks and builds the code, needs none of the
workflow's: each has an environment of its own.

antspyx asks for older versions of numpy and scipy than local.lock has. It is in the environment of
the preprocessing alone, with the versions of local.lock all the same: with others a scan would not
be preprocessed to the same bits there and in .venv. tests/unit/test_ants.py tests what is used.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
STAGES = ("preprocess", "torch", "analysis")
# Packages whose version in local.lock counts more than what another package of the stage allows.
OVERRIDES = {"preprocess": ("numpy", "scipy")}
CUDA_PACKAGE = re.compile(r"(nvidia-|cuda-|triton\b|torchvision\b)")
# graphical user interface of deepbet, which the workflow does not use
UNUSED = re.compile(r"(customtkinter|darkdetect)\b")
# hash of torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl, the CPU build of the same version
CPU_TORCH = "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"

# Snakemake runs a copy of this script in the new environment. The script contains the digest of the
# lock file, so that Snakemake creates the environment again when the lock file changes.
POST_DEPLOY = """\
#!/bin/bash
# Run by Snakemake inside the conda environment of this name. Made by envs/lock.py.
# {stage}.lock: sha256 {digest}
set -euo pipefail
install="python -m pip install --no-deps --require-hashes --requirement"
$install envs/{stage}.lock
if grep -q '^cuda.*= .[0-9]' "$CONDA_PREFIX"/lib/python3*/site-packages/torch/version.py; then
    $install envs/cuda.lock
fi
# by which the records of jobs name the lock
python -m ldae.provenance.environment envs/{stage}.lock > "$CONDA_PREFIX/ready"
"""


def resolve(*lists: str, pins: Sequence[str] = (), overrides: Sequence[str] = ()) -> list[str]:
    """Requirements with their hashes, one entry per package.

    Parameters
    ----------
    lists
        Names of *.in files.
    pins
        Requirements with fixed versions, used as constraints.
    overrides
        Requirements that replace those of the packages themselves.
    """
    command = [str(Path(sys.executable).parent / "uv"), "pip", "compile", *lists, "--universal"]
    command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--no-config"]
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in (("constraint", pins), ("override", overrides)):
            path = Path(folder) / f"{name}.txt"
            path.write_text("\n".join(lines), encoding="utf-8")
            command += [f"--{name}", str(path)]
        done = subprocess.run(command, cwd=FOLDER, stdout=subprocess.PIPE, text=True, check=True)
    entries = re.split(r"\n(?=\S)", done.stdout.strip())
    entries = [e for e in entries if not e.startswith(("#", "-")) and not UNUSED.match(e)]
    return entries


def with_cpu_build(entries: list[str]) -> list[str]:
    """Entries in which the CPU build of torch is accepted as well."""
    return [
        f"{entry} \\\n    --hash=sha256:{CPU_TORCH}" if entry.startswith("torch==") else entry
        for entry in entries
    ]


def without_cuda(entries: list[str]) -> list[str]:
    """Entries without those that only a CUDA build of torch needs."""
    return [entry for entry in entries if not CUDA_PACKAGE.match(entry)]


def write(name: str, comment: str, entries: list[str]) -> str:
    """Write a lock file and return its SHA-256."""
    text = f"# {comment}\n# Made by envs/lock.py; install with pip --no-deps --require-hashes.\n"
    text += "\n".join(entries) + "\n"
    (FOLDER / name).write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    entries = with_cpu_build(resolve("local.in", "cuda.in"))
    write(
        "local.lock",
        "The whole local environment, for Python 3.11 and later.",
        without_cuda(entries),
    )
    write(
        "cuda.lock",
        "What a CUDA build of torch needs besides local.lock.",
        [entry for entry in entries if CUDA_PACKAGE.match(entry)],
    )
    torch = next(entry for entry in entries if entry.startswith("torch=="))
    write(
        "torch-cpu.lock",
        "The CPU build of torch, for machines whose pip can find it.",
        [f"{torch.split()[0]} \\\n    --hash=sha256:{CPU_TORCH}"],
    )
    write("crate-check.lock", "What checks a crate and a BIDS data set.", resolve("crate-check.in"))
    write("dev.lock", "What checks and builds the code.", resolve("dev.in"))
    write("docs.lock", "What builds the documentation.", resolve("docs.in"))
    pins = [entry.partition("\\")[0].strip() for entry in entries]
    others = [pin for pin in without_cuda(pins) if not pin.startswith("torch==")]
    write(
        "cuda12.lock",
        "torch for CUDA 12, and what it needs, in the place of that of local.lock and cuda.lock.",
        [
            entry
            for entry in resolve("cuda12.in", pins=others)
            if CUDA_PACKAGE.match(entry) or entry.startswith("torch==")
        ],
    )
    for stage in STAGES:
        kept = [pin for pin in pins if pin.partition("==")[0] in OVERRIDES.get(stage, ())]
        found = resolve(f"{stage}.in", pins=pins, overrides=kept)
        chosen = without_cuda(with_cpu_build(found))
        digest = write(f"{stage}.lock", f"What the rules of envs/{stage}.yaml need.", chosen)
        script = POST_DEPLOY.format(stage=stage, digest=digest)
        (FOLDER / f"{stage}.post-deploy.sh").write_text(script, encoding="utf-8")
