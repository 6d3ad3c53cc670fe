"""Check whether a folder contains the raw scans of a crate, by name and by checksum."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EXAMPLES = """\
examples:
  ldae verify crate --bids /data/ixi
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae verify``."""
    parser.add_argument("crate", type=Path, help="folder of the crate, or its scans.tsv")
    parser.add_argument("--bids", type=Path, required=True, help="BIDS folder with the raw scans")
    parser.add_argument(
        "--participants",
        type=Path,
        help="file that gave the key of the pseudonyms, where it has changed since: the old "
        "participants.tsv or code/pseudonyms.key",
    )


def run(options: argparse.Namespace) -> int:
    """Print the comparison; return 0 if the folder contains every scan unchanged, else 1."""
    from ldae.provenance.verify import compare_crate, describe_comparison

    found = compare_crate(options.crate, options.bids, options.participants)
    sys.stdout.write("\n".join(describe_comparison(found)) + "\n")
    return 0 if found.holds else 1
