"""Test the models of some studies on the cohort of another one, frozen and adapted.

SOURCE is the results of a finished study. TARGET is the results of a study whose scans are
preprocessed on the same grid. Its training participants adapt the model; its validation
participants measure it, or its test participants where that study is final. Reconstruction, age and
disease are measured with everything frozen, with statistics of the target's codes, and with probes
fitted on some labelled participants of the target; with --fine-tune also after some further steps
of training on the target's scans.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from ldae.commands.outputs import add_table_output, refuse_to_replace
from ldae.errors import InputError

logger = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  ldae transfer results --target results/ixi -o transfer.tsv
  ldae transfer results results/oasis --target results/ixi --labelled 10 50 -o transfer.tsv
  ldae transfer results --target results/ixi --fine-tune 200 -o transfer.tsv
"""

N_LABELLED = (10, 20, 50, 1_000_000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae transfer``."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="trained models")
    parser.add_argument(
        "--target", type=Path, required=True, metavar="TARGET", help="the other cohort"
    )
    add_table_output(parser)
    parser.add_argument("--method", metavar="NAME", help="method (the recommended one)")
    parser.add_argument(
        "--labelled", nargs="+", type=int, default=list(N_LABELLED), metavar="N",
        help="numbers of labelled participants of the target to adapt probes to (10 20 50 and all)",
    )  # fmt: skip
    parser.add_argument(
        "--scans", type=int, default=10, metavar="N", help="scored scans to reconstruct (10)"
    )
    parser.add_argument(
        "--fine-tune", type=int, metavar="STEPS",
        help="also train the recommended network on for so many steps, without labels",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="where to compute, such as cuda (cpu)")


def run(options: argparse.Namespace) -> int:
    """Write the table of all sources; 0."""
    import pandas as pd

    from ldae.deployment.model import load
    from ldae.deployment.transfer import Target, transfer
    from ldae.statistics.tables import write_table

    output: Path = options.output
    readable = output.with_suffix(".md")
    refuse_to_replace([output, readable], overwrite=options.overwrite)
    for source in options.sources:
        if source.resolve() == options.target.resolve():
            problem = "it is source and target: its models were trained on this cohort"
            raise InputError(source, problem, "Give the results of another cohort as --target")
    target = Target.read(options.target)
    tables = []
    for number, source in enumerate(options.sources, start=1):
        logger.info("[%d/%d] %s on %s", number, len(options.sources), source, options.target)
        model = load(source, options.method, device=options.device)
        with _quiet("ldae.evaluation"):  # a line for every probe of every draw
            tables.append(
                transfer(
                    model,
                    target,
                    n_labelled=options.labelled,
                    n_scans=options.scans,
                    n_steps=options.fine_tune,
                )
            )
    write_table(pd.concat(tables, ignore_index=True), output, readable)
    sys.stdout.write(f"Wrote {output} and {readable}\n")
    return 0


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Leave what a part of the package reports off the screen, but for warnings."""
    part = logging.getLogger(name)
    before = part.level
    part.setLevel(logging.WARNING)
    try:
        yield
    finally:
        part.setLevel(before)
