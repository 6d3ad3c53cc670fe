"""Links from the page to the files beside it: data, drawings and records of what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ldae.provenance.history import RECORDS, History, Job
from ldae.provenance.places import RESULTS

KINDS = {
    ".svg": "SVG", ".pdf": "PDF", ".png": "PNG", ".tsv": "numbers (TSV)", ".md": "Markdown",
}  # fmt: skip
"""Formats that are linked to, by a file's ending."""

VECTOR = ".svg"


def record_of(job: Job) -> str:
    """Path of a job's record below the results folder."""
    return f"{RECORDS}/{job.case}/{job.id}.json"


def links_of(history: History, path: Path) -> dict[str, str]:
    """Paths, below the results folder, of what one job wrote under a file's name, and its record.

    Parameters
    ----------
    history
        History of the study.
    path
        A figure or table.

    Returns
    -------
    dict
        By name for readers; empty for a file that no job wrote.
    """
    job = history.producer(history.name(path))
    if job is None:
        return {}
    written = {
        Path(name).suffix: name.removeprefix(f"{RESULTS}/")
        for name in job.written
        if Path(name).stem == Path(path).stem
    }
    found: dict[str, str] = {
        text: written[suffix] for suffix, text in KINDS.items() if suffix in written
    }
    return {**found, "record": record_of(job)}


def code_of(history: History, path: Path) -> str:
    """Script and functions that made a file, as its record names them; empty without a record."""
    job = history.producer(history.name(path))
    if job is None:
        return ""
    return ", ".join([job.script, *(name for name in job.references if "readers:" not in name)])


def lightest(picture: Path) -> Path:
    """The drawing beside a picture if it is the smaller file, else the picture itself.

    Charts are smaller as drawings, and sharp at every size; slices of scans are not.
    """
    drawing = picture.with_suffix(VECTOR)
    smaller = drawing.is_file() and drawing.stat().st_size < picture.stat().st_size
    return drawing if smaller else picture


def media_type(picture: Path) -> str:
    """Media type of a picture, for a data URI."""
    kinds: Mapping[str, str] = {".svg": "image/svg+xml", ".jpg": "image/jpeg"}
    return kinds.get(picture.suffix, "image/png")
