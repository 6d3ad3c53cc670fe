"""The images that rules run in, and what a job inside one may see.

An image's file name holds the first digits of its SHA-256: Snakemake compares names, and so a
rebuilt image re-runs what was made with the old one.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ldae.errors import InputError
from ldae.provenance.code import REPOSITORY

STAGES = ("preprocess", "torch", "analysis")
IMAGES = REPOSITORY / "containers"
DIGESTS = IMAGES / "digests.tsv"
# Digits of the SHA-256 in a file name: 48 bits set the images of one machine apart.
NAME_DIGITS = 12

# Beginnings of the variables that a job needs inside; everything else of the host stays outside.
PASSED_VARIABLES = ("SLURM_", "CUDA_VISIBLE_DEVICES", "NCCL_", "GLOO_", "MASTER_")
# Any of these says that SLURM has given the job a GPU.
GPU_VARIABLES = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Image:
    """One line of digests.tsv.

    Attributes
    ----------
    name
        Stage.
    sha256
        Of the image's file.
    lock
        SHA-256 of the lock that its packages came from.
    commit
        Of the repository when it was built.
    torch
        Build of torch that was asked for.
    recipe
        Digest of everything that decided what the image holds.
    """

    name: str
    sha256: str
    lock: str
    commit: str
    torch: str
    recipe: str

    @property
    def file_name(self) -> str:
        """Name of the image's file."""
        return f"{self.name}-{self.sha256[:NAME_DIGITS]}.sif"

    @property
    def path(self) -> Path:
        """The image's file in this repository."""
        return IMAGES / self.file_name


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_digests(table: Path | None = None) -> dict[str, Image]:
    """The present image of every stage that has one.

    Parameters
    ----------
    table
        Where they are listed; by default in this repository.
    """
    table = table or DIGESTS
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        return {row["name"]: Image(**row) for row in csv.DictReader(file, delimiter="\t")}


def write_digests(images: Mapping[str, Image]) -> None:
    """Replace the table of present images."""
    partial = DIGESTS.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        names = [field.name for field in fields(Image)]
        writer = csv.DictWriter(file, names, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(images[name]) for name in sorted(images))
    partial.replace(DIGESTS)


def image_path(stage: str) -> str:
    """Place of a stage's image, relative to the working folder.

    Of an image that is not built yet, the place that it will have but for the digest.
    """
    image = read_digests().get(stage)
    return os.path.relpath(image.path if image else IMAGES / f"{stage}.sif")


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
    images = read_digests()
    for stage in STAGES:
        if stage not in images or not images[stage].path.is_file():
            raise InputError(image_path(stage), "the image is not built", "Run `make containers`.")
        if images[stage].lock != file_digest(REPOSITORY / "envs" / f"{stage}.lock"):
            raise InputError(
                images[stage].path,
                f"it was built from another envs/{stage}.lock",
                "Run `make containers`.",
            )
