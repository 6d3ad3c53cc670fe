"""Earlier jobs of a rule whose results still hold, by their records.

A job that does many things of the same kind, such as preprocessing the scans of a batch, need not
do again what an earlier one did with the same code, settings, environment and processor on the same
bytes. What the record of such a job says is then true of its results whichever of the two made
them: only commit, times and memory are those of the later one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldae.provenance.places import Places
from ldae.provenance.record import COMPLETED, Record, describe_files, device

SURROUNDINGS = ("locks", "container", "seed", "device")
"""Fields of two records that must be the same, beside what decides the results."""


@dataclass(frozen=True)
class EarlierJob:
    """A completed job with the surroundings of this one.

    Attributes
    ----------
    files
        SHA-256 of all files that it read or wrote, by their names in records.
    voxels
        Digest of the values of each raw scan that it read.
    places
        Locations of the study's folders now.
    """

    files: Mapping[str, str]
    voxels: Mapping[str, str]
    places: Places

    def holds(self, paths: Sequence[Path], missing: Sequence[Path] = ()) -> bool:
        """Whether files are there as this job read or wrote them, and others missing as then."""
        names = {self.places.name(path) for path in paths}
        found = {file["path"]: file["sha256"] for file in describe_files(paths, self.places)}
        if names != set(found) or any(path.exists() for path in missing):
            return False
        as_then = all(self.files.get(name) == sha256 for name, sha256 in found.items())
        return as_then and not any(self.places.name(path) in self.files for path in missing)


def earlier_jobs(
    folders: Iterable[Path],
    record: Record,
    decisive: Callable[[Mapping[str, Any]], object],
    places: Places,
    ignored: Collection[str] = (),
) -> list[EarlierJob]:
    """The last completed job of each folder, if it was made as this one is.

    Parameters
    ----------
    folders
        Folders of records, one for each job.
    record
        The first record of this job, with its declared inputs.
    decisive
        What of a job's parameters decides its results, but for the files that it reads.
    places
        Locations of the study's folders.
    ignored
        Parameters that make no other job.

    Returns
    -------
    list of EarlierJob
        Empty if one of them is the same job, with the same parameters and declared inputs: who asks
        for it again wants it computed again. Empty too where nothing tells of which packages the
        environment is made.
    """
    if not record["locks"]:
        return []
    asked = _Last.of(record, decisive, ignored)
    here = {**asked.surroundings, "device": device()}
    found = []
    for last in filter(None, (_last_completed(one, decisive, ignored) for one in folders)):
        inputs_too = all(last.files.get(name) == sha256 for name, sha256 in asked.files.items())
        if last.job == asked.job and inputs_too:
            return []
        if (last.decided_by, last.surroundings) == (asked.decided_by, here):
            found.append(EarlierJob(last.files, last.voxels, places))
    return found


@dataclass(frozen=True)
class _Last:
    """What of a record is compared."""

    job: tuple[Mapping[str, Any], Mapping[str, Any]]
    """Parameters and wildcards."""
    decided_by: object
    surroundings: Mapping[str, Any]
    files: Mapping[str, str]
    """SHA-256 of inputs and outputs, by their names."""
    voxels: Mapping[str, str]

    @classmethod
    def of(
        cls,
        record: Record,
        decisive: Callable[[Mapping[str, Any]], object],
        ignored: Collection[str],
    ) -> _Last:
        params = {name: value for name, value in record["params"].items() if name not in ignored}
        files = (*record["input"], *record.get("output", ()))
        return cls(
            job=(params, record["wildcards"]),
            decided_by=decisive(record["params"]),
            surroundings={name: record.get(name) for name in SURROUNDINGS},
            files={file["path"]: file["sha256"] for file in files},
            voxels=record.get("voxels", {}),
        )


def _last_completed(
    folder: Path, decisive: Callable[[Mapping[str, Any]], object], ignored: Collection[str]
) -> _Last | None:
    """The last record in a folder of a job that completed, but for records at fault."""
    for path in sorted(folder.glob("*.json"), reverse=True):  # names begin with the time
        if path.name.endswith(".started.json"):
            continue
        try:
            record: Record = json.loads(path.read_bytes())
            if record["status"] == COMPLETED:
                return _Last.of(record, decisive, ignored)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue  # the audit reports it
    return None
