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
from pathlib import Path

from ldae.provenance.code import REPOSITORY

READY_FILE = "ready"

# Written where the images are built: columns name and sha256.
DIGESTS = Path("containers") / "digests.tsv"


def locks(prefix: Path | None = None) -> dict[str, str]:
    """SHA-256 of every lock that the running environment was made from, by its path.

    Parameters
    ----------
    prefix
        The environment; by default the one that this Python belongs to.

    Returns
    -------
    dict
        Empty if the environment does not tell.
    """
    path = (prefix or Path(sys.prefix)) / READY_FILE
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}


def container() -> dict[str, str | None] | None:
    """File name and SHA-256 of the image that this process runs in; None outside one.

    The digest is that of ``containers/digests.tsv`` unless the image is newer, and None where the
    image can neither be looked up nor be seen.
    """
    place = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER")
    if not place:
        return None
    image = Path(place)
    return {"name": image.name, "sha256": _image_digest(image, REPOSITORY / DIGESTS)}


def known_digests(table: Path) -> dict[str, str]:
    """SHA-256 of built images by file name; empty without the table."""
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        return {row["name"]: row["sha256"] for row in csv.DictReader(file, delimiter="\t")}


def _image_digest(image: Path, table: Path) -> str | None:
    known = known_digests(table).get(image.name)
    if not image.is_file():
        return known
    if known and image.stat().st_mtime <= table.stat().st_mtime:
        return known
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(names: list[str]) -> None:
    """Write one line per lock to standard output."""
    for name in names:
        digest = hashlib.sha256(Path(name).read_bytes()).hexdigest()
        sys.stdout.write(f"{digest}  {name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
