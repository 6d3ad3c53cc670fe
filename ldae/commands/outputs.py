"""Files that commands write."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from ldae.errors import InputError


def add_table_output(parser: argparse.ArgumentParser) -> None:
    """Declare ``--output`` of a command that writes one table, and ``--overwrite``."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE.tsv",
        help="table to write; a readable one, FILE.md, is written beside it",
    )  # fmt: skip
    add_overwrite(parser)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Declare ``--overwrite``."""
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")


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
