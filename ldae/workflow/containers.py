"""The images that rules run in, and what a job inside one may see.

An image's file name holds the first digits of its SHA-256: Snakemake compares names, and so a
rebuilt image re-runs what was made with the old one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ldae.errors import InputError
from ldae.paths import WORKFLOW
from ldae.provenance import images
from ldae.provenance.images import STAGES, file_digest, read_digests

# Beginnings of the variables that a job needs inside; everything else of the host stays outside.
PASSED_VARIABLES = ("SLURM_", "CUDA_VISIBLE_DEVICES", "NCCL_", "GLOO_", "MASTER_")
# Any of these says that SLURM has given the job a GPU.
GPU_VARIABLES = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")


def image_path(stage: str) -> str:
    """Place of a stage's image, relative to the working folder.

    Of an image that is not built yet, the place that it will have but for the digest.
    """
    image = read_digests().get(stage)
    return os.path.relpath(image.path if image else images.IMAGES / f"{stage}.sif")


def container_environment(
    environment: Mapping[str, str], folders: Sequence[Path], results: Sequence[Path] = ()
) -> dict[str, str]:
    """Variables by which Apptainer shuts a job off from the host, and lets in what it needs.

    A container started with them has no variable of the host but those of SLURM and of the GPU, no
    network, the GPU's driver only in a job that SLURM gave a GPU, and the data's folders to read.

    Parameters
    ----------
    environment
        Variables of this process.
    folders
        Folders outside the working folder that jobs read.
    results
        Folders outside the working folder that jobs write to.
    """
    # SingularityCE knows the same settings under its old name
    brand = "APPTAINER" if shutil.which("apptainer") else "SINGULARITY"
    found = {f"{brand}_CLEANENV": "1"}
    if f"{brand}_NETWORK" not in environment:  # the user's choice, where a site forbids ours
        found |= {f"{brand}_NET": "1", f"{brand}_NETWORK": "none"}
    if "SLURM_JOB_ID" in environment:
        found[f"{brand}_NV"] = str(int(any(environment.get(name) for name in GPU_VARIABLES)))
    binds = [place for place in environment.get(f"{brand}_BIND", "").split(",") if place]
    binds += [f"{folder.resolve()}:{folder.resolve()}:ro" for folder in folders]
    binds += [f"{folder.resolve()}:{folder.resolve()}" for folder in results]
    if binds:
        found[f"{brand}_BIND"] = ",".join(dict.fromkeys(binds))
    for name, value in environment.items():
        if name.startswith(PASSED_VARIABLES):
            found[f"{brand}ENV_{name}"] = value
    return found


def has_apptainer() -> bool:
    """Whether Snakemake will find what runs containers."""
    return bool(shutil.which("apptainer") or shutil.which("singularity"))


def check_images() -> None:
    """Stop before the work when containers cannot be run, or an image is missing or outdated.

    Raises
    ------
    InputError
        If Apptainer is missing, or at the first image that is not there or was built from another
        lock.
    """
    if not has_apptainer():
        raise InputError(
            "Apptainer",
            "it cannot be found on this machine",
            "Install or load it (module load apptainer), or use conda: --software-deployment-"
            "method conda",
        )
    known = read_digests()
    for stage in STAGES:
        if stage not in known or not known[stage].path.is_file():
            raise InputError(image_path(stage), "the image is not built", "Run `make containers`.")
        if known[stage].lock != file_digest(WORKFLOW / "envs" / f"{stage}.lock"):
            raise InputError(
                known[stage].path,
                f"it was built from another envs/{stage}.lock",
                "Run `make containers`.",
            )
