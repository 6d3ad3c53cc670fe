"""Seal the records of a study, so that later changes can be detected."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ldae.errors import InputError

logger = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  ldae seal
  ldae seal --results results/ixi
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae seal``."""
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument(
        "--sign", type=Path, metavar="KEY", help="sign the seal with this key of OpenSSH"
    )


def run(options: argparse.Namespace) -> int:
    """Seal all unsealed records and print the digest of the seal."""
    from ldae.provenance.seal import seal_records
    from ldae.provenance.signature import sign_seal

    seal = seal_records(options.results)
    if seal is None:
        remedy = "Name the folder of results with --results"
        raise InputError(options.results, "the folder contains no records of jobs", remedy)
    logger.info("seal %d, sha256 %s, short code %s", seal.number, seal.digest, seal.short)
    if options.sign is not None:
        logger.info("signature: %s", sign_seal(options.results, seal, options.sign))
    return 0
