"""Put finished studies of the same participants side by side.

RESULTS and AGAINST are results of studies that score the same participants and differ in settings,
such as the registration. The table has the values of both, and the paired gain with its 95 %
interval (positive: RESULTS is better), on the scans that both scored. No model is run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ldae.commands.outputs import add_table_output, refuse_to_replace

EXAMPLES = """\
examples:
  ldae compare results/demons results -o compare.tsv
  ldae compare results/ants results/affine results/none -o registration.tsv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae compare``."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="the study under test")
    parser.add_argument(
        "against", nargs="+", type=Path, metavar="AGAINST", help="what it is compared with"
    )
    add_table_output(parser)


def run(options: argparse.Namespace) -> int:
    """Write the table of all comparisons; 0."""
    from ldae.conclusions.finished import FinishedStudy
    from ldae.conclusions.studies import compare_studies
    from ldae.statistics.tables import write_table

    output: Path = options.output
    readable = output.with_suffix(".md")
    refuse_to_replace([output, readable], overwrite=options.overwrite)
    study, *others = (FinishedStudy.read(path) for path in (options.results, *options.against))
    write_table(compare_studies(study, others), output, readable)
    sys.stdout.write(f"Wrote {output} and {readable}\n")
    return 0
