"""Comparison of Snakemake's metadata of the outputs with the records."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.study import Study
from ldae.provenance.history import Job
from ldae.provenance.places import RESULTS
from ldae.provenance.reading import read_regular
from ldae.provenance.record import TIMESTAMP_FILE

NAME = "Snakemake's metadata"
METADATA = Path(".snakemake") / "metadata"
# Snakemake splits long names into folders with this prefix.
FOLDER_MARK = "@"
# Largest accepted difference between the clocks of nodes and file servers.
END_SECONDS = 120.0

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Metadata:
    """Snakemake's metadata of the outputs of this study.

    Attributes
    ----------
    entries
        Metadata of each output, by the output's name in the records.
    times
        Modification time of each existing output as Snakemake determines it, seconds since 1970.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)

    def reaction_to(self, name: str) -> str:
        """Whether Snakemake notices that a file was changed; empty if it has no metadata of it."""
        outputs = self.outputs_of(name)
        if not outputs:
            return ""
        if not outputs & set(self.times):
            return "Snakemake will make it again"
        time = max(self.times[output] for output in outputs & set(self.times))
        readers = {reader for reader, entry in self.entries.items() if outputs & entry["input"]}
        if any(self.times.get(reader, 0.0) < time for reader in readers):
            return "Snakemake notices the change"
        return "Snakemake does not notice the change"

    def outputs_of(self, name: str) -> set[str]:
        """Outputs with metadata that are the named file or a folder that contains it."""
        parts = name.split("/")
        return {"/".join(parts[:n]) for n in range(2, len(parts) + 1)} & set(self.entries)


def read_metadata(study: Study) -> Metadata:
    """Metadata of the study's outputs; empty if the study did not run in the working folder."""
    folder = study.working / METADATA
    entries: dict[str, dict[str, Any]] = {}
    times: dict[str, float] = {}
    for path in folder.rglob("*") if folder.is_dir() else ():
        output = _decode(path.relative_to(folder)) if path.is_file() else None
        if output is None:
            continue
        name = study.places.name(study.working / output)
        if not name.startswith(f"{RESULTS}/"):
            continue
        try:
            entry = _read_entry(study, path)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            continue  # being written right now, or written by another version of Snakemake
        entries[name] = entry
        path = study.working / output
        stamp = path / TIMESTAMP_FILE if path.is_dir() else path
        if stamp.exists():
            times[name] = stamp.stat().st_mtime
    return Metadata(entries, times)


def _read_entry(study: Study, path: Path) -> dict[str, Any]:
    """Metadata of one output, with its inputs named as in the records."""
    entry: dict[str, Any] = json.loads(read_regular(path))
    rename = {p: study.places.name(study.working / p) for p in entry.get("input") or []}
    entry["input"] = set(rename.values())
    sums = entry.get("input_checksums") or {}
    entry["input_checksums"] = {rename[p]: s for p, s in sums.items() if p in rename}
    end = entry.get("endtime")
    entry["endtime"] = None if end is None else float(end)
    return entry


def check_metadata(study: Study, metadata: Metadata) -> Check:
    """Compare Snakemake's metadata with the record of the job that wrote each output."""
    if not metadata.entries:
        finding = Finding(
            Level.UNCHECKED,
            str(METADATA),
            "Snakemake's metadata of this study",
            "none in the working folder: the study was moved, or ran elsewhere",
        )
        return Check(NAME, "none", (finding,))
    findings: list[Finding] = []
    n_outputs = 0
    for job in study.history.current:
        for name in _outputs_with_metadata(study, job, metadata):
            n_outputs += 1
            findings += _compare(study, job, name, metadata.entries[name])
    return Check(NAME, f"{n_outputs:,} outputs", tuple(findings))


def _outputs_with_metadata(study: Study, job: Job, metadata: Metadata) -> list[str]:
    """Outputs of a job that have metadata: its files, or the folders that contain them."""
    found: set[str] = set()
    for file in job.outputs:
        if study.history.producer(file.path) is job:
            found |= metadata.outputs_of(file.path)
    return sorted(found)


def _compare(study: Study, job: Job, name: str, entry: Entry) -> Iterator[Finding]:
    """Differences between Snakemake's metadata of one output and the record of its job."""
    affected = study.history.targets_of([job])
    where = f"{job.case} {job.id}"
    if entry.get("rule") != job.rule:
        expected = f"made by rule {job.rule} ({where})"
        found = f"rule {entry.get('rule')} in Snakemake's metadata"
        yield Finding(Level.ERROR, name, expected, found, affected)
    code = job.record["params"].get("code")
    if code and repr(code) not in (entry.get("params") or []):
        expected = f"made with code {code} ({where})"
        found = "other code in Snakemake's metadata"
        yield Finding(Level.ERROR, name, expected, found, affected)
    end = entry.get("endtime")
    if end and job.end and end > job.end.timestamp() + END_SECONDS:
        expected = f"written before {where} ended"
        found = f"written {end - job.end.timestamp():,.0f} s later by Snakemake's metadata"
        found += ": touched, or written by a job without a record"
        yield Finding(Level.WARNING, name, expected, found, affected)
    read = {file.path: file.sha256 for file in job.inputs}
    for path, checksum in entry["input_checksums"].items():
        kind, _, digest = str(checksum).partition(":")
        if kind == "sha256" and path in read and digest != read[path]:
            expected = f"sha256 {read[path]}, read by {where}"
            found = f"sha256 {digest} in Snakemake's metadata"
            yield Finding(Level.ERROR, path, expected, found, affected)


def _decode(path: Path) -> str | None:
    """Output that a file of Snakemake's metadata describes; None for any other file."""
    text = "".join(part.removeprefix(FOLDER_MARK) for part in path.parts)
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except ValueError:
        return None
