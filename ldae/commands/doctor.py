"""Say what this machine and its cluster are like for a study; paste it into an issue.

Python and packages, disk, quota and file system, scheduler and the limits of its partitions,
containers, driver and torch, and what the study's plan will ask for. Names of this user and machine
are left out. No result is written. Without --profile, a study is taken to run on this machine, and
what its cluster lacks is a note. On a GPU node of a cluster, the same as a job:
snakemake --profile slurm doctor.

Exit status: 0 a study runs here, 1 something stops it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ldae.commands.run import add_study_options, find_study

EXAMPLES = """\
examples:
  ldae doctor                               for a study on this machine
  ldae doctor --profile slurm               for one whose jobs SLURM runs
  ldae doctor --study adni --config bids_folder=/data/adni --profile ~/site
  ldae doctor --steps                       also a few steps of every network
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae doctor``."""
    add_study_options(parser)
    parser.add_argument(
        "--profile", action="append", default=[], type=Path, metavar="FOLDER",
        help="profile with which SLURM runs the jobs: slurm, or that of the site beside it",
    )  # fmt: skip
    parser.add_argument(
        "--steps", action="store_true",
        help="also run a few steps of every network on this machine's device",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(options: argparse.Namespace) -> int:
    """Print what was found; return 1 if something stops a study."""
    from ldae.workflow.doctor import findings
    from ldae.workflow.doctor.examination import examine_machine, title

    files = [find_study(name) for name in options.studies]
    found = examine_machine(files, options.settings, options.profile, options.steps)
    shown = findings.as_json if options.json else findings.describe
    sys.stdout.write(shown(title(), found) + "\n")
    return 1 if findings.problems(found) else 0
