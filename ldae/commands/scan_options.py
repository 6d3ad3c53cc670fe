"""Options that the commands on scans share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ldae.errors import InputError

if TYPE_CHECKING:
    from ldae.deployment.files import Output
    from ldae.deployment.model import Model

SCAN = "NIfTI file: a raw T1-weighted head in any orientation, or a brain that the model's study \
has preprocessed (recognised by its grid)"


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which model is used, and where it computes."""
    parser.add_argument(
        "--model", type=Path, default=Path("results"), metavar="FOLDER",
        help="folder that ldae export has written, or results of a study (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--method", metavar="NAME", help="method of the study (default: the recommended one)"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="training seed; default: the study's first"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--threads", type=count, metavar="N", help="processor threads; default: all cores"
    )


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how scans are taken and outputs written."""
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--preprocessed", action="store_const", const=True, dest="preprocessed",
        help="the scans are preprocessed; refuse what does not lie on the model's grid",
    )  # fmt: skip
    kind.add_argument(
        "--raw", action="store_const", const=False, dest="preprocessed",
        help="the scans are raw heads, even where they lie on the model's grid",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def add_steps_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the number of sampler steps."""
    parser.add_argument(
        "--steps", type=count, metavar="N",
        help="sampler steps, each way; default: those of the study's edits",
    )  # fmt: skip


def add_folder_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the folder of the outputs."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the outputs"
    )


def count(text: str) -> int:
    """A positive whole number of the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


def open_model(options: argparse.Namespace) -> Model:
    """The model that the options name."""
    from ldae.deployment.model import load

    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    return load(options.model, options.method, seed=options.seed, device=options.device)


def plan_outputs(
    options: argparse.Namespace, scans: list[Path], label: str, *, change: bool
) -> dict[Path, Output]:
    """Files that each scan is written to, none of which exists unless it may be replaced."""
    from ldae.deployment.files import Output, base_name, check_outputs

    repeated = sorted({scan for scan in scans if scans.count(scan) > 1})
    if repeated:
        raise InputError(repeated[0], "the scan is given twice", "Give every scan once")
    outputs = {
        scan: Output(options.output, base_name(scan), label, has_change=change) for scan in scans
    }
    check_outputs(list(outputs.values()), overwrite=options.overwrite)
    return outputs
