"""Predict age and a disease score of scans. This is not a diagnosis.

Prints both with an interval of 90 %. The interval of an age contains the age of nine of ten
participants like those of the study. That of the score shows how much the score depends on which
participants the study happened to have; it says nothing about the participant's risk.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ldae.commands.scan_options import (
    SCAN,
    add_input_arguments,
    add_model_arguments,
    open_model,
)

if TYPE_CHECKING:
    from ldae.deployment.answers import Prediction

EXAMPLES = """\
examples:
  ldae predict sub-01_T1w.nii.gz --model model
  ldae predict heads/*.nii.gz --model model -o predictions.tsv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae predict``."""
    parser.add_argument("scans", nargs="+", type=Path, metavar="SCAN", help=SCAN)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.tsv", help="also write a table")
    add_model_arguments(parser)
    add_input_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the predictions; return 1 if a scan failed."""
    from ldae.deployment.files import check_outputs, predict_files

    if options.output is not None:
        check_outputs([options.output], overwrite=options.overwrite)
    model = open_model(options)
    diagnoses = model.config["cohort"]["diagnoses"]
    said: list[str] = []

    def show(scan: Path, found: dict[str, Prediction]) -> None:
        lines = [str(scan), *(_line(one, diagnoses) for one in found.values())]
        sys.stdout.write("\n".join(lines) + "\n")
        said[:] = next(iter(found.values())).warnings if found else []

    status = predict_files(
        model, options.scans, options.output, show, preprocessed=options.preprocessed
    )
    sys.stdout.write("".join(f"{sentence}\n" for sentence in said))
    return status


def _line(found: Prediction, diagnoses: dict[str, str]) -> str:
    """One prediction in words."""
    n = found.held_out["n_subjects"]
    if found.attribute == "age":
        reach = f"[{found.low:.1f}, {found.high:.1f}]"
        return f"  age    {found.value:.1f} years  {reach}  (errors on {n} held-out participants)"
    groups = {
        diagnoses["control"]: found.held_out["controls"],
        diagnoses["patient"]: found.held_out["patients"],
    }
    known = ", ".join(
        f"{name} {scores[2]:.2f} ({scores[0]:.2f} to {scores[-1]:.2f})"
        for name, scores in groups.items()
    )
    reach = f"[{found.low:.2f}, {found.high:.2f}]"
    return (
        f"  score  {found.value:.2f}  {reach}  from 0, {diagnoses['control']}, to 1, "
        f"{diagnoses['patient']}; median and 90 % of {n} held-out participants: {known}"
    )
