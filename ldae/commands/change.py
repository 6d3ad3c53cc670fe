"""Make a longitudinal cohort of real heads with known change.

Every head of a BIDS folder is registered to the template. Its ventricles, hippocampi and cortex are
changed by a known map, in several visits; of every two participants of similar age, one becomes a
patient. Writes a BIDS folder that a study reads like any other, and the true volumes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  ldae change /data/ixi -o /data/ixi_changed
  ldae run --study known_change --config bids_folder=/data/ixi_changed
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae change``."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="BIDS folder of real heads")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--months",
        type=int,
        nargs="+",
        default=[0, 12, 24],
        metavar="M",
        help="times of the visits",
    )
    parser.add_argument(
        "--brain-extraction", default="deepbet", choices=("deepbet", "template"),
        help="how the brain is found",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes")


def run(options: argparse.Namespace) -> int:
    """Write the cohort; a head that cannot be used is an error."""
    from ldae.evaluation.known_cohort import make_known_cohort

    make_known_cohort(
        options.folder,
        options.output,
        months=options.months,
        brain_extraction=options.brain_extraction,
        seed=options.seed,
        n_workers=options.workers,
    )
    return 0
