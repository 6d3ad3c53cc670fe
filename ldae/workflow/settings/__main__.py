"""The command ``python -m ldae.workflow.settings``."""

from __future__ import annotations

import argparse
import logging
import sys

from ldae.errors import InputError
from ldae.workflow.settings import command


def main() -> int:
    """Run the command; 2 where the input cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(prog="settings", description=command.__doc__)
    command.add_arguments(parser)
    try:
        return command.run(parser.parse_args())
    except InputError as error:
        logging.getLogger("ldae").error("Error: %s", error)
        return 2


if __name__ == "__main__":
    sys.exit(main())
