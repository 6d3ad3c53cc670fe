"""Write the semantic codes of scans as a table.

Each scan becomes a row: the file, and one column per entry of its code. A JSON file beside the
table records the model, its settings and the scans. A scan that cannot be used is reported, the
others continue, and the exit status is 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ldae.commands.scan_options import (
    SCAN,
    add_input_arguments,
    add_model_arguments,
    open_model,
)

EXAMPLES = """\
examples:
  ldae encode sub-01_T1w.nii.gz --model model -o codes.tsv
  ldae encode bids/sub-*/anat/*_T1w.nii.gz --model model -o codes.tsv --device cuda
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae encode``."""
    parser.add_argument("scans", nargs="+", type=Path, metavar="SCAN", help=SCAN)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE.tsv", help="table of the codes"
    )
    add_model_arguments(parser)
    add_input_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write the table; return 1 if a scan failed."""
    from ldae.deployment.files import check_outputs, encode_files

    check_outputs([options.output], overwrite=options.overwrite)
    return encode_files(
        open_model(options), options.scans, options.output, preprocessed=options.preprocessed
    )
