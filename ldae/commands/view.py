"""Look through the slices of scans.

Opens a page with linked crosshairs in the browser: of a study, what its models reconstruct, edit
and fill in; of files, such as those that edit and interpolate have written, the first beside the
others. The page needs no network, and only this machine can open it until Ctrl-C ends the command.
"""

from __future__ import annotations

import argparse
import logging
import sys
import webbrowser
from pathlib import Path

EXAMPLES = """\
examples:
  ldae view results                         what the study has kept, and scans to look at
  ldae view head.nii.gz out/*_desc-age*_T1w.nii.gz
  ldae view results --output viewer.html    one file that needs nothing beside it
"""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae view``."""
    parser.add_argument(
        "what", nargs="+", type=Path, metavar="WHAT", help="results of a study, or NIfTI files"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE.html",
        help="write the page to a file instead of opening it",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    parser.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="N",
        help="port on this machine; default: a free one",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address and open no browser"
    )


def run(options: argparse.Namespace) -> int:
    """Write the page, or serve it until Ctrl-C; returns 0."""
    from ldae.errors import InputError
    from ldae.viewer.server import PageServer

    output = options.output
    if output is not None and output.exists() and not options.overwrite:
        raise InputError(output, "the file exists already", "Add --overwrite, or choose another")
    page = _page(options.what)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page, encoding="utf-8")
        sys.stdout.write(f"Wrote {output}\n")
        return 0
    with PageServer(page, options.port) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        logger.info("Ctrl-C closes the page.")
        if not options.no_browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            logger.info("Closed.")
    return 0


def _page(what: list[Path]) -> str:
    """The page of a study or of files."""
    from ldae.errors import InputError

    folders = [path for path in what if path.is_dir()]
    if not folders:
        from ldae.viewer.files import build_files_page

        return build_files_page(what)
    if len(what) > 1:
        raise InputError(folders[0], "it is a folder among others", "Give one study, or files")
    from ldae.viewer.study import read_study_page

    return read_study_page(folders[0])


def _port(text: str) -> int:
    """A port of the command line."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port")
    return int(text)
