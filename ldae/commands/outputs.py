"""Files that commands write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ldae.errors import InputError


def refuse_to_replace(paths: Iterable[Path], *, overwrite: bool) -> None:
    """Stop before a file is replaced without having been asked for.

    Raises
    ------
    InputError
        If one is there already, and `overwrite` is false.
    """
    for path in paths:
        if path.exists() and not overwrite:
            raise InputError(path, "it is there already", "Name another, or add --overwrite")
