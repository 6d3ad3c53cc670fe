"""Compute a file again from its record, and compare it with the original."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ldae.errors import InputError

EXAMPLES = """\
examples:
  ldae replay figures/roc.png
  ldae replay tables/probes.tsv --all-ancestors --keep again
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae replay``."""
    parser.add_argument("target", help="file of the study, such as figures/roc.png")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument("--bids", type=Path, metavar="DIR", help="raw scans of a real cohort")
    parser.add_argument(
        "--all-ancestors", action="store_true", help="also run all jobs on which the file depends"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder to work in, which is kept")


def run(options: argparse.Namespace) -> int:
    """Run the job again and compare its outputs; return 1 if they differ."""
    from ldae.provenance.replay import replay_target

    with tempfile.TemporaryDirectory(prefix="ldae-replay-") as temporary:
        scratch = options.keep or Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        if any(scratch.iterdir()):
            raise InputError(scratch, "the folder is not empty", "Name a new one with --keep.")
        replay = replay_target(
            options.results,
            options.target,
            scratch,
            options.bids,
            all_ancestors=options.all_ancestors,
        )
    sys.stdout.write(replay.as_text())
    return 0 if replay.agrees else 1
