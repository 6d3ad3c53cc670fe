"""The command ``python -m ldae``: questions about a finished study."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from typing import Protocol, cast

from ldae.errors import InputError

# Each command is a module of ldae.provenance with the two functions of `Command`. Heavy packages
# are imported inside the functions: every module here is imported for the help text.
COMMANDS = ("audit", "seal", "trace", "replay", "crate", "verify")


class Command(Protocol):
    """What a module offers to be a command; its first docstring line is the help text."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options of the command."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it, and return the exit status: 0 for yes, 1 for no."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; 2 where the input cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(prog="ldae", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True)
    modules = {name: _module(name) for name in COMMANDS}
    for name, module in modules.items():
        text = (module.__doc__ or "").partition("\n")[0]
        module.add_arguments(subparsers.add_parser(name, help=text, description=text))
    options = parser.parse_args(arguments)
    try:
        return modules[options.command].run(options)
    except InputError as error:
        logging.getLogger("ldae").error("Error: %s", error)
        return 2


def _module(name: str) -> Command:
    return cast(Command, importlib.import_module(f"ldae.provenance.{name}"))


if __name__ == "__main__":
    sys.exit(main())
