"""Scans that two participants have: one of them is saved under a wrong name."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections import defaultdict
from pathlib import Path

import pandas as pd

from ldae.data.addresses import raw_labels
from ldae.data.intake.notices import Faults, Findings, Kind
from ldae.errors import InputError

GZIP_END_BYTES = 8
"""Checksum (CRC-32) and length of the content, at the end of a compressed file."""


def checksum(path: Path) -> str:
    """SHA-256 of a file; InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            path, f"the file cannot be read ({error.strerror})", "Check its permissions"
        ) from error


def find_copies(bids_dir: Path, scans: pd.DataFrame, faults: Faults) -> None:
    """Note compressed scans of two participants with the same bytes, before any work.

    Only files of equal size are read: compressed ones hardly ever have it by chance.
    """
    subjects: defaultdict[float, set[str]] = defaultdict(set)
    sizes = [_size(bids_dir / path) if path.endswith(".gz") else 0.0 for path in scans["path"]]
    for size, subject in zip(sizes, scans["subject"], strict=True):
        subjects[size].add(subject)
    alike = scans[[size > 0 and len(subjects[size]) > 1 for size in sizes]]
    sums = [checksum(bids_dir / path) for path in alike["path"]]
    _add_copies(bids_dir, alike.assign(sha256=sums), faults)


def _gzip_end(path: Path) -> bytes:
    """Checksum and length of the content of a compressed file, which stand at its end."""
    with path.open("rb") as file:
        file.seek(-min(GZIP_END_BYTES, path.stat().st_size), os.SEEK_END)
        return file.read()


def _content_checksum(path: Path) -> str:
    """SHA-256 of what a file holds compressed; of itself where it cannot be unpacked."""
    try:
        with gzip.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error):
        return checksum(path)


def _size(path: Path) -> float:
    try:
        return path.stat().st_size
    except OSError:  # it was there when the folder was listed; reading it gives the reason
        return 0.0


def _add_copies(bids_dir: Path, scans: pd.DataFrame, faults: Faults) -> None:
    """Note a fault for each content that two participants have."""
    for _, group in scans.groupby("sha256", sort=False):
        firsts = group.drop_duplicates("subject")["path"].tolist()
        if len(firsts) > 1:
            more = f" (and {len(firsts) - 2} more)" if len(firsts) > 2 else ""
            faults.add(
                bids_dir,
                f"{firsts[0]} and {firsts[1]}{more} are the same scan under different participants",
                "Find out whose scan it is, and take the others out of the data set",
            )


def compare_contents(bids_dir: Path, scans: pd.DataFrame, findings: Findings) -> None:
    """Note a fault for a scan of two participants, and a notice for one of two visits.

    A scan that was compressed again is the same scan. Empty files are alike, and preprocessing
    excludes each.
    """
    full = scans[[_size(bids_dir / path) > 0 for path in scans["path"]]]
    _add_copies(bids_dir, full, findings.faults)
    packed = full[full["path"].str.endswith(".gz")].drop_duplicates("sha256")
    ends = pd.Series([_gzip_end(bids_dir / path) for path in packed["path"]], packed.index)
    again = packed[ends.duplicated(keep=False)]
    sums = [_content_checksum(bids_dir / path) for path in again["path"]]
    _add_copies(bids_dir, again.assign(sha256=sums), findings.faults)
    for (subject, _), group in full.groupby(["subject", "sha256"], sort=False):
        if len(group) > 1:
            own = raw_labels(group["path"].iloc[0])[0]
            # elsewhere than in folders called by labels, any part of a path may be a name
            first, second, *others = group["path" if own else "scan"]
            more = f" (and {len(others)} more)" if others else ""
            text = f"{first} and {second}{more} are the same scan"
            findings.note(Kind.IDENTICAL, text, own or str(subject))
