"""What a folder or file is: BIDS, CAPS, a table of scans, IXI's download, or DICOM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from ldae.data.intake import dicom, ixi, spreadsheets
from ldae.data.intake.images import is_caps, subject_labels
from ldae.data.intake.listing import IMAGE_ENDINGS
from ldae.data.intake.names import LISTING_COLUMNS, Field
from ldae.data.intake.notices import Findings
from ldae.data.intake.participants import TABLE
from ldae.data.intake.spreadsheets import Rows
from ldae.data.intake.tables import Table, read_table
from ldae.errors import InputError

EXPECTED = (
    "a BIDS folder (sub-*/[ses-*/]anat/*_T1w.nii.gz), a CAPS folder (subjects/sub-*), a table with "
    "a row for each scan (CSV, TSV or Excel), IXI's download (IXI*-T1.nii.gz and IXI.xls), or DICOM"
)


class Layout(StrEnum):
    """Layouts of cohorts, as they are called for users."""

    BIDS = "BIDS folder"
    CAPS = "CAPS folder"
    TABLE = "table of scans"
    IXI = "download of IXI"
    DICOM = "DICOM"


@dataclass(frozen=True)
class Recognised:
    """A cohort whose layout is known.

    Attributes
    ----------
    layout
        What it is.
    folder
        Folder that all scans lie in: ``bids_folder`` of the settings.
    cohort
        Settings of the section ``cohort`` that its layout asks for.
    rows
        Table of scans that must be written to read it, names of columns first; None where nothing
        must be written. Paths are relative to `folder`.
    public
        Whether the data set is a public one, whose labels may be shown.
    name
        What the study may be called.
    """

    layout: Layout
    folder: Path
    cohort: dict[str, Any] = field(default_factory=dict)
    rows: Rows | None = None
    public: bool = False
    name: str = ""


def recognise(path: Path, tables: Path | None = None, converted: Path | None = None) -> Recognised:
    """Find out what a folder or file is, by names of files only.

    Parameters
    ----------
    path
        The folder, or a table of scans.
    tables
        Folder of the tables of participants and sessions, where it is another one.
    converted
        New folder for the images that are made of DICOM; None where nothing may be written.

    Raises
    ------
    InputError
        If it is none of the known layouts, or a part of it is missing.
    """
    path = Path(os.path.abspath(path))
    if path.is_file():
        return _recognise_table(path)
    if not path.is_dir():
        raise InputError(path, "there is no such file or folder", "Correct the path")
    given = {} if tables is None else {"tables": os.path.abspath(tables)}
    if is_caps(path):
        found = given or {"tables": str(_tables_beside(path))}
        return Recognised(Layout.CAPS, path, found, name=path.name)
    if subject_labels(path):
        return Recognised(Layout.BIDS, path, given, name=path.name)
    if images := ixi.find_images(path):
        rows = ixi.tabulate(path, images)
        required = {"required": ["age"], "values": {"age": {"0": "n/a"}}}
        return Recognised(Layout.IXI, path, required, rows, public=True, name="ixi")
    if listings := list(_listings(path)):
        if len(listings) > 1:
            names = ", ".join(table.path.name for table in listings)
            raise InputError(path, f"several tables list scans: {names}", "Name one of them")
        return _recognise_table(listings[0].path)
    if dicom.has_dicom(path):
        rows = dicom.convert(path, converted)
        return Recognised(Layout.DICOM, converted or path, {}, rows, name=path.name)
    raise InputError(path, f"this is no cohort that is known{_content(path)}", f"Give {EXPECTED}")


def _recognise_table(path: Path) -> Recognised:
    """A table with a row for each scan."""
    rows = spreadsheets.read_rows(path) if spreadsheets.is_spreadsheet(path) else None
    table = spreadsheets.as_table(rows, path) if rows else _read(path)
    if ixi.is_table(table):
        images = ixi.find_images(path.parent)
        rows = ixi.tabulate(path.parent, images, path)
        required = {"required": ["age"], "values": {"age": {"0": "n/a"}}}
        return Recognised(Layout.IXI, path.parent, required, rows, public=True, name="ixi")
    cohort: dict[str, Any] = {}
    column = table.places.get(Field.PATH) or _column_of_paths(table)
    if column is None:
        raise InputError(
            path,
            f"no column names files (columns: {', '.join(table.columns)})",
            "Add one with the paths of the scans (.nii or .nii.gz)",
        )
    if Field.PATH not in table.places:
        cohort["columns"] = {str(Field.PATH): column}
    cells = [row[column] for _, row in table.rows if row[column]]
    folder = _folder_above(path.parent, cells)
    if rows is None:
        within = path.is_relative_to(folder)
        cohort["table"] = str(path.relative_to(folder) if within else path)
    return Recognised(Layout.TABLE, folder, cohort, rows, name=path.stem)


def _folder_above(folder: Path, cells: list[str]) -> Path:
    """Folder that all scans of a table lie in: that of the table, if they do."""
    paths = [os.path.normpath(folder / cell) for cell in cells]
    if all(Path(path).is_relative_to(folder) for path in paths):
        return folder
    own = [] if all(os.path.isabs(cell) for cell in cells) else [str(folder)]
    return Path(os.path.commonpath([*own, *map(os.path.dirname, paths)]))


def _read(path: Path) -> Table:
    return read_table(path, LISTING_COLUMNS, {}, Findings())


def _column_of_paths(table: Table) -> str | None:
    """The column whose cells end as images do, whatever it is called."""
    for name in table.columns:
        cells = [row[name] for _, row in table.rows if row.get(name)]
        if cells and all(cell.endswith(IMAGE_ENDINGS) for cell in cells):
            return name
    return None


def _listings(folder: Path) -> Iterator[Table]:
    """Tables in a folder that have a row for each scan."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in spreadsheets.TABLES:
            continue
        if spreadsheets.is_spreadsheet(path):
            table = spreadsheets.as_table(spreadsheets.read_rows(path), path)
        else:
            table = _read(path)
        if Field.PATH in table.places or _column_of_paths(table):
            yield table


def _tables_beside(caps: Path) -> Path:
    """The one folder beside a CAPS folder that has a table of its participants.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    labels = set(subject_labels(caps))
    found = [
        folder
        for folder in sorted(caps.parent.iterdir())
        if (folder / TABLE).is_file() and labels <= set(os.listdir(folder))
    ]
    if len(found) == 1:
        return found[0]
    why = "no folder beside it has" if not found else f"{len(found)} folders beside it have"
    raise InputError(
        caps,
        f"a CAPS folder has no table of participants, and {why} one of these participants",
        "Name the BIDS folder that it was made from: --tables FOLDER",
    )


def _content(folder: Path) -> str:
    """What a folder holds, in a few words."""
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    n_images = sum(name.endswith(IMAGE_ENDINGS) for name in names)
    if n_images:
        return f": {n_images} NIfTI files, and no table that says whose they are"
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")
    return f": it holds {shown}" if names else ": it is empty"
