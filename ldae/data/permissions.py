"""Permissions of weights, which safetensors writes for their owner alone, whatever the umask is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

WEIGHTS = ".safetensors"
NEW_FILE = 0o666
"""Permissions of a new file, of which the umask takes some."""


def follow_umask(paths: Iterable[Path]) -> None:
    """Give weights the permissions that any other new file has here.

    Those who share a folder of results could not read them otherwise.

    Parameters
    ----------
    paths
        Files, and folders with files; those that are no weights or missing are left as they are.
    """
    umask = os.umask(0o077)  # it can only be read by setting it
    os.umask(umask)
    for path in paths:
        for file in path.rglob(f"*{WEIGHTS}") if path.is_dir() else [path]:
            if file.suffix == WEIGHTS:
                with suppress(OSError):  # another user's, or not there
                    mode = stat.S_IMODE(file.stat().st_mode)
                    file.chmod(mode | NEW_FILE & ~umask)
