"""Digests of large files, taken once by the job that writes a file and trusted by those that read.

A training would otherwise read 94 GB before it starts, with each of its pieces. A digest is trusted
while the file's inode, size and times stay what they were; programs cannot set the time of the last
change. The audit of a study does not use these digests.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

FOLDER = Path(".snakemake") / "ldae" / "digests"
"""Where digests are kept, in the working folder of a workflow; nothing is kept elsewhere."""

LEAST_BYTES = 64 * 1024**2
"""Smaller files are read again: that takes less than a second."""

SETTLED_SECONDS = 2.0
"""A file that was changed more recently may change again within the resolution of its times."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def trusted_digest(path: Path, state: os.stat_result | None = None) -> str:
    """SHA-256 of a file, from its content or from the last job that read all of it.

    Parameters
    ----------
    path
        The file.
    state
        What a caller has just asked about it: each question is a call to a shared file system.
    """
    before = state or path.stat()
    if before.st_size < LEAST_BYTES or not FOLDER.parent.parent.is_dir():
        return sha256_of(path)
    try:
        kept = json.loads(_place(path).read_bytes())
        if kept["state"] == _state(before):
            return str(kept["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or one that a killed job has left
    digest = sha256_of(path)
    after = path.stat()
    if _state(after) == _state(before) and time.time() - after.st_mtime > SETTLED_SECONDS:
        keep_digest(path, digest)
    return digest


def keep_digest(path: Path, digest: str) -> None:
    """Keep the digest of a large file as it is now, for those who read it next."""
    if path.stat().st_size < LEAST_BYTES or not FOLDER.parent.parent.is_dir():
        return
    place = _place(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps({"state": _state(path.stat()), "sha256": digest}))
    partial.replace(place)


def forget_digest(path: Path) -> None:
    """Remove what is kept of a file, if anything is."""
    _place(path).unlink(missing_ok=True)


def _place(path: Path) -> Path:
    name = os.path.relpath(os.path.realpath(path))  # the folder has another place on other nodes
    return FOLDER / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def _state(state: os.stat_result) -> list[int]:
    """What changes with a file; the device is left out, a node numbers its mounts itself."""
    return [state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]
