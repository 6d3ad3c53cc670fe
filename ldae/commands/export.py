"""Export a trained model as a folder that stands alone.

The folder has weights, settings, probes, model card, licence and checksums, and is a bundle that
MONAI runs. The other commands take it with --model; ldae.load(FOLDER) opens it in Python.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EXAMPLES = """\
examples:
  ldae export results -o model              the recommended model
  ldae export results --method ldae -o paper-model
  ldae export results/ixi --licence CC-BY-SA-3.0.txt -o ixi-model
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae export``."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="results of a study")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="folder to write"
    )
    parser.add_argument(
        "--method", metavar="NAME", help="method of the study (default: the recommended one)"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="training seed; default: the study's first"
    )
    parser.add_argument(
        "--licence", type=Path, metavar="FILE",
        help="text of the weights' licence; required unless the cohort is simulated",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace an exported model")


def run(options: argparse.Namespace) -> int:
    """Write the folder and return 0."""
    from ldae.deployment.export import export_model

    exported = export_model(
        options.results,
        options.output,
        method=options.method,
        seed=options.seed,
        licence=options.licence,
        overwrite=options.overwrite,
    )
    sys.stdout.write(f"{options.output}: {exported.method.name}, digest {exported.digest}\n")
    return 0
