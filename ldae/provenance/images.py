"""The container images of the stages and their digests."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ldae.paths import WORKFLOW

STAGES = ("preprocess", "torch", "analysis")


IMAGES = WORKFLOW / "containers"


DIGESTS = IMAGES / "digests.tsv"


# Digits of the SHA-256 in a file name: 48 bits set the images of one machine apart.
NAME_DIGITS = 12


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
