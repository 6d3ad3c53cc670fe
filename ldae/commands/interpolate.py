"""Fill in a visit between two visits of a participant.

Interpolates the codes of scans A and B and decodes the result. Writes scan A with the change added
inside the brain, in the space and grid of A; the decoded brain and the map of the change in
template space; and a JSON file beside each image.
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
  ldae interpolate ses-M000_T1w.nii.gz ses-M024_T1w.nii.gz --at 0.5 --model model -o out
  ldae interpolate ses-M000_T1w.nii.gz ses-M024_T1w.nii.gz --months 0 24 12 --model model -o out
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae interpolate``."""
    parser.add_argument("a", type=Path, metavar="A", help=SCAN)
    parser.add_argument("b", type=Path, metavar="B", help="scan of the other visit, likewise")
    add_folder_argument(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--at", type=float, metavar="ALPHA", help="position between A (0) and B (1)")
    where.add_argument(
        "--months", type=float, nargs=3, metavar=("A_MONTH", "B_MONTH", "T"),
        help="months of A, of B, and of the visit to fill in",
    )  # fmt: skip
    add_steps_argument(parser)
    add_model_arguments(parser)
    add_input_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write the visit between; return 1 if a scan cannot be used."""
    from ldae.deployment.files import Progress, describe_run, label_of, write_decoded
    from ldae.deployment.requests import position_of

    months = None if options.months is None else tuple(options.months)
    position_of(options.at, months)  # before a model is loaded
    name = label_of("at", options.at) if months is None else label_of("month", months[2])
    outputs = plan_outputs(options, [options.a], name, change=True)
    model = open_model(options)

    def work(scan: Path) -> None:
        decoded = model.interpolate(
            scan, options.b,
            at=options.at, months=months, steps=options.steps, preprocessed=options.preprocessed,
        )  # fmt: skip
        record = describe_run(model, [scan, options.b], decoded.details)
        write_decoded(decoded, outputs[scan], record)

    progress = Progress(1)
    progress.each([options.a], work)
    return progress.status()
