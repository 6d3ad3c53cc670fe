"""The command line: each module here is one command of ``ldae``."""

from __future__ import annotations

import argparse
import importlib
from typing import Protocol, cast

COMMANDS = ("run", "audit", "trace", "replay", "crate", "verify", "seal")
"""Modules of this package, in the order of the help text."""


class Command(Protocol):
    """What a module offers to be a command; the first line of its docstring is the help text.

    Heavy packages are imported inside `run`: every module is imported for the help text.
    """

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options of the command."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it, and return the exit status: 0 for yes, 1 for no."""


def load_command(name: str) -> Command:
    """The module of a command."""
    return cast(Command, importlib.import_module(f"{__name__}.{name}"))
