"""Encode scans and decode them again.

Writes each brain in the scan's own space and grid (desc-reconstruction), in template space (space-
MNI152NLin2009aSym_desc-reconstruction), and a JSON file beside each image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ldae.commands.scan_options import (
    SCAN,
    add_folder_argument,
    add_input_arguments,
    add_model_arguments,
    add_steps_argument,
    open_model,
    plan_outputs,
)

EXAMPLES = """\
examples:
  ldae reconstruct sub-01_T1w.nii.gz --model model -o out
  ldae reconstruct heads/*.nii.gz --model model -o out --steps 50
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae reconstruct``."""
    parser.add_argument("scans", nargs="+", type=Path, metavar="SCAN", help=SCAN)
    add_folder_argument(parser)
    add_steps_argument(parser)
    add_model_arguments(parser)
    add_input_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write the reconstructions; return 1 if a scan failed."""
    from ldae.deployment.files import decode_files

    outputs = plan_outputs(options, options.scans, "reconstruction", change=False)
    model = open_model(options)
    return decode_files(
        model,
        outputs,
        lambda scan: model.reconstruct(
            scan, steps=options.steps, preprocessed=options.preprocessed
        ),
    )
