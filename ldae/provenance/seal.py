"""Seal the records of a study, so that a change in them is noticed.

A seal is a file ``provenance/seals/<number>.json`` in the results folder. It lists the SHA-256 of
every record file that no earlier seal lists, and the SHA-256 of the seal before it; so the digest
of the last seal stands for every record of the study. Seals are made by the workflow's main process
when a run starts and ends, and before a report is built; jobs, which may run on many machines at
once, only add records. Whoever notes the digest down, from the last lines of a run or from the
report, can tell later that no record was changed, removed or slipped in.

A run that was killed leaves records without a seal. They are sealed when the next run starts; until
then they could be changed without a trace.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ldae.errors import InputError
from ldae.provenance.history import RECORDS
from ldae.provenance.record import now, write_record

SEALS = Path("provenance") / "seals"
logger = logging.getLogger(__name__)

NUMBER_FORMAT = "{:06d}"


@dataclass(frozen=True)
class Seal:
    """One seal.

    Attributes
    ----------
    number
        From 1, without gaps.
    digest
        SHA-256 of the seal's file, the name by which it is noted down.
    previous
        Digest of the seal before; None for the first.
    made
        Time with zone.
    records
        SHA-256 of each record file, by its path relative to ``records/``.
    """

    number: int
    digest: str
    previous: str | None
    made: datetime
    records: Mapping[str, str]


def seal_records(results: Path) -> Seal | None:
    """Seal every record that is not sealed yet.

    Parameters
    ----------
    results
        Folder of everything computed.

    Returns
    -------
    Seal
        The last seal of the study, a new one unless all records were sealed; None where there are
        no records at all.

    Raises
    ------
    InputError
        If an earlier seal cannot be read.
    """
    while True:
        seals = read_seals(results)
        last = seals[-1] if seals else None
        new = unsealed_records(results, seals)
        if not new:
            return last
        number = last.number + 1 if last else 1
        entry = {
            "number": number,
            "previous": last.digest if last else None,
            "made": now().isoformat(),
            "records": {name: digest_of(results / RECORDS / name) for name in new},
        }
        # where another process took the number meanwhile, what it left is sealed next
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
        If a file among them is no seal.
    """
    found = []
    for path in sorted((results / SEALS).glob("*.json")):
        content = path.read_bytes()
        try:
            entry = json.loads(content)
            found.append(
                Seal(
                    number=int(entry["number"]),
                    digest=hashlib.sha256(content).hexdigest(),
                    previous=entry["previous"],
                    made=datetime.fromisoformat(entry["made"]),
                    records=dict(entry["records"]),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                path, f"is no seal ({type(error).__name__})", "Restore it from a copy of the study."
            ) from error
    return found


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
