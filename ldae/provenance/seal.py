"""Seals of the records of a study, which make later changes detectable.

A seal is a file ``provenance/seals/<number>.json`` in the results folder. It lists the SHA-256 of
every record file that no earlier seal lists, and the SHA-256 of the previous seal. The digest of
the last seal therefore covers all records of the study. The workflow's main process writes seals
when a run starts, when it ends, and before a report is built. Jobs, which may run on many machines
at once, only add records. The digest of the last seal is printed at the end of a run and in the
report. With a note of it one can verify later that no record was changed, removed or added.

A run that was killed leaves unsealed records. The next run seals them when it starts; until then,
changes in them cannot be detected.
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
        Number of the seal, consecutive from 1.
    digest
        SHA-256 of the seal's file.
    previous
        Digest of the previous seal; None for the first one.
    made
        Time with time zone.
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
        # If another process has taken the number meanwhile, the loop seals what is left.
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
                path,
                f"the file is not a seal ({type(error).__name__})",
                "Restore it from a copy of the study.",
            ) from error
    return found


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
