"""Export of a study as a research object: a Provenance Run Crate of its whole history."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from ldae.errors import InputError
from ldae.provenance.history import load_history
from ldae.provenance.payload import CONFIG, Payload
from ldae.provenance.reading import digest_of
from ldae.provenance.source_code import SourceCode

METADATA = "ro-crate-metadata.json"
MEBIBYTE = 1024 * 1024

# Figures, tables and report are copied into the crate up to this size.
MAX_MIB = 64

# The rule that writes crates; its own jobs are left out of the crate.
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
        Folder of the crate. An existing crate there is replaced.
    max_bytes
        Figures, tables and report are copied up to this size.
    agent
        Name and optionally ORCID of the person who ran the study.

    Raises
    ------
    InputError
        If the study has no records or settings, a file differs from its record, or `output`
        contains anything other than a crate.
    """
    from ldae.provenance.research_object import build_research_object
    from ldae.provenance.research_object.preview import PREVIEW

    history = load_history(results).without(RULE)
    settings = results / CONFIG.partition("/")[2]
    if not history.current or not settings.is_file():
        raise InputError(
            results, "the folder does not contain a finished study", "Run the workflow first."
        )
    if output.exists() and any(output.iterdir()) and not (output / METADATA).is_file():
        raise InputError(
            output,
            "the folder is not empty and not a crate",
            "Name another folder with --output.",
        )
    config = yaml.safe_load(settings.read_text(encoding="utf-8"))
    cohort = config["cohort"]
    restricted = cohort["source"] != "simulated" and not cohort["public"]
    payload = Payload(history, restricted, max_bytes)
    crate, preview = build_research_object(history, payload, config, SourceCode(), agent)
    metadata = crate.metadata.generate()
    payload.refuse_labels([(METADATA, str(metadata))])
    if output.exists():
        shutil.rmtree(output)
    crate.write(output)
    (output / PREVIEW).write_text(preview, encoding="utf-8")
    logger.info(
        "Wrote %s: %d entities, %d files; %s has sha256 %s",
        output,
        len(metadata["@graph"]),
        sum(path.is_file() for path in output.rglob("*")),
        METADATA,
        digest_of(output / METADATA),
    )
