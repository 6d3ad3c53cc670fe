"""Software environment of a job: the lock files of its environment, and its container.

An environment lists its own lock files: after its creation, the output of
``python -m ldae.provenance.environment LOCK …`` is written to the file ``ready`` inside it, in the
format of ``sha256sum``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ldae.provenance import images
from ldae.provenance.images import Image, file_digest, read_digests

READY_FILE = "ready"


def locks(prefix: Path | None = None) -> dict[str, str]:
    """SHA-256 of every lock file of the running environment, by its path.

    Parameters
    ----------
    prefix
        Folder of the environment; by default that of the running Python.

    Returns
    -------
    dict
        The lock files that the environment lists, or else the lock file of the container's image;
        empty if neither is known.
    """
    path = (prefix or Path(sys.prefix)) / READY_FILE
    if path.is_file():
        lines = (line.partition("  ") for line in path.read_text(encoding="utf-8").splitlines())
        return {name: digest for digest, _, name in lines if name}
    place = _container_place()
    image = _image(place) if place else None
    return {f"envs/{image.name}.lock": image.lock} if image else {}


def container() -> dict[str, str | None] | None:
    """File name and SHA-256 of the container image of this process; None outside a container.

    The digest is read from ``containers/digests.tsv`` unless the image is newer than that table.
    It is None if the table does not list the image and the image file is not visible.
    """
    place = _container_place()
    if place is None:
        return None
    return {"name": place.name, "sha256": _image_digest(place)}


def _container_place() -> Path | None:
    """Path of the image on the host, which the container runtime provides."""
    place = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER")
    return Path(place) if place else None


def _image(place: Path) -> Image | None:
    """Entry of an image in the table of digests; None if it is not listed."""
    return next((one for one in read_digests().values() if one.file_name == place.name), None)


def _image_digest(place: Path) -> str | None:
    known = _image(place)
    listed = images.DIGESTS
    if known and (not place.is_file() or place.stat().st_mtime <= listed.stat().st_mtime):
        return known.sha256
    return file_digest(place) if place.is_file() else None


def main(names: list[str]) -> None:
    """Write one line per lock to standard output."""
    for name in names:
        sys.stdout.write(f"{file_digest(Path(name))}  {name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
