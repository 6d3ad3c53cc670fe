"""Container images of the rules, and the isolation of jobs inside them.

The file name of an image contains the first digits of its SHA-256. Snakemake compares file names,
so it re-runs jobs whose image has been rebuilt.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ldae.errors import InputError
from ldae.paths import WORKFLOW
from ldae.provenance import images
from ldae.provenance.images import STAGES, file_digest, read_digests

# Prefixes of the environment variables that are passed into a container; all others are not.
PASSED_VARIABLES = (
    "SLURM_", "CUDA_VISIBLE_DEVICES", "NCCL_", "GLOO_", "MASTER_", "PYTHONSAFEPATH",
)  # fmt: skip
# If any of these is set, SLURM has allocated a GPU to the job.
GPU_VARIABLES = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")


def image_path(stage: str) -> str:
    """Path of a stage's image, relative to the working folder.

    The path of an image that is not built yet lacks the digest.
    """
    image = read_digests().get(stage)
    return os.path.relpath(image.path if image else images.IMAGES / f"{stage}.sif")


def use_images(workflow: Any) -> None:
    """Give every rule the image of its conda environment: both are built from one lock.

    Parameters
    ----------
    workflow
        Snakemake's. A rule of another workflow, whose environment is no stage's, is left as it is.
    """
    paths = {stage: image_path(stage) for stage in STAGES}
    for rule in workflow.rules:
        if rule.conda_env is not None and (path := paths.get(Path(rule.conda_env).stem)):
            rule.container_img = path


def container_environment(
    environment: Mapping[str, str], folders: Sequence[Path], results: Sequence[Path] = ()
) -> dict[str, str]:
    """Environment variables for Apptainer that isolate jobs from the host.

    A container started with them has only the SLURM and GPU variables of the host, no network
    access, the GPU driver only if SLURM has allocated a GPU, and read access to the folders of the
    data.

    Parameters
    ----------
    environment
        Environment variables of this process.
    folders
        Folders outside the working folder that jobs read.
    results
        Folders outside the working folder to which jobs write.
    """
    # SingularityCE has the same settings with its own prefix.
    brand = "APPTAINER" if shutil.which("apptainer") else "SINGULARITY"
    found = {f"{brand}_CLEANENV": "1"}
    if f"{brand}_NETWORK" not in environment:  # users can override it where a site forbids "none"
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
    """Whether Apptainer or Singularity is installed."""
    return bool(shutil.which("apptainer") or shutil.which("singularity"))


def check_images() -> None:
    """Check before a run that containers can be used and that all images are up to date.

    Raises
    ------
    InputError
        If Apptainer is missing, or an image is missing or was built from another lock file.
    """
    if not has_apptainer():
        raise InputError(
            "Apptainer",
            "it cannot be found on this machine",
            "Install or load it (module load apptainer), or do without: "
            "--software-deployment-method env-modules (jobs run in the environment of this "
            "command) or conda",
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
