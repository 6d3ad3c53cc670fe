"""Check whether a crate is as it was written, and whether a folder contains its raw scans."""

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
    parser.add_argument("--bids", type=Path, help="BIDS folder with the raw scans, to compare them")
    parser.add_argument(
        "--participants",
        type=Path,
        help="file that gave the key of the pseudonyms, where it has changed since: the old "
        "participants.tsv or code/pseudonyms.key",
    )


def run(options: argparse.Namespace) -> int:
    """Print the comparison; return 0 if every file and every scan is unchanged, else 1."""
    from ldae.provenance.verify import compare_crate, describe_comparison
    from ldae.provenance.verify_crate import check_crate, describe_check

    holds = True
    if options.crate.is_dir() or options.bids is None:
        checked = check_crate(options.crate)
        sys.stdout.write("\n".join(describe_check(checked)) + "\n")
        holds = checked.holds
    if options.bids is not None:
        found = compare_crate(options.crate, options.bids, options.participants)
        sys.stdout.write("\n".join(describe_comparison(found)) + "\n")
        holds = holds and found.holds
    return 0 if holds else 1
