"""The download of IXI: a folder of ``IXI002-Guys-0828-T1.nii.gz`` and so on, and ``IXI.xls``.

The table has two rows of some participants, and others without an age or with age 0. It is handed
on with its rows as they are, so that reading it reports them.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ldae.data.intake.names import LISTING_COLUMNS, Field, normal_name
from ldae.data.intake.notices import Findings
from ldae.data.intake.spreadsheets import TABLES, Rows, as_table, is_spreadsheet, read_rows
from ldae.data.intake.tables import Table, read_table
from ldae.errors import InputError

IMAGE = re.compile(r"^IXI(\d{3})-([A-Za-z]+)-\d+-T1\.nii(\.gz)?$")
NUMBER = "ixi_id"
COLUMNS = ("subject", "age", "sex", "site", "path")


class Image(NamedTuple):
    """A scan: number of its participant, site, and path below the folder."""

    number: int
    site: str
    path: str


def find_images(folder: Path) -> list[Image]:
    """T1-weighted scans of IXI in a folder and the folders in it, by path."""
    return sorted(_images(folder), key=lambda image: image.path)


def _images(folder: Path) -> Iterator[Image]:
    for place in (folder, *(inner for inner in folder.iterdir() if inner.is_dir())):
        names = os.listdir(place) if os.access(place, os.R_OK | os.X_OK) else []
        for name in names:
            if match := IMAGE.match(name):
                path = os.path.relpath(place / name, folder)
                yield Image(int(match[1]), match[2], path)


def is_table(table: Table) -> bool:
    """Whether a table is that of IXI."""
    return any(normal_name(name) == NUMBER for name in table.columns)


def tabulate(folder: Path, images: Sequence[Image], table: Path | None = None) -> Rows:
    """Table of scans with a row for each of IXI's table and each scan that it does not name.

    Parameters
    ----------
    folder
        Folder of the download.
    images
        Its scans.
    table
        IXI's table; by default the one in the folder, in a folder in it, or beside it.

    Raises
    ------
    InputError
        If there is no table or no scan, or the table has no column ``IXI_ID``.
    """
    if not images:
        problem = "there is no scan of IXI beside the table"
        raise InputError(folder, problem, "Unpack IXI-T1.tar into the table's folder")
    table = _find_table(folder) if table is None else table
    cells = as_table(read_rows(table), table) if is_spreadsheet(table) else _read(table)
    column = next((name for name in cells.columns if normal_name(name) == NUMBER), None)
    if column is None:
        problem = f"it has no column IXI_ID (columns: {', '.join(cells.columns)})"
        raise InputError(table, problem, "Take the table as it was downloaded")
    by_number: defaultdict[int, list[Image]] = defaultdict(list)
    for image in images:
        by_number[image.number].append(image)
    rows: Rows = [list(COLUMNS)]
    named = set()
    for line, row in cells.rows:
        number = _number(row[column], table, line)
        named.add(number)
        rows += _rows(number, cells.cells(row), by_number.get(number, []))
    for number in sorted(set(by_number) - named):
        rows += _rows(number, {}, by_number[number])
    return rows


def _rows(number: int, cells: Mapping[Field, str], images: Sequence[Image]) -> Rows:
    """A row for each scan of a participant, one where there is none."""
    own = [f"IXI{number:03d}", cells.get(Field.AGE, ""), cells.get(Field.SEX, "")]
    return [[*own, image.site, image.path] for image in images] or [[*own, "", ""]]


def _number(cell: str, table: Path, line: int) -> int:
    try:
        return int(float(cell))
    except ValueError as error:
        problem = f"line {line}: IXI_ID {cell!r} is no number"
        raise InputError(table, problem, "Take the table as it was downloaded") from error


def _find_table(folder: Path) -> Path:
    """IXI's table; of several, one of text rather than one of Excel."""
    places = (folder, *sorted(inner for inner in folder.iterdir() if inner.is_dir()), folder.parent)
    for place in places:
        for suffix in TABLES:
            if (path := place / f"IXI{suffix}").is_file():
                return path
    problem = "the table of IXI's participants (IXI.xls) is not there"
    raise InputError(folder, problem, "Download it too, and put it beside the scans")


def _read(path: Path) -> Table:
    return read_table(path, LISTING_COLUMNS, {}, Findings())
