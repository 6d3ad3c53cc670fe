"""Check that a finished study is still exactly what was computed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

EXAMPLES = """\
examples:
  ldae audit
  ldae audit --results results/ixi --bids /data/ixi --full
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae audit``."""
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument("--bids", type=Path, metavar="DIR", help="raw scans of a real cohort")
    parser.add_argument("--full", action="store_true", help="hash every file, without a cache")
    parser.add_argument("--seal", metavar="SHA256", help="digest of a seal noted after a run")
    parser.add_argument(
        "--signers", type=Path, metavar="FILE", help="who may have signed a seal (ssh-keygen(1))"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all findings to this file")
    parser.add_argument("--jobs", type=int, metavar="N", help="number of files to hash at a time")


def run(options: argparse.Namespace) -> int:
    """Audit the study and print the verdict; return 1 if there is an error."""
    from ldae.provenance.audit import audit_study

    verdict = audit_study(
        options.results,
        options.bids,
        full=options.full,
        n_threads=options.jobs,
        seal=options.seal,
        signers=options.signers,
    )
    if options.json:
        options.json.write_text(json.dumps(verdict.as_json(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(verdict.as_text())
    return 0 if verdict.passed else 1
