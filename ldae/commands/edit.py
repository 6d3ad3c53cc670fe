"""Change the age or the diagnosis of scans.

Moves the semantic code of a scan and decodes it with the scan's own stochastic code. Writes the
scan itself with the change added inside the brain, in its own space and grid; the decoded brain
and the map of the change in template space; and a JSON file beside each image.
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
from ldae.errors import InputError

EXAMPLES = """\
examples:
  ldae edit sub-01_T1w.nii.gz --attribute diagnosis --amount 0.5 --model model -o out
  ldae edit sub-01_T1w.nii.gz --attribute age --to-age 80 --model model -o out
  ldae edit sub-01_T1w.nii.gz --attribute age --from-age 62 --to-age 80 --model model -o out
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae edit``."""
    parser.add_argument("scans", nargs="+", type=Path, metavar="SCAN", help=SCAN)
    add_folder_argument(parser)
    parser.add_argument(
        "--attribute", required=True, choices=("age", "diagnosis"), help="what is changed"
    )
    how_far = parser.add_mutually_exclusive_group(required=True)
    how_far.add_argument(
        "--amount", type=float, metavar="A",
        help="SD per entry of the code; positive is older, or towards the patients",
    )  # fmt: skip
    how_far.add_argument(
        "--to-age", type=float, metavar="YEARS", help="age that the model shall read"
    )
    parser.add_argument(
        "--from-age", type=float, metavar="YEARS",
        help="age at the scan, for --to-age; default: what the model reads",
    )  # fmt: skip
    add_steps_argument(parser)
    add_model_arguments(parser)
    add_input_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write the edited scans; return 1 if a scan failed."""
    from ldae.deployment.files import decode_files, label_of
    from ldae.deployment.requests import check_edit

    attribute, amount, to_age = options.attribute, options.amount, options.to_age
    if attribute != "age" and (to_age is not None or options.from_age is not None):
        raise InputError("--to-age", f"it belongs to age, not to {attribute}", "Give --amount")
    if amount is not None and options.from_age is not None:
        raise InputError("--from-age", "it belongs to --to-age", "Leave it out, or give --to-age")
    check_edit(amount, to_age, options.from_age)  # before a model is loaded
    name = label_of(attribute, amount) if amount is not None else label_of("ageTo", to_age)
    outputs = plan_outputs(options, options.scans, name, change=True)
    model = open_model(options)
    return decode_files(
        model,
        outputs,
        lambda scan: model.edit(
            scan,
            attribute,
            amount=amount,
            to_age=to_age,
            from_age=options.from_age,
            steps=options.steps,
            preprocessed=options.preprocessed,
        ),
    )
