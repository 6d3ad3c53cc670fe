"""Ancestry of a figure, table, model or table cell, as text, JSON or image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ldae.errors import InputError
from ldae.provenance.history import RECORDS, FileState, Job
from ldae.provenance.lineage import Lineage


def find_results(file: Path) -> Path:
    """Results folder of the study that contains a file.

    Raises
    ------
    InputError
        If neither a folder above the file nor ``./results`` has records.
    """
    for folder in (*file.absolute().parents, Path("results").absolute()):
        if (folder / RECORDS).is_dir():
            return folder
    raise InputError(
        file, "the file is not in a study with records", "Name the results folder with --results."
    )


def read_conditions(text: str) -> dict[str, str]:
    """Columns and values from a text such as ``method=ldae,metric=roc_auc``.

    Raises
    ------
    InputError
        If a part does not have the form column=value.
    """
    found = {}
    for part in filter(None, text.split(",")):
        column, equals, value = part.partition("=")
        if not equals or not column:
            raise InputError("--where", f"cannot read {part!r}", "Write column=value,column=value.")
        found[column.strip()] = value.strip()
    return found


def describe(lineage: Lineage) -> dict[str, Any]:
    """Complete description of a lineage as JSON types."""
    state = lineage.history.state(lineage.target)
    cell = None
    if lineage.cell is not None:
        rows = lineage.cell.rows.to_dict("records")
        cell = {"where": dict(lineage.cell.where), "rows": rows}
    return {
        "file": lineage.target,
        "size": state.size if state else None,
        "sha256": state.sha256 if state else None,
        "on_disk": lineage.state_on_disk(),
        "cell": cell,
        "jobs": [_describe_job(lineage, job) for job in reversed(lineage.jobs)],
        "raw": [_describe_file(file) for file in lineage.history.raw_inputs(lineage.jobs)],
    }


def _describe_job(lineage: Lineage, job: Job) -> dict[str, Any]:
    record = job.record
    kept = "params seed threads start end wall_seconds commit dirty container device software"
    return {
        "id": job.id,
        "rule": job.rule,
        "wildcards": dict(job.wildcards),
        "record": f"{RECORDS}/{job.case}/{job.id}.json",
        **{key: record.get(key) for key in kept.split()},
        "parents": [parent.id for parent in lineage.parents[job.id]],
        "for_other_rows": job.id in lineage.aside,
        "input": [_describe_file(file) for file in job.inputs],
        "output": [_describe_file(file) for file in job.outputs],
    }


def _describe_file(file: FileState) -> dict[str, Any]:
    return {"path": file.path, "size": file.size, "sha256": file.sha256}
