"""Tables of Excel, as rows of text."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pandas as pd

from ldae.data.intake.names import LISTING_COLUMNS
from ldae.data.intake.notices import Findings
from ldae.data.intake.tables import Table, read_table
from ldae.errors import InputError

READERS: dict[str, Literal["xlrd", "openpyxl"]] = {".xls": "xlrd", ".xlsx": "openpyxl"}
"""Package that reads each kind."""
TABLES = (".csv", ".tsv", *READERS)

Rows = list[list[str]]
"""Cells of a table, names of columns first."""


def is_spreadsheet(path: Path) -> bool:
    """Whether a table is one of Excel."""
    return path.suffix.lower() in READERS


def read_rows(path: Path) -> Rows:
    """Cells of the first sheet as text, names of columns first; dates in ISO 8601.

    Raises
    ------
    InputError
        If the package that reads it is not installed, or the file cannot be read.
    """
    package = READERS[path.suffix.lower()]
    try:
        sheet = pd.read_excel(path, header=None, dtype=str, keep_default_na=False, engine=package)
    except ImportError as error:
        problem = f"reading it takes the package {package}, which is not installed"
        remedy = f"Install it (pip install {package}), or save the table as {path.stem}.csv"
        raise InputError(path, problem, remedy) from error
    except Exception as error:
        problem = f"the table cannot be read ({' '.join(str(error).split())})"
        raise InputError(path, problem, f"Save it as {path.stem}.csv") from error
    return [[str(cell).removesuffix(" 00:00:00") for cell in row] for row in sheet.to_numpy()]


def write_rows(rows: Rows, path: Path) -> None:
    """Write a table separated by tabs."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)


def as_table(rows: Rows, path: Path) -> Table:
    """Rows as the reader of text tables has them, with the known columns of a table of scans."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"{path.stem}.tsv"
        write_rows(rows, written)
        return replace(read_table(written, LISTING_COLUMNS, {}, Findings()), path=path)
