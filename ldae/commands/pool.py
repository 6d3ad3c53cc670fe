"""Write the tables of all folds of a cross-validated study.

RESULTS are the results of its folds: studies that differ in who is tested alone. Every number is
over all participants, each tested in one fold. No model is run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ldae.commands.outputs import add_overwrite, refuse_to_replace

EXAMPLES = """\
examples:
  ldae pool results/fold-0 results/fold-1 results/fold-2 -o results/pooled
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae pool``."""
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="results of folds")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER",
        help="folder of the tables; a readable one lies beside each",
    )  # fmt: skip
    add_overwrite(parser)


def run(options: argparse.Namespace) -> int:
    """Write the tables; 0."""
    from ldae.conclusions.finished import FinishedStudy
    from ldae.conclusions.pool import pool_folds
    from ldae.statistics.tables import write_table

    folder: Path = options.output
    tables = pool_folds([FinishedStudy.read(path) for path in options.results])
    files = {name: (folder / f"{name}.tsv", folder / f"{name}.md") for name in tables}
    written = [path for pair in files.values() for path in pair]
    refuse_to_replace(written, overwrite=options.overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_table(table, *files[name])
    sys.stdout.write(f"Wrote {', '.join(tables)} into {folder}\n")
    return 0
