"""Show the ancestry of a figure, table, model or table cell, back to the raw scans.

The output is a text tree or JSON; --picture also draws an image.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

EXAMPLES = """\
examples:
  ldae trace results/figures/roc.png
  ldae trace results/tables/probes.tsv --where method=ldae,metric=roc_auc,split=val
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae trace``."""
    parser.add_argument("file", type=Path, help="figure, table, model or other file of a study")
    parser.add_argument(
        "--where",
        metavar="COLUMN=VALUE,…",
        default="",
        help="rows of a table, for example method=ldae,metric=roc_auc,split=val",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw an image (png, svg or pdf)"
    )
    parser.add_argument(
        "--results", type=Path, help="folder of the study; default: the one that contains the file"
    )


def run(options: argparse.Namespace) -> int:
    """Print the ancestry of the file and return 0."""
    from ldae.provenance.history import load_history
    from ldae.provenance.lineage import trace_lineage
    from ldae.provenance.trace import describe, find_results, read_conditions
    from ldae.provenance.tree import draw_tree

    history = load_history(options.results or find_results(options.file))
    lineage = trace_lineage(history, options.file, read_conditions(options.where))
    if options.picture is not None:
        from ldae.report.ancestry import plot_lineage, save_lineage

        save_lineage(plot_lineage(lineage), options.picture)
    if options.json:
        text = json.dumps(describe(lineage), indent=2, ensure_ascii=False)
    else:
        text = "\n".join(draw_tree(lineage))
    sys.stdout.write(text + "\n")
    return 0
