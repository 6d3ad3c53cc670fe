"""Command line of the package: each module named in `COMMANDS` is one command of ``ldae``."""

from __future__ import annotations

import argparse
import importlib
from typing import Protocol, cast

COMMANDS = (
    "init", "doctor", "change", "run", "encode", "reconstruct", "edit", "interpolate", "predict",
    "view", "export", "transfer", "compare", "pool", "audit", "trace", "replay", "crate", "verify",
    "seal", "completion",
)  # fmt: skip
"""Names of the commands and their modules, in the order of the help text."""


class Command(Protocol):
    """Interface of a command's module; the first line of the module's docstring is the help text.

    `EXAMPLES` end the help of the command. All modules are imported for the help text, so large
    packages must be imported inside `run`.
    """

    __doc__: str | None
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options of the command."""

    def run(self, options: argparse.Namespace) -> int:
        """Run the command and return the exit status: 0 for success, 1 for a negative result."""


def load_command(name: str) -> Command:
    """Module of a command."""
    return cast(Command, importlib.import_module(f"{__name__}.{name}"))
