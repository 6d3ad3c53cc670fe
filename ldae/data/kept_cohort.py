"""A real cohort as the main process read it, kept in a file for the jobs.

Reading a cohort takes several calls to the file system for each scan. The main process makes them
once for each run; the processes of its jobs read this file instead, two or three for each job. So
all jobs of a run see the same scans, whatever is added to the cohort while they wait.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

DIGITS = 16
"""Digits of the SHA-256 of a file's content that are part of its name."""


@dataclass(frozen=True)
class KeptCohort:
    """What the main process found.

    Attributes
    ----------
    scans
        Table of scans (:class:`ldae.data.bids.Cohort`).
    fingerprint
        Digest of the cohort's tables and of its images' names, sizes and times.
    batches
        The same of the files of each batch of preprocessing, by the batch's name.
    masks
        The same of the reference masks.
    split
        Digest of the visits and of the planned split.
    path
        The file; None for a cohort that is not kept yet.
    """

    scans: pd.DataFrame
    fingerprint: str
    batches: Mapping[str, str]
    masks: str
    split: str
    path: Path | None = None

    def write(self, folder: Path, study: str) -> Path:
        """Write the file, only for this user to read, and remove the study's former ones.

        Its name has a digest of its content: a job that has the name reads this cohort or
        none, whatever a file server still has of former ones.

        Parameters
        ----------
        folder
            Where to write; it is made.
        study
            What tells the study from others that use the same folder.
        """
        content = json.dumps(
            {
                "scans": self.scans.to_dict("split", index=False),
                "fingerprint": self.fingerprint,
                "batches": dict(self.batches),
                "masks": self.masks,
                "split": self.split,
            }
        ).encode()
        folder.mkdir(parents=True, exist_ok=True)
        beginning = f"cohort-{hashlib.sha256(study.encode()).hexdigest()[:8]}-"
        path = folder / f"{beginning}{_digits(content)}.json"
        if not os.access(path, os.R_OK):  # there is none, or that of another user
            partial = path.with_name(f".{path.name}.{os.getpid()}")
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(content)
            partial.replace(path)
        for former in folder.glob(f"{beginning}*.json"):
            if former != path:
                former.unlink()
        return path


def read_kept(path: str | Path | None) -> KeptCohort | None:
    """The cohort of a file; None where there is none, or it is not what its name says."""
    if not path:
        return None
    try:
        content = Path(path).read_bytes()
    except OSError:
        return None
    if not Path(path).stem.endswith(f"-{_digits(content)}"):
        return None
    found = json.loads(content)
    scans = pd.DataFrame(**found.pop("scans"))
    return KeptCohort(scans, **found, path=Path(path))


def _digits(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]
