"""Whose scans a fitted statistic saw, noted where it is fitted and written into the job's record.

A statistic that saw a person of the test split makes every number of that person worthless. What a
fit reads is known only where it reads, so each fit of the library says so here, and the audit
compares it with the split.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

_seen: dict[str, set[str]] = defaultdict(set)


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
