"""The command ``ldae``, also as ``python -m ldae``."""

from __future__ import annotations

import logging
import sys

from ldae.commands.parser import build_parser
from ldae.errors import InputError, MachineError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; 2 where the input cannot be used.

    Parameters
    ----------
    arguments
        Of the command line, without the program's name; by default those of this process.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser, modules = build_parser()
    own, passed_on = _split(sys.argv[1:] if arguments is None else arguments)
    options, unknown = parser.parse_known_args(own)
    if options.command != "run" and (unknown or passed_on):
        parser.error(f"unrecognized arguments: {' '.join([*unknown, *passed_on])}")
    options.passed_on = [*unknown, *passed_on]
    try:
        return modules[options.command].run(options)
    except InputError as error:
        return _refuse(str(error))
    except MachineError as error:
        logging.getLogger("ldae").error("Error: %s", error)
        return 1
    except OSError as error:
        if error.filename is None or error.strerror is None:
            raise
        remedy = "Check that the place is there, may be used, and has space"
        logging.getLogger("ldae").error(
            "Error: %s: %s. %s", error.filename, error.strerror.lower(), remedy
        )
        return 1
    except KeyboardInterrupt:
        logging.getLogger("ldae").error("Interrupted.")
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __package__:
            raise
        return _refuse(
            f"the package {error.name} is not installed. Install it from a clone of the "
            "repository: pip install '.[workflow]'"
        )


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Arguments before and after the first ``--``."""
    if "--" not in arguments:
        return arguments, []
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


def _refuse(message: str) -> int:
    logging.getLogger("ldae").error("Error: %s", message)
    return 2


if __name__ == "__main__":
    sys.exit(main())
