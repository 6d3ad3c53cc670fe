"""Short text for the content of records: sizes, times, commits and settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ldae.provenance.history import FileState

# Number of digits of commits and digests that are shown.
SHOWN_DIGITS = 10

# Number of settings of a job that are shown.
SHOWN_PARAMS = 8

# Longer values, such as lists, are left out in favour of the others.
MAX_VALUE_LENGTH = 40

# Parameters that do not affect the result of a job.
HIDDEN_PARAMS = ("code", "work_dir", "bids_dir", "seed", "fingerprint", "preprocessed")


def short_digest(digest: str) -> str:
    """First digits of a commit or checksum."""
    return digest[:SHOWN_DIGITS]


def describe_commit(record: Mapping[str, Any]) -> str:
    """Abbreviated commit of a record, and whether the files differed from it."""
    if not record["commit"]:
        return "no commit"
    changed = " with changes" if record["dirty"] else ""
    return f"commit {short_digest(record['commit'])}{changed}"


def describe_device(record: Mapping[str, Any]) -> str:
    """Device of a job; empty if the record does not state it."""
    device = record.get("device") or {}
    return f"{device['kind']} {device['name']}" if device else ""


def describe_params(params: Mapping[str, Any]) -> str:
    """Main settings as text; settings inside sections are listed without the section's name."""
    pairs = [
        f"{name} {json.dumps(value)}"
        for name, value in _flat(params)
        if len(json.dumps(value)) <= MAX_VALUE_LENGTH
    ]
    more = f", and {len(pairs) - SHOWN_PARAMS} more" if len(pairs) > SHOWN_PARAMS else ""
    return ", ".join(pairs[:SHOWN_PARAMS]) + more


def _flat(params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        elif value is not None and name not in HIDDEN_PARAMS:
            yield name, value


def describe_size(size: float) -> str:
    """Size in a suitable unit, from bytes."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def describe_seconds(seconds: float) -> str:
    """Duration in a suitable unit, from seconds."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def count_files(files: Iterable[FileState]) -> str:
    """Number of files and their total size."""
    sizes = [file.size for file in files]
    word = "file" if len(sizes) == 1 else "files"
    return f"{len(sizes)} {word}" + (f" ({describe_size(sum(sizes))})" if sizes else "")
