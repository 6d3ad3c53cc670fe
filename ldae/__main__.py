"""Latent diffusion autoencoders for brain MRI: run a study, and ask where its numbers come from."""

from __future__ import annotations

import argparse
import logging
import sys

from ldae import __version__
from ldae.commands import COMMANDS, Command, load_command
from ldae.errors import InputError

EXAMPLES = """\
examples:
  ldae init /data/adni                      what is there, and settings for a study of it
  ldae run -n                               show what the default study would compute
  ldae run                                  compute it, into ./results
  ldae run --study ixi --config bids_folder=/data/ixi
  ldae audit                                is everything still what was computed?
  ldae trace results/figures/roc.png        where does this figure come from?
  ldae replay figures/roc.png               does it come out the same again?

ldae COMMAND --help describes a command. Exit status: 0 yes or done, 1 no or failed, 2 the input
cannot be used.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; 2 where the input cannot be used.

    Parameters
    ----------
    arguments
        Of the command line, without the program's name; by default those of this process.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser, modules = _parser()
    own, passed_on = _split(sys.argv[1:] if arguments is None else arguments)
    options, unknown = parser.parse_known_args(own)
    if options.command != "run" and (unknown or passed_on):
        parser.error(f"unrecognized arguments: {' '.join([*unknown, *passed_on])}")
    options.passed_on = [*unknown, *passed_on]
    try:
        return modules[options.command].run(options)
    except InputError as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __package__:
            raise
        return _refuse(
            f"the package {error.name} is not installed. Install it from a clone of the "
            "repository: pip install '.[workflow]'"
        )


def _parser() -> tuple[argparse.ArgumentParser, dict[str, Command]]:
    """The parser of all commands, and their modules by name."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="ldae", description=__doc__, epilog=EXAMPLES, formatter_class=layout
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {name: load_command(name) for name in COMMANDS}
    for name, module in modules.items():
        title, _, rest = (module.__doc__ or "").partition("\n")
        module.add_arguments(
            subparsers.add_parser(
                name,
                help=title,
                description=f"{title}\n{rest}".rstrip(),
                formatter_class=layout,
                allow_abbrev=False,
            )
        )
    return parser, modules


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
