"""Seals of the records of a study, which make later changes detectable.

A seal is a file ``provenance/seals/<number>.json`` in the results folder. It lists the SHA-256 of
every record file that no earlier seal lists, and the SHA-256 of the previous seal. The digest of
the last seal therefore covers all records of the study. The workflow's main process writes seals
when a run starts, when it ends, and before a report is built. Jobs, which may run on many machines
at once, only add records. The digest of the last seal is printed at the end of a run. With a note
of it one can verify later that no record was changed, removed or added.

The report shows the digest of a seal too, and that seal covers the report: it has the SHA-256 of
the page as it was before the digest was written into it (:func:`seal_page`). Only the record of the
report's own job comes later; the seal at the end of the run covers it.

A run that was killed leaves unsealed records. The next run seals them when it starts; until then,
changes in them cannot be detected.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ldae.errors import InputError
from ldae.provenance.history import RECORDS, REPORT
from ldae.provenance.reading import digest_of, read_regular
from ldae.provenance.record import now, write_record

SEALS = Path("provenance") / "seals"
logger = logging.getLogger(__name__)

NUMBER_FORMAT = "{:06d}"

# Stands in the page where the digest of its seal will be.
PLACEHOLDER = "0" * 64

# Digits of the short code: 80 bits, which nobody can hit on by trying.
SHORT_DIGITS = 20
# A noted digest may be shortened, but not to fewer digits.
LEAST_DIGITS = 8


@dataclass(frozen=True)
class Seal:
    """One seal.

    Attributes
    ----------
    number
        Number of the seal, consecutive from 1.
    digest
        SHA-256 of the seal's file.
    previous
        Digest of the previous seal; None for the first one.
    made
        Time with time zone.
    records
        SHA-256 of each record file, by its path relative to ``records/``.
    page
        SHA-256 of the report with :data:`PLACEHOLDER` in place of this seal's digest; None for a
        seal that was not made for a report.
    """

    number: int
    digest: str
    previous: str | None
    made: datetime
    records: Mapping[str, str]
    page: str | None = None

    @property
    def name(self) -> str:
        """Name of the seal's file, relative to the results folder."""
        return f"{SEALS.as_posix()}/{NUMBER_FORMAT.format(self.number)}.json"

    @property
    def short(self) -> str:
        """The first digits of the digest in groups of four, for print."""
        return "-".join(re.findall("....", self.digest[:SHORT_DIGITS]))


def seal_records(results: Path) -> Seal | None:
    """Seal every record that is not sealed yet.

    Parameters
    ----------
    results
        Results folder.

    Returns
    -------
    Seal
        The last seal of the study, which is new unless all records were sealed already; None if
        there are no records.

    Raises
    ------
    InputError
        If an earlier seal cannot be read.
    """
    while True:
        seals = read_seals(results)
        if not unsealed_records(results, seals):
            return seals[-1] if seals else None
        _add_seal(results, seals, {})


def seal_page(results: Path, page: Path) -> Seal:
    """Seal a finished page, and write the digest of the seal into it.

    Parameters
    ----------
    results
        Results folder.
    page
        The page, with :data:`PLACEHOLDER` wherever the digest is to be shown.

    Raises
    ------
    InputError
        If the page has no place for the digest, or an earlier seal cannot be read.
    """
    content = page.read_bytes()
    if PLACEHOLDER.encode() not in content:
        raise InputError(page, "the page has no place for the digest of its seal", "Add it.")
    digest = hashlib.sha256(content).hexdigest()
    seals = read_seals(results)
    while not seals or seals[-1].page != digest:
        _add_seal(results, seals, {"page": digest})
        seals = read_seals(results)
    partial = page.with_name(f".{page.name}.{uuid.uuid4().hex}")
    partial.write_bytes(content.replace(PLACEHOLDER.encode(), seals[-1].digest.encode()))
    partial.replace(page)
    return seals[-1]


def page_digest(page: Path, seal: Seal) -> str:
    """SHA-256 of a page as it was before the digest of its seal was written into it.

    Raises
    ------
    OSError
        If the page cannot be read.
    """
    content = read_regular(page)
    return hashlib.sha256(content.replace(seal.digest.encode(), PLACEHOLDER.encode())).hexdigest()


def page_of(results: Path) -> Path:
    """The page of a study."""
    return results / REPORT


def _add_seal(results: Path, seals: Sequence[Seal], more: Mapping[str, Any]) -> None:
    """Write the next seal; nothing if another process has taken its number meanwhile."""
    last = seals[-1] if seals else None
    number = last.number + 1 if last else 1
    entry = {
        "number": number,
        "previous": last.digest if last else None,
        "made": now().isoformat(),
        "records": {
            name: digest_of(results / RECORDS / name) for name in unsealed_records(results, seals)
        },
        **more,
    }
    with contextlib.suppress(FileExistsError):
        write_record(results / SEALS, NUMBER_FORMAT.format(number), entry)


def unsealed_records(results: Path, seals: Iterable[Seal]) -> list[str]:
    """Record files that no seal lists, relative to ``records/``, sorted."""
    known = {name for seal in seals for name in seal.records}
    folder = results / RECORDS
    return sorted({p.relative_to(folder).as_posix() for p in folder.rglob("*.json")} - known)


def read_seals(results: Path) -> list[Seal]:
    """All seals of a study in order; empty if it has none.

    Raises
    ------
    InputError
        If a seal cannot be read.
    """
    found = []
    for path in sorted((results / SEALS).glob("*.json")):
        try:
            content = read_regular(path)
            found.append(_read_seal(content))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                path,
                f"the file is not a seal ({type(error).__name__})",
                "Restore it from a copy of the study.",
            ) from error
    return found


def _read_seal(content: bytes) -> Seal:
    entry = json.loads(content)
    made = datetime.fromisoformat(entry["made"])
    if made.tzinfo is None:
        raise ValueError("the time has no zone")
    return Seal(
        number=int(entry["number"]),
        digest=hashlib.sha256(content).hexdigest(),
        previous=entry["previous"],
        made=made,
        records={str(name): str(digest) for name, digest in dict(entry["records"]).items()},
        page=entry.get("page"),
    )


def plain_digest(noted: str) -> str:
    """A noted digest as lower-case hexadecimal digits, without spaces and hyphens.

    Raises
    ------
    InputError
        If it is no digest, or too short to tell a seal.
    """
    digest = re.sub(r"[\s-]", "", noted).lower().removeprefix("sha256:")
    if not re.fullmatch(rf"[0-9a-f]{{{LEAST_DIGITS},64}}", digest):
        raise InputError(
            "--seal",
            f"{noted!r} is no digest of a seal",
            f"Give at least the first {LEAST_DIGITS} of its 64 hexadecimal digits.",
        )
    return digest
