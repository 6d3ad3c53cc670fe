"""Look at a cohort and write the settings of a study of it.

PATH is a BIDS folder, a CAPS folder, a table with a row for each scan (CSV, TSV or Excel), the
download of IXI, or a folder with DICOM. What was found is printed, with what a study of it computes
and what is left out and why. Nothing is written into PATH.

Exit status: 0 the cohort can be used, 1 it cannot.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ldae.errors import InputError

if TYPE_CHECKING:
    from ldae.data.intake.layouts import Recognised
    from ldae.workflow.first_look import FirstLook


GENERIC_NAMES = ("bids", "caps", "raw", "rawdata", "data", "nifti", "sourcedata", "scans")
"""Names of folders that say nothing of the cohort; the folder above them does."""
NO_UNICODE = "its name is not in Unicode, and a file of settings must name it"

EXAMPLES = """\
examples:
  ldae init /data/adni --check              only look
  ldae init /data/adni -o adni.yaml         write the settings of a study
  ldae init scans.csv                       a table with a column of paths
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae init``."""
    parser.add_argument("path", type=Path, metavar="PATH", help="the cohort")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("study.yaml"), metavar="FILE",
        help="file of settings to write (study.yaml); a table of scans is written beside it where "
        "the cohort needs one",
    )  # fmt: skip
    parser.add_argument("--check", action="store_true", help="only look, and write nothing")
    parser.add_argument(
        "--tables", type=Path, metavar="DIR",
        help="folder of participants.tsv and the tables of sessions, if it is not PATH",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print what was found and write the settings; 1 if the cohort cannot be used.

    Raises
    ------
    InputError
        If the file of settings is there already.
    """
    output: Path = options.output
    table = output.with_name(f"{output.stem}_scans.tsv")
    if not options.check:
        for file in (output, table):
            if file.exists():
                raise InputError(file, "it is there already", "Remove it, or name another (-o)")
    from ldae.data.intake.layouts import recognise

    if not _is_unicode(options.path):
        remedy = "Rename it, or make a link to it with another name"
        return _refuse(f"Not usable: {InputError(ascii(str(options.path)), NO_UNICODE, remedy)}")
    converted = None if options.check else output.with_name(f"{output.stem}_nifti").absolute()
    try:
        recognised = recognise(options.path, options.tables, converted)
    except InputError as error:
        return _refuse(f"Not usable: {error}")
    look = _look(recognised, output, table, options.check)
    if not look.problems:
        if not options.check:
            _print(f"\nWrote {output}. Next: ldae run --study {output} -n")
        return 0
    if options.check or not look.guesses:
        return 1
    return _refuse(
        f"Wrote {output}, with what these messages propose as comments. Look them up, correct the "
        f"file, and continue with: ldae run --study {output} -n"
    )


def _look(recognised: Recognised, output: Path, table: Path, check: bool) -> FirstLook:
    """Look at the cohort, print what was found, and write the files."""
    from ldae.data.intake.spreadsheets import write_rows
    from ldae.data.pseudonyms import make_key
    from ldae.workflow.first_look import describe, look_at
    from ldae.workflow.study_file import study_file_text

    name = _study_name(output, recognised)
    with tempfile.TemporaryDirectory() as folder:
        file = None
        if recognised.rows is not None:
            file = Path(folder) / table.name
            write_rows(recognised.rows, file)
        look = look_at(recognised, name, file)
    _print("\n".join(describe(look)))
    if check or (look.problems and not look.guesses):
        return look
    output.parent.mkdir(parents=True, exist_ok=True)
    if recognised.rows is not None:
        write_rows(recognised.rows, table)
        look.cohort["table"] = str(table)
    if not look.cohort["public"] and ("table" in look.cohort or "tables" in look.cohort):
        make_key(recognised.folder)
    output.write_text(study_file_text(look, str(output)), encoding="utf-8")
    return look


def _is_unicode(path: Path) -> bool:
    """Whether a file of settings can name the path."""
    try:
        os.path.abspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _study_name(output: Path, recognised: Recognised) -> str:
    """Name of the study: that of the file, or of the cohort where the file is ``study.yaml``."""
    name = recognised.name
    if name.lower() in GENERIC_NAMES:
        name = recognised.folder.parent.name
    name = name if output.stem == "study" else output.stem
    return re.sub(r"[^a-z0-9_-]+", "_", name.lower()).strip("_-") or "study"


def _print(text: str) -> None:
    # labels may have letters that the terminal's encoding has not
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()  # before what follows on standard error


def _refuse(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1
