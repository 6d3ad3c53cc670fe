"""What software a job ran in: the locks that its environment was made from, and its container.

An environment names its locks itself: whoever makes one writes the output of
``python -m ldae.provenance.environment LOCK …`` to the file ``ready`` in it. It has the format of
``sha256sum``.
"""

from __future__ import annotations

import csv
import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ldae.provenance.code import REPOSITORY

READY_FILE = "ready"

# Written where the images are built: columns name (a stage), sha256 of the image, lock of its
# packages (SHA-256 too), and more. An image's file name holds the first digits of its SHA-256.
DIGESTS = Path("containers") / "digests.tsv"
NAME_DIGITS = 12


@dataclass(frozen=True)
class Image:
    """What is known of a built image: its stage, its SHA-256, and that of its lock."""

    stage: str
    sha256: str
    lock: str

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return f"{self.stage}-{self.sha256[:NAME_DIGITS]}.sif"


def locks(prefix: Path | None = None) -> dict[str, str]:
    """SHA-256 of every lock that the running environment was made from, by its path.

    Parameters
    ----------
    prefix
        The environment; by default the one that this Python belongs to.

    Returns
    -------
    dict
        What the environment says, else what is known of the container's image; empty if nothing.
    """
    path = (prefix or Path(sys.prefix)) / READY_FILE
    if path.is_file():
        lines = (line.partition("  ") for line in path.read_text(encoding="utf-8").splitlines())
        return {name: digest for digest, _, name in lines if name}
    place = _container_place()
    image = known_images(REPOSITORY / DIGESTS).get(place.name) if place else None
    return {f"envs/{image.stage}.lock": image.lock} if image and image.lock else {}


def container() -> dict[str, str | None] | None:
    """File name and SHA-256 of the image that this process runs in; None outside one.

    The digest is that of ``containers/digests.tsv`` unless the image is newer, and None where the
    image can neither be looked up nor be seen.
    """
    place = _container_place()
    if place is None:
        return None
    return {"name": place.name, "sha256": _image_digest(place, REPOSITORY / DIGESTS)}


def known_images(table: Path) -> dict[str, Image]:
    """Built images by file name; empty without the table."""
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t")
        images = [Image(row["name"], row["sha256"], row.get("lock") or "") for row in rows]
    return {image.file_name: image for image in images}


def _container_place() -> Path | None:
    """Place of the image on the host, as the container was told."""
    place = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER")
    return Path(place) if place else None


def _image_digest(image: Path, table: Path) -> str | None:
    known = known_images(table).get(image.name)
    if known and (not image.is_file() or image.stat().st_mtime <= table.stat().st_mtime):
        return known.sha256
    if not image.is_file():
        return None
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(names: list[str]) -> None:
    """Write one line per lock to standard output."""
    for name in names:
        digest = hashlib.sha256(Path(name).read_bytes()).hexdigest()
        sys.stdout.write(f"{digest}  {name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
