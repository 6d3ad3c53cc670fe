"""Tables of text in any delimiter and the common encodings."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ldae.data.intake.names import UNKNOWN, Field, normal_name
from ldae.data.intake.notices import Faults, Findings, Kind, paste
from ldae.errors import InputError

DELIMITERS = ("\t", ";", ",")
"""In this order, where the first line has equally many of two."""


@dataclass(frozen=True)
class Table:
    """A table of strings.

    Attributes
    ----------
    path
        Its file.
    columns
        Names as written.
    rows
        Each with its line in the file; of columns of one name the first counts.
    places
        Column of each field that the table has.
    encoding
        How it was read.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    places: Mapping[Field, str]
    encoding: str

    def cells(self, row: Mapping[str, str]) -> dict[Field, str]:
        """Known cells of a row by field."""
        found = {field: known(row.get(name)) for field, name in self.places.items()}
        return {field: text for field, text in found.items() if text is not None}


def read_table(
    path: Path,
    names: Mapping[Field, Sequence[str]],
    own_names: Mapping[str, str],
    findings: Findings,
) -> Table:
    """Cells of a table as text.

    Parameters
    ----------
    path
        Its file.
    names
        Names by which each field is known.
    own_names
        Names that the settings give to fields; where a table has one, it counts.
    findings
        Columns of one name are noted here.

    Raises
    ------
    InputError
        If the file cannot be read, or a line has more cells than there are columns.
    """
    text, encoding = _read_text(path)
    lines = _lines(text, path)
    header = tuple(name.strip() for name in lines[0]) if lines else ()
    kept = _first_of_each(header)
    rows: list[tuple[int, dict[str, str]]] = []
    for number, line in enumerate(lines[1:], 2):
        cells = [cell.strip() for cell in line]
        if any(cells[len(header) :]):
            raise InputError(
                path,
                f"line {number} has more cells than the first line has names of columns",
                "Write one cell for each column, and put text that contains the delimiter in "
                "quotes",
            )
        if any(cells):
            # what is missing at a line's end is not known
            full = cells + [""] * (len(header) - len(cells))
            rows.append((number, {name: full[place] for name, place in kept.items()}))
    places = dict(_find_columns(header, names, own_names))
    _note_doubles(path, header, places, findings)
    return Table(path, header, tuple(rows), places, encoding)


def known(value: str | None) -> str | None:
    """Value, or None where the table says that it is not known."""
    if value is None or value.strip().lower() in UNKNOWN:
        return None
    return value.strip()


def missing_column(table: Table, field: Field, faults: Faults) -> None:
    """Note that a table lacks a column that it must have."""
    faults.add(
        table.path,
        f"no column is known to be the {field} (columns: {', '.join(table.columns) or 'none'})",
        f"Name it in the settings, for example {paste(columns={str(field): 'NAME'})}",
    )


def _read_text(path: Path) -> tuple[str, str]:
    """Text of a file and its encoding; a file that is not Unicode is Latin-1."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            path, f"the table cannot be read ({error.strerror})", "Check its permissions"
        ) from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ("utf-16", "latin-1")
    else:
        encodings = ("utf-8-sig", "latin-1")
    try:
        return content.decode(encodings[0]), encodings[0]
    except UnicodeDecodeError:
        return content.decode(encodings[1]), encodings[1]


def _lines(text: str, path: Path) -> list[list[str]]:
    """Cells of all lines, by the delimiter that gives the first line most of them."""
    first = next(iter(text.splitlines()), "")
    try:
        counts = {d: len(next(csv.reader([first], delimiter=d), [])) for d in DELIMITERS}
        delimiter = max(DELIMITERS, key=lambda d: (d == "\t" and counts[d] > 1, counts[d]))
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(
            path, f"the file is not a table of text ({error})", "Save it as a TSV or CSV file"
        ) from error


def _first_of_each(header: Sequence[str]) -> dict[str, int]:
    """Place of the first column of each name, compared without case."""
    places: dict[str, int] = {}
    seen: set[str] = set()
    for place, name in enumerate(header):
        if normal_name(name) not in seen:
            places[name] = place
            seen.add(normal_name(name))
    return places


def _find_columns(
    header: Sequence[str], names: Mapping[Field, Sequence[str]], own_names: Mapping[str, str]
) -> Iterator[tuple[Field, str]]:
    """Column of each field that is there."""
    by_name = {normal_name(name): name for name in reversed(header)}
    for field, known_names in names.items():
        own = own_names.get(field)
        candidates = known_names if own is None else (normal_name(own), *known_names)
        found = next((by_name[name] for name in candidates if name in by_name), None)
        if found is not None:
            yield field, found


def _note_doubles(
    path: Path, header: Sequence[str], places: Mapping[Field, str], findings: Findings
) -> None:
    """Note columns that are read and whose name stands there more than once."""
    all_names = [normal_name(name) for name in header]
    for name in sorted(set(places.values())):
        number = all_names.count(normal_name(name))
        if number > 1:
            text = f"{path.name}: {number} columns are called {name}; the first is read"
            findings.note(Kind.TABLE, text)
