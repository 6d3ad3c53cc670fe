"""Copies of the large arrays on the disk of the node that a training runs on."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ldae.data.digests import forget_digest, keep_digest, trusted_digest

LARGE = ("volumes", "masks", "mu", "sigma")
"""Names of the inputs that are read at random in every step."""

logger = logging.getLogger(__name__)


@contextmanager
def local_copies(files: Mapping[str, Any], wanted: bool) -> Iterator[dict[str, Any]]:
    """Input files of a training, the large ones as copies in the folder for temporary files.

    The files themselves, if no copies are wanted or there is no room for them.

    Parameters
    ----------
    files
        Input files by name.
    wanted
        Whether to copy.
    """
    large = {name: Path(files[name]) for name in LARGE if isinstance(files.get(name), str)}
    needed = sum(path.stat().st_size for path in large.values())
    place = Path(tempfile.gettempdir())
    free = shutil.disk_usage(place).free
    if wanted and needed > free:
        logger.warning(
            "The arrays (%.1f GB) are read where they lie: %s has %.1f GB free",
            needed / 1e9, place, free / 1e9,
        )  # fmt: skip
    if not wanted or needed > free:
        yield dict(files)
        return
    with tempfile.TemporaryDirectory(prefix="ldae-") as folder:
        copies = {name: Path(folder) / path.name for name, path in large.items()}
        for name, copy in copies.items():
            shutil.copyfile(large[name], copy)
            keep_digest(copy, trusted_digest(large[name]))
        logger.info("copied %.1f GB to %s", needed / 1e9, place)
        yield {**files, **{name: str(copy) for name, copy in copies.items()}}
        for copy in copies.values():
            forget_digest(copy)
