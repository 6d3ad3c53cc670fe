"""Write a study as a research object: a Provenance Run Crate of its whole history."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  ldae crate
  ldae crate --results results/ixi --output ixi-crate
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae crate``."""
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the study")
    parser.add_argument(
        "--output", type=Path, help="folder of the crate; default: crate/ in the study's folder"
    )
    parser.add_argument("--agent", metavar="NAME", help="name of the person who ran the study")
    parser.add_argument("--orcid", help="ORCID of this person")
    parser.add_argument(
        "--max-mib",
        type=float,
        metavar="MIB",
        help="copy figures, tables and report up to this size; list larger files by checksum",
    )


def run(options: argparse.Namespace) -> int:
    """Write the crate and return 0."""
    from ldae.provenance.crate import MAX_MIB, MEBIBYTE, write_crate

    agent = {"name": options.agent, "orcid": options.orcid} if options.agent else None
    output = options.output or options.results / "crate"
    max_mib = MAX_MIB if options.max_mib is None else options.max_mib
    write_crate(options.results, output, int(max_mib * MEBIBYTE), agent)
    return 0
