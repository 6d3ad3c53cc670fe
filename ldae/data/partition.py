"""Batches of preprocessing: which participants share a job.

A participant's batch follows from a digest of the label, read bit by bit: batch ``011`` holds
everybody whose digest begins with 011. A batch of too many scans is divided in two by the next
bit. So a participant who is added joins one batch and moves nobody in any other, whatever the
order of the participants, and no list of earlier batches is needed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path

import pandas as pd

from ldae.data.addresses import Derivative, derivative_paths
from ldae.errors import InputError

# Table of a batch, one row per scan: its result, why it failed, and a digest of its files.
BATCH_COLUMNS = ("scan", "status", "reason", "sha256")
# Of scans that were chosen from repeats: the file that was taken, and what the others had. These
# columns are only in tables of cohorts in which repeats compete.
TAKEN, REPEATS = "taken", "repeats"
OK, FAILED = "ok", "failed"  # what can become of a scan

# Bits of a label's digest: so many are never needed, as labels differ long before.
BITS = 64


@cache  # a plan asks for every participant once per batch
def batch_bits(subject: str) -> str:
    """Bits of a label's digest, of which the first ones name the participant's batch."""
    digest = hashlib.sha256(subject.encode()).digest()[: BITS // 8]
    return f"{int.from_bytes(digest):0{BITS}b}"


def belongs(subject: str, batch: str) -> bool:
    """Whether a participant is in a batch."""
    return batch_bits(subject).startswith(batch)


def divide_subjects(n_scans: Mapping[str, int], batch_size: int) -> dict[str, list[str]]:
    """Participants of every batch, by the batch's name.

    Parameters
    ----------
    n_scans
        Number of scans of each participant, by label.
    batch_size
        Scans of a batch, at most; only a batch of a single participant may have more.

    Returns
    -------
    dict
        Batches that are not empty, in the order of their names. There are at least two where there
        are participants for them, however few the scans.
    """
    batches: dict[str, list[str]] = {}
    waiting = [(bit, _begin_with(bit, n_scans)) for bit in "10"]
    while waiting:
        name, members = waiting.pop()
        if sum(n_scans[subject] for subject in members) > batch_size and len(members) > 1:
            waiting += [(name + bit, _begin_with(name + bit, members)) for bit in "10"]
        elif members:
            batches[name] = members
    return batches


def _begin_with(bits: str, subjects: Iterable[str]) -> list[str]:
    return sorted(subject for subject in subjects if belongs(subject, bits))


def share_participants(batch: str, other: str) -> bool:
    """Whether participants of a batch may have been in another one, which was larger or smaller."""
    return batch.startswith(other) or other.startswith(batch)


def clear_batch(preprocessed: Path, batch: str, kept: Iterable[str] = ()) -> None:
    """Remove the preprocessed scans of a batch, those of participants who have left the cohort too.

    Parameters
    ----------
    preprocessed
        Data set of the preprocessed scans; it need not exist yet.
    batch
        Name of the batch.
    kept
        Scans that stay.
    """
    stay = set(derivative_paths(preprocessed, kept, *Derivative))
    holding = {folder for path in stay for folder in path.parents}
    for folder in preprocessed.glob("sub-*"):
        if belongs(folder.name, batch):
            _remove(folder, stay, holding)


def _remove(place: Path, stay: Collection[Path], holding: Collection[Path]) -> None:
    """Remove a file or a folder, but for some files and the folders that hold them."""
    if place in holding:
        for inside in list(place.iterdir()):
            _remove(inside, stay, holding)
    elif place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    elif place not in stay:
        place.unlink()


def read_batches(paths: Iterable[Path]) -> pd.DataFrame:
    """Tables of all batches as one: a row for every scan that was preprocessed.

    Raises
    ------
    InputError
        If a scan is in two batches.
    """
    choice = (TAKEN, REPEATS)
    text = dict.fromkeys((*BATCH_COLUMNS, *choice), str)
    tables = [pd.read_csv(p, sep="\t", dtype=text, keep_default_na=False) for p in paths]
    table = pd.concat(tables, ignore_index=True)
    table = table.fillna({name: "" for name in choice if name in table.columns})
    twice = table["scan"][table["scan"].duplicated()]
    if len(twice):
        raise InputError(
            "manifest/batches",
            f"scan {twice.iloc[0]} is in two batches",
            "Delete the folder and run the workflow again",
        )
    return table
