"""Write a study as a research object: a Provenance Run Crate of its whole history."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from ldae.errors import InputError
from ldae.provenance.history import load_history
from ldae.provenance.payload import CONFIG, Payload
from ldae.provenance.source_code import SourceCode

METADATA = "ro-crate-metadata.json"
MEBIBYTE = 1024 * 1024

# Figures, tables and report up to this size are copied.
MAX_MIB = 64

# The rule that writes crates; its own jobs are no part of the study.
RULE = "make_crate"

logger = logging.getLogger(__name__)


def write_crate(
    results: Path,
    output: Path,
    max_bytes: int = MAX_MIB * MEBIBYTE,
    agent: Mapping[str, str] | None = None,
) -> None:
    """Write the crate of a study.

    Parameters
    ----------
    results
        Folder of the study.
    output
        Folder of the crate. An earlier crate there is replaced, anything else is left.
    max_bytes
        Figures, tables and report up to this size are copied.
    agent
        Name and perhaps ORCID of who ran the study.

    Raises
    ------
    InputError
        If the study has no records or settings, a file is not any more what was recorded, or
        `output` holds something else.
    """
    from ldae.provenance.research_object import build_research_object

    history = load_history(results).without(RULE)
    settings = results / CONFIG.partition("/")[2]
    if not history.current or not settings.is_file():
        raise InputError(results, "holds no finished study", "Run the workflow first.")
    if output.exists() and any(output.iterdir()) and not (output / METADATA).is_file():
        raise InputError(output, "is no crate and not empty", "Name another folder with --output.")
    config = yaml.safe_load(settings.read_text(encoding="utf-8"))
    cohort = config["cohort"]
    restricted = cohort["source"] != "simulated" and not cohort["public"]
    payload = Payload(history, restricted, max_bytes)
    crate = build_research_object(history, payload, config, SourceCode(), agent)
    metadata = crate.metadata.generate()
    payload.refuse_labels([(METADATA, str(metadata))])
    if output.exists():
        shutil.rmtree(output)
    crate.write(output)
    logger.info(
        "Wrote %s: %d entities, %d files",
        output,
        len(metadata["@graph"]),
        sum(path.is_file() for path in output.rglob("*")),
    )
