"""Who was studied: numbers of participants, scans and visits, from the study's own lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ldae.subsets import SPLITS, WORDS
from ldae.wording import counted, listed, ranged

IDENTIFYING_AGE = 89
"""Ages above this one, in years, identify a participant (HIPAA's safe harbour names them)."""


@dataclass(frozen=True)
class Cohort:
    """The cohort of a study.

    Attributes
    ----------
    name
        Short name of the study.
    simulated
        Whether no real participant is in it.
    n_subjects, n_scans
        Read from BIDS.
    n_longitudinal
        Subjects with several visits.
    visits
        Least and largest number of visits of these.
    ages
        Least and largest age in years; None where no age is known.
    diagnoses
        Number of subjects by diagnosis at their first visit.
    n_used
        Scans that passed quality control.
    splits
        Subjects and scans by split, of those that passed.
    """

    name: str
    simulated: bool
    n_subjects: int
    n_scans: int
    n_longitudinal: int
    visits: tuple[int, int] | None
    ages: tuple[float, float] | None
    diagnoses: Mapping[str, int]
    n_used: int
    splits: Mapping[str, tuple[int, int]]

    def sentences(self) -> tuple[str, ...]:
        """The cohort in words: who, how many, and in which split."""
        kind = "a real cohort"
        if self.simulated:
            kind = "a simulated cohort: no real participant was scanned"
        visits = ""
        if self.visits:
            have = "has" if self.n_longitudinal == 1 else "have"
            number = ranged(*self.visits, "visit")
            visits = f"; {counted(self.n_longitudinal, 'participant')} {have} {number}"
        excluded = self.n_scans - self.n_used
        kept = (
            f"Quality control excluded {counted(excluded, 'scan')}"
            if excluded
            else "Quality control excluded no scan"
        )
        parts = [
            f"{counted(subjects, f'{WORDS[split]} participant')} ({counted(scans, 'scan')})"
            for split, (subjects, scans) in self.splits.items()
        ]
        known = f" ({self.demography()})" if self.demography() else ""
        return (
            f"This is {kind}.",
            f"It comprises {counted(self.n_subjects, 'participant')}{known} with "
            f"{counted(self.n_scans, 'T1-weighted scan')}{visits}.",
            f"{kept}. All scans of a participant are in one split: {listed(parts)}.",
        )

    def demography(self) -> str:
        """Ages and diagnoses in words; empty where none is known."""
        parts = []
        if self.ages:
            low, high = (f"{age:.0f}" for age in self.ages)
            if not self.simulated and self.ages[1] > IDENTIFYING_AGE:
                high = f"over {IDENTIFYING_AGE}"
            parts.append(f"aged {low} years" if low == high else f"aged {low} to {high} years")
        if self.diagnoses:
            parts.append(", ".join(f"{n} {name}" for name, n in self.diagnoses.items()))
        return "; ".join(parts)


def describe_cohort(
    scans: pd.DataFrame, index: pd.DataFrame, *, name: str, simulated: bool
) -> Cohort:
    """Count a study's cohort.

    Parameters
    ----------
    scans
        Table ``manifest/scans.tsv``: every scan that was read.
    index
        Table ``volumes/index.tsv``: scans that passed quality control, with their split.
    name
        Short name of the study.
    simulated
        Whether the cohort is simulated.
    """
    visits = scans.groupby("subject").size()
    several = visits[visits > 1]
    ages = pd.to_numeric(scans["age"], errors="coerce").dropna()
    first = scans.drop_duplicates("subject")["diagnosis"].dropna().astype(str)
    named = first[~first.isin(["", "n/a"])].value_counts()
    parts = {split: index[index["split"] == split] for split in SPLITS}
    return Cohort(
        name=name,
        simulated=simulated,
        n_subjects=len(visits),
        n_scans=len(scans),
        n_longitudinal=len(several),
        visits=(int(several.min()), int(several.max())) if len(several) else None,
        ages=(float(ages.min()), float(ages.max())) if len(ages) else None,
        diagnoses={str(k): int(v) for k, v in named.items()},
        n_used=len(index),
        splits={s: (p["subject"].nunique(), len(p)) for s, p in parts.items() if len(p)},
    )
