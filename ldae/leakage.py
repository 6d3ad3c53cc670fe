"""Whose scans were fitted on or scored, noted where that happens and written into the job's record.

A statistic that saw a participant of the test split makes every number of that participant
worthless. What a fit reads is known only where it reads, so each fit of the library says so here.
A job that fitted on a test participant fails, and the audit compares the records with the split
again. Scoring test participants is what they are for, but each look at their numbers is one after
which a changed setting may owe something to them: jobs that write such numbers say so too, and the
ledger counts them (:mod:`ldae.provenance.ledger`).
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from ldae.errors import InputError
from ldae.subsets import TEST

_seen: dict[str, set[str]] = defaultdict(set)
_contents: dict[str, str] = {}
_scored: set[str] = set()


def note_fitted(statistic: str, subjects: Iterable[str]) -> None:
    """Note that a statistic is fitted on scans of these subjects.

    Parameters
    ----------
    statistic
        What is fitted, in words.
    subjects
        Subject of every row that the fit reads; repeats are fine.
    """
    _seen[statistic].update(map(str, subjects))


def fitted_on() -> dict[str, list[str]]:
    """Subjects that this process fitted on so far, sorted, by statistic."""
    return {statistic: sorted(subjects) for statistic, subjects in sorted(_seen.items())}


def note_scored(subjects: Iterable[str]) -> None:
    """Note that numbers of these test participants are written; repeats are fine."""
    _scored.update(map(str, subjects))


def scored_participants() -> list[str]:
    """Test participants of whom this process wrote numbers so far, sorted."""
    return sorted(_scored)


def note_content(scan: str, digest: str) -> None:
    """Note what a raw scan holds, so that the same head under two names is found.

    Parameters
    ----------
    scan
        Name in the table of scans.
    digest
        Digest of its values (:func:`ldae.preprocessing.scan.content_digest`).
    """
    _contents[scan] = digest


def contents() -> dict[str, str]:
    """Digests of the values of the raw scans that this process read so far, by scan."""
    return dict(sorted(_contents.items()))


def require_unseen(split: Path) -> None:
    """Check that this process has fitted nothing on a participant of the test split.

    Parameters
    ----------
    split
        ``split.tsv`` of the study; before there is one, no participant is a test participant.

    Raises
    ------
    InputError
        Naming the statistic and the participants.
    """
    if not split.is_file():
        return
    with split.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t")
        test = {row["subject"] for row in rows if row["split"] == TEST}
    for statistic, subjects in fitted_on().items():
        seen = [subject for subject in subjects if subject in test]
        if seen:
            whom = f"{len(seen)} participants of the test split, such as {seen[0]}"
            remedy = "Fit it on participants of another split"
            raise InputError(split, f"{statistic} was fitted on {whom}", remedy)
