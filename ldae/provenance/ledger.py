"""Ledger of the test participants: how often their numbers were computed, and with which settings.

A choice made after a look at the test participants is fitted to them a little. Jobs that write
predictions or scores of test participants say so in their records, which are sealed and which the
audit checks; the ledger is read from the records. It therefore also counts runs that were stopped
before the report, and cannot be emptied by removing the table.

One scoring is a run of such jobs with the same code and settings. It ends where either changes, or
where a job is repeated that it has already done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from ldae.provenance.history import History, Job
from ldae.wording import counted

SHOWN_DIGITS = 12
"""Digits of a digest in the table."""


@dataclass(frozen=True)
class Scoring:
    """One time that test participants were scored.

    Attributes
    ----------
    first, last
        Times of its first and last job.
    commit
        Commit of the code, with ``+`` where the code differed from it; ``none`` outside a clone.
    settings
        Digest of the settings (:func:`ldae.provenance.record.settings_digest`); ``unknown`` in
        records from before it was noted.
    n_subjects, n_jobs
        Test participants scored, and jobs that wrote numbers of them.
    times_before
        Earlier scorings of any of these participants.
    settings_before
        Different settings among them.
    """

    first: datetime
    last: datetime
    commit: str
    settings: str
    n_subjects: int
    n_jobs: int
    times_before: int
    settings_before: int


COLUMNS = tuple(Scoring.__dataclass_fields__)


def read_scorings(history: History) -> list[Scoring]:
    """Every time that the test participants of a study were scored, in order."""
    found: list[Scoring] = []
    seen: list[tuple[str, set[str]]] = []
    for jobs in _runs(history):
        subjects = {subject for job in jobs for subject in job.record["scored"]}
        before = [settings for settings, earlier in seen if earlier & subjects]
        commit, settings = _key(jobs[0])
        found.append(
            Scoring(
                first=jobs[0].start,
                last=max(job.end or job.start for job in jobs),
                commit=commit,
                settings=settings,
                n_subjects=len(subjects),
                n_jobs=len(jobs),
                times_before=len(before),
                settings_before=len(set(before)),
            )
        )
        seen.append((settings, subjects))
    return found


def write_ledger(scorings: Sequence[Scoring], path: Path) -> None:
    """Write the ledger as a table, one line per scoring; only its header where there is none."""
    ledger_table(scorings).to_csv(path, sep="\t", index=False, lineterminator="\n")


def ledger_table(scorings: Sequence[Scoring]) -> pd.DataFrame:
    """The ledger with times in UTC and shortened digests, as it is written and shown."""
    rows = [
        vars(one)
        | {name: f"{getattr(one, name):%Y-%m-%d %H:%M} UTC" for name in ("first", "last")}
        | {"commit": one.commit[:SHOWN_DIGITS] + "+" * one.commit.endswith("+")}
        | {"settings": one.settings[:SHOWN_DIGITS]}
        for one in scorings
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def describe_scorings(scorings: Sequence[Scoring], *, final: bool) -> str:
    """What a reader must know of the test participants, in one sentence.

    Parameters
    ----------
    scorings
        Result of :func:`read_scorings`.
    final
        Whether the study's numbers are those of test participants.
    """
    if not scorings:
        known = "" if final else "; the test participants have not been scored"
        return f"All numbers are of {'test' if final else 'validation'} participants{known}."
    settings = counted(len({one.settings for one in scorings}), "set")
    often = f"{len(scorings):,} times in this folder, with {settings} of settings"
    known = f"scored {'once in this folder' if len(scorings) == 1 else often}"
    if final:
        return f"All numbers are of test participants, who were {known}."
    return f"All numbers are of validation participants; the test participants were {known}."


def _runs(history: History) -> list[list[Job]]:
    """Jobs that scored test participants, divided into scorings."""
    runs: list[list[Job]] = []
    for job in history.jobs:
        if not job.record.get("scored"):
            continue
        last = runs[-1] if runs else []
        if not last or _key(last[0]) != _key(job) or any(job.case == one.case for one in last):
            runs.append([])
        runs[-1].append(job)
    return runs


def _key(job: Job) -> tuple[str, str]:
    """Code and settings of a job."""
    commit = str(job.record["commit"] or "none") + ("+" if job.record["dirty"] else "")
    return commit, str(job.record.get("settings") or "unknown")
