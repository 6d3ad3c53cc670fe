"""Scans in DICOM, converted by dcm2niix into NIfTI files and a table of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ldae.data.intake.cells import read_date
from ldae.data.intake.spreadsheets import Rows
from ldae.errors import InputError

COMMAND = "dcm2niix"
COLUMNS = ("subject", "date", "age", "sex", "path", "series")
MAGIC = b"DICM"
MAGIC_OFFSET = 128
FILES_LOOKED_AT = 200
"""Files of a folder of which one must be DICOM."""
DAYS_PER_YEAR = 365.25

T1_WEIGHTED = re.compile(r"t1|mp-?rage|mp2rage|spgr|bravo|tfe|tfl|fspgr", re.IGNORECASE)
OTHER = re.compile(r"t2|flair|scout|locali[sz]er|survey|\bpd\b|post|gad|contrast", re.IGNORECASE)
"""Series by the names that scanners' protocols give them."""
PERSONAL = re.compile(r"^(Patient|AccessionNumber|StudyID|Referring)")
"""Keys of a sidecar that tell who was scanned."""


def has_dicom(folder: Path) -> bool:
    """Whether one of the first files below a folder is DICOM."""
    files = (path for path, _ in zip(_files(folder), range(FILES_LOOKED_AT), strict=False))
    return any(_is_dicom(path) for path in files)


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(MAGIC_OFFSET + len(MAGIC))[MAGIC_OFFSET:] == MAGIC
    except OSError:
        return False


def convert(folder: Path, target: Path | None) -> Rows:
    """Convert all series, and list the T1-weighted ones.

    Names, dates of birth and numbers of patients are taken out of the sidecars; the files' names
    and the table keep the patient's identifier.

    Parameters
    ----------
    folder
        With DICOM files, at any depth that dcm2niix searches.
    target
        New folder for the images; None where nothing may be written.

    Returns
    -------
    list
        Table of scans, names of columns first; paths are relative to `target`.

    Raises
    ------
    InputError
        If nothing may be written, dcm2niix is missing or fails, the target is there already, or no
        series is T1-weighted.
    """
    program = shutil.which(COMMAND)
    if program is None:
        remedy = "Install it (pip install dcm2niix), or convert the scans to BIDS"
        raise InputError(folder, f"DICOM is converted by {COMMAND}, which is not here", remedy)
    if target is None:
        problem = f"it holds DICOM, which {COMMAND} has to convert first"
        raise InputError(folder, problem, "Run ldae init without --check")
    if target.exists():
        problem = "the folder for the converted scans is there already"
        raise InputError(target, problem, "Remove it, or give init another name for its file (-o)")
    target.mkdir(parents=True)
    options = ["-b", "y", "-ba", "n", "-z", "y", "-f", "%i_%t_%s", "-o", str(target), str(folder)]
    done = subprocess.run([program, *options], capture_output=True, text=True, check=False)
    sidecars = sorted(target.rglob("*.json"))
    if not sidecars:
        lines = (done.stderr or done.stdout).strip().splitlines()
        problem = f"{COMMAND} converted nothing ({lines[-1] if lines else 'no message'})"
        raise InputError(folder, problem, "Run it by hand to see why")
    rows: Rows = [list(COLUMNS)]
    others = set()
    for sidecar in sidecars:
        header = json.loads(sidecar.read_text(encoding="utf-8"))
        kept = {key: value for key, value in header.items() if not PERSONAL.match(key)}
        sidecar.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        series = _series(header)
        if T1_WEIGHTED.search(series) and not OTHER.search(series):
            rows.append(_row(header, sidecar, target))
        else:
            others.add(series)
    if len(rows) == 1:
        problem = f"no series is T1-weighted by its name ({', '.join(sorted(others)[:10])})"
        raise InputError(folder, problem, "List the right ones in a table (subject, path)")
    return rows


def _series(header: Mapping[str, Any]) -> str:
    """Names of a series; its sequence where it has none."""
    names = [str(header[key]) for key in ("SeriesDescription", "ProtocolName") if key in header]
    return " ".join(dict.fromkeys(names)) or str(header.get("SequenceName", "unnamed"))


def _row(header: Mapping[str, Any], sidecar: Path, target: Path) -> list[str]:
    """Row of one series."""
    image = next(path for path in _images_of(sidecar) if path.exists())
    scanned = read_date(str(header.get("AcquisitionDateTime", "")))
    born = read_date(str(header.get("PatientBirthDate", "")))
    return [
        str(header.get("PatientID") or sidecar.stem.partition("_")[0]),
        f"{scanned:%Y-%m-%d}" if scanned else "",
        _age(header, born, scanned),
        str(header.get("PatientSex", "")),
        image.relative_to(target).as_posix(),
        _series(header),
    ]


def _images_of(sidecar: Path) -> Iterator[Path]:
    yield sidecar.with_suffix(".nii.gz")
    yield sidecar.with_suffix(".nii")


def _age(header: Mapping[str, Any], born: datetime | None, scanned: datetime | None) -> str:
    """Age in years by the dates, else the whole years that the scanner's operator gave."""
    if born and scanned:
        return f"{(scanned - born).days / DAYS_PER_YEAR:.2f}"
    return str(header.get("PatientAge", ""))
