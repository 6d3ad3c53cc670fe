"""Parser of the command line, made of all commands."""

from __future__ import annotations

import argparse

from ldae import __version__
from ldae.commands import COMMANDS, Command, load_command

DESCRIPTION = (
    "Latent diffusion autoencoders for brain MRI: run a study, use its models, and ask where its "
    "numbers come from."
)

EXAMPLES = """\
examples:
  ldae init /data/adni                      what is there, and settings for a study of it
  ldae run -n                               show what the default study would compute
  ldae run                                  compute it, into ./results
  ldae run --study ixi --config bids_folder=/data/ixi
  ldae export results -o model              write a trained model as a folder that stands alone
  ldae edit head.nii.gz --attribute age --to-age 80 --model model -o out
  ldae audit                                is everything still what was computed?
  ldae trace results/figures/roc.png        where does this figure come from?
  ldae replay figures/roc.png               does it come out the same again?

ldae COMMAND --help describes a command. Exit status: 0 yes or done, 1 no or failed, 2 the input
cannot be used.
"""


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, Command]]:
    """The parser of all commands, and their modules by name."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="ldae", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=layout
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
                epilog=module.EXAMPLES,
                formatter_class=layout,
                allow_abbrev=False,
            )
        )
    return parser, modules
