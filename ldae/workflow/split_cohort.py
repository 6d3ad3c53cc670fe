"""What the split of a cohort allows, known before any work."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import pandas as pd

from ldae.data.diagnoses import Diagnoses
from ldae.data.manifest import VISITS_FOR_INTERPOLATION
from ldae.evaluation.harmonisation import LEAST_OF_SITE, known_sites
from ldae.evaluation.probes.groups import why_no_conversion
from ldae.subsets import SPLITS, TEST, TRAIN, WORDS

LEAST_TO_LEARN = 4
"""Training participants of each group, or with an age: edits are judged by halves of the training
participants (:mod:`ldae.evaluation.editing.judges`), and each half needs two."""

TEST_IS_ENOUGH = (
    "; the test split has enough, and --config final=true scores it (once, when all is decided). "
    "A larger split.val may do, too"
)

Question = ParamSpec("Question")
Ask = Callable[Concatenate["SplitCohort", Question], str]


def _hint_at_test(ask: Ask[Question]) -> Ask[Question]:
    """Add to a reason that it is one of the validation split alone, where it is."""

    @functools.wraps(ask)
    def asked(self: SplitCohort, /, *args: Question.args, **kwargs: Question.kwargs) -> str:
        reason = ask(self, *args, **kwargs)
        if not reason or self._scored == TEST:
            return reason
        tested = copy.copy(self)
        tested._scored = TEST
        return reason if ask(tested, *args, **kwargs) else reason + TEST_IS_ENOUGH

    return asked


class SplitCohort:
    """A cohort with its split.

    Methods that begin with ``why_no`` give the reason why something cannot be computed, or nothing
    if it can. They look at all scans: which of them pass quality control is not known yet. Where
    validation participants are scored, it says so if the test split would do.

    Parameters
    ----------
    scans
        Table of scans: subject, months, age, diagnosis, site.
    split
        Split of each subject: subject, split.
    scored
        Split of the participants who are scored.
    """

    def __init__(self, scans: pd.DataFrame, split: pd.DataFrame, scored: str) -> None:
        self._scored = scored
        places = dict(zip(split["subject"], split["split"], strict=True))
        self._scans = scans.assign(split=scans["subject"].map(places))

    @_hint_at_test
    def why_no_groups(self, diagnoses: Diagnoses) -> str:
        """Of telling patients from controls, both of whom the cohort has."""
        target = diagnoses.target(self._scans["diagnosis"])
        for split, least in ((TRAIN, LEAST_TO_LEARN), (self._scored, 1)):
            for value, word in ((1, diagnoses.patient), (0, diagnoses.control)):
                members = self._scans[target == value]
                found = members["subject"][members["split"] == split].nunique()
                if found < least:
                    return (
                        f"it takes {_participants(least)} diagnosed {word} in the {WORDS[split]} "
                        f"split, which has {found} of the cohort's {members['subject'].nunique()}"
                    )
        return ""

    @_hint_at_test
    def why_no_ages(self) -> str:
        """Of predicting an age, which some of the participants have."""
        first = self._scans[self._scans["age"].notna()].drop_duplicates("subject")
        if first["age"].nunique() < 2:
            return "all participants have the same age"
        for split, least in ((TRAIN, LEAST_TO_LEARN), (self._scored, 1)):
            found = int((first["split"] == split).sum())
            if found < least:
                return (
                    f"it takes {_participants(least)} with an age in the {WORDS[split]} split, "
                    f"which has {found}"
                )
        train = first["age"][first["split"] == "train"]
        # else one half of them could have no other age
        if train.value_counts().max() >= len(train) // 2:
            return "half of the training participants or more have the same age"
        return ""

    @_hint_at_test
    def why_no_conversion(self, diagnoses: Diagnoses) -> str:
        """Of telling participants who convert from stable ones, in a cohort where some convert."""
        target = diagnoses.conversion(self._scans)
        if not (target == 1).any():
            return ""
        return why_no_conversion(self._scans, target, self._scored)

    def why_no_sites(self) -> str:
        """Of predicting a site, and of taking out its effects."""
        sites = set(self._scans["site"]) - {""}
        if len(sites) < 2:
            return "all participants are of one site" if sites else "the cohort gives no sites"
        if len(self._known_sites()) < 2:
            return (
                f"fewer than two of {len(sites)} sites have {LEAST_OF_SITE} training participants"
            )
        return ""

    def other_sites(self) -> dict[str, int]:
        """Number of participants of each site with too few of them in the training split."""
        other = self._scans[~self._scans["site"].isin([*self._known_sites(), ""])]
        counts = other.groupby("site")["subject"].nunique()
        return {str(site): int(n) for site, n in counts.items()}

    def _known_sites(self) -> list[str]:
        train = self._scans[self._scans["split"] == "train"]
        return known_sites(train["site"].to_numpy(str), train["subject"].to_numpy(str))

    @_hint_at_test
    def why_no_interpolation(self) -> str:
        """Of comparing an interpolated visit with a real one."""
        n_cohort = self._n_longitudinal(*SPLITS)
        if not n_cohort:
            return f"nobody has {VISITS_FOR_INTERPOLATION} visits, so none lies between two others"
        if not self._n_longitudinal(self._scored):
            return (
                f"no participant of the {WORDS[self._scored]} split has "
                f"{VISITS_FOR_INTERPOLATION} visits, and {n_cohort} of the cohort have; "
                "split.strata: [visits], a larger share or another split.file may change that"
            )
        return ""

    @_hint_at_test
    def why_no_residual(self) -> str:
        """Of learning how visits between two others differ from their average."""
        n_cohort = self._n_longitudinal(*SPLITS)
        if n_cohort < 2:
            who = "only one participant has" if n_cohort else "nobody has"
            return (
                f"{who} {VISITS_FOR_INTERPOLATION} visits, and it takes one participant to learn "
                "from and another one to test on"
            )
        for split in (TRAIN, self._scored):
            if not self._n_longitudinal(split):
                return (
                    f"no participant of the {WORDS[split]} split has {VISITS_FOR_INTERPOLATION} "
                    "visits"
                )
        return ""

    def n_scans(self, split: str) -> int:
        """Scans of a split."""
        return int((self._scans["split"] == split).sum())

    def n_triples(self, split: str) -> int:
        """Triples of visits of one participant in a split, if no two are in the same month."""
        visits = self._scans[self._scans["split"] == split].groupby("subject").size()
        return sum(math.comb(int(n), 3) for n in visits)

    def _n_longitudinal(self, *splits: str) -> int:
        """Participants of these splits with the visits for an interpolation."""
        visits = self._scans[self._scans["split"].isin(splits)].groupby("subject").size()
        return int((visits >= VISITS_FOR_INTERPOLATION).sum())


def _participants(number: int) -> str:
    return "one participant" if number == 1 else f"{number} participants"
