"""Compute a file again from its record, and compare it with the original."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

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
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="folder to work in, which is kept; a replay that was interrupted there is continued",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="stop a training after N minutes, and compare its losses as far as it came",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="X",
        help="largest accepted relative difference of numbers (default: 0.001)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the job again and compare its outputs; return 1 if they differ."""
    from ldae.provenance.compare import TOLERANCE
    from ldae.provenance.replay import Options, replay_target

    tolerance = TOLERANCE if options.tolerance is None else options.tolerance
    former = signal.signal(signal.SIGTERM, _end)  # the scratch folder is removed then, too
    try:
        with tempfile.TemporaryDirectory(prefix="ldae-replay-") as temporary:
            replay = replay_target(
                options.results,
                options.target,
                options.keep or Path(temporary),
                options.bids,
                options=Options(options.all_ancestors, options.minutes, tolerance),
            )
    finally:
        signal.signal(signal.SIGTERM, former)
    sys.stdout.write(replay.as_text())
    return 0 if replay.agrees else 1


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
