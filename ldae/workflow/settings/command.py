"""Make the schema, the comments of config.yaml and the reference page from the settings' models."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ldae.workflow.settings.documents import make_documents

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--check", action="store_true", help="change nothing; say what is stale")
    parser.add_argument("--folder", type=Path, default=Path(), help="the repository")


def run(options: argparse.Namespace) -> int:
    """Write the documents that differ; 1 if `--check` finds one that does."""
    stale = 0
    for name, text in make_documents(options.folder).items():
        path = options.folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        logger.info("%s: %s", name, "stale" if options.check else "written")
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return int(options.check and stale > 0)
