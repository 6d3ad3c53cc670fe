"""Compare what Snakemake noted of the outputs with the records."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.study import Study
from ldae.provenance.history import Job
from ldae.provenance.places import RESULTS
from ldae.provenance.record import TIMESTAMP_FILE

METADATA = Path(".snakemake") / "metadata"
# Long names are cut into folders that are marked so.
FOLDER_MARK = "@"
# Clocks of nodes and file servers may differ by so much.
END_SECONDS = 120.0


@dataclass(frozen=True)
class Belief:
    """Snakemake's notes of the outputs of this study.

    Attributes
    ----------
    notes
        What it noted of each output, by the output's name in the records.
    times
        Time of change of each of them as Snakemake takes it, seconds since the epoch; absent for
        a missing one.
    """

    notes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """What Snakemake makes of a changed file, in words; empty without notes of it."""
        parts = name.split("/")
        outputs = {"/".join(parts[:n]) for n in range(2, len(parts) + 1)} & set(self.notes)
        if not outputs:
            return ""
        if not outputs & set(self.times):
            return "Snakemake will make it again"
        time = max(self.times[output] for output in outputs & set(self.times))
        readers = {reader for reader, note in self.notes.items() if outputs & note["input"]}
        if any(self.times.get(reader, 0.0) < time for reader in readers):
            return "Snakemake sees that it changed"
        return "Snakemake believes that nothing changed"


def read_belief(study: Study) -> Belief:
    """Notes of the study's outputs in the working folder; none where it is not the one."""
    folder = study.working / METADATA
    notes: dict[str, dict[str, Any]] = {}
    times: dict[str, float] = {}
    for path in folder.rglob("*") if folder.is_dir() else ():
        output = _decode(path.relative_to(folder)) if path.is_file() else None
        if output is None:
            continue
        name = study.places.name(study.working / output)
        if not name.startswith(f"{RESULTS}/"):
            continue
        try:
            note = json.loads(path.read_bytes())
        except ValueError:
            continue  # written at this very moment, or by another version
        rename = {p: study.places.name(study.working / p) for p in note.get("input") or []}
        note["input"] = set(rename.values())
        sums = note.get("input_checksums") or {}
        note["input_checksums"] = {rename[p]: s for p, s in sums.items() if p in rename}
        notes[name] = note
        path = study.working / output
        stamp = path / TIMESTAMP_FILE if path.is_dir() else path
        if stamp.exists():
            times[name] = stamp.stat().st_mtime
    return Belief(notes, times)


def check_belief(study: Study, belief: Belief) -> Check:
    """Compare Snakemake's notes with the records of the jobs behind each output."""
    if not belief.notes:
        finding = Finding(
            Level.UNCHECKED,
            str(METADATA),
            "Snakemake's notes of this study",
            "none in the working folder: the study was moved, or ran elsewhere",
        )
        return Check("Snakemake's notes", "none", (finding,))
    findings: list[Finding] = []
    n_outputs = 0
    for job in study.history.current:
        for name in _outputs_with_notes(study, job, belief):
            n_outputs += 1
            findings += _compare(study, job, name, belief.notes[name])
    return Check("Snakemake's notes", f"{n_outputs:,} outputs", tuple(findings))


def _outputs_with_notes(study: Study, job: Job, belief: Belief) -> list[str]:
    """Outputs of a job that have notes: its files, or the folders that hold them."""
    found: set[str] = set()
    for file in job.outputs:
        if study.history.producer(file.path) is not job:
            continue
        parts = file.path.split("/")
        found |= {"/".join(parts[:n]) for n in range(2, len(parts) + 1)} & set(belief.notes)
    return sorted(found)


def _compare(study: Study, job: Job, name: str, note: Mapping[str, Any]) -> list[Finding]:
    affected = study.history.targets_of([job])
    where = f"{job.case} {job.id}"
    found: list[Finding] = []
    if note.get("rule") != job.rule:
        found.append(
            Finding(
                Level.ERROR,
                name,
                f"made by rule {job.rule} ({where})",
                f"Snakemake noted rule {note.get('rule')}",
                affected,
            )
        )
    code = job.record["params"].get("code")
    if code and repr(code) not in (note.get("params") or []):
        found.append(
            Finding(
                Level.ERROR,
                name,
                f"made with code {code} ({where})",
                "Snakemake noted other code",
                affected,
            )
        )
    end = note.get("endtime")
    if end and job.end and end > job.end.timestamp() + END_SECONDS:
        late = f"{end - job.end.timestamp():,.0f} s later"
        found.append(
            Finding(
                Level.WARNING,
                name,
                f"written before {where} ended",
                f"Snakemake noted it as written {late}: touched, or by a job without a record",
                affected,
            )
        )
    read = {file.path: file.sha256 for file in job.inputs}
    for path, checksum in note["input_checksums"].items():
        kind, _, digest = str(checksum).partition(":")
        if kind == "sha256" and path in read and digest != read[path]:
            found.append(
                Finding(
                    Level.ERROR,
                    path,
                    f"sha256 {read[path]}, read by {where}",
                    f"Snakemake saw {digest}",
                    affected,
                )
            )
    return found


def _decode(path: Path) -> str | None:
    """Output that a file of notes is about; None for another file."""
    text = "".join(part.removeprefix(FOLDER_MARK) for part in path.parts)
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except ValueError:
        return None
