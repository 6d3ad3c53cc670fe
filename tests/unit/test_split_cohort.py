"""What the split of a cohort allows is known before any work, with the reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from test_manifest import make_scans
from test_splits import FRACTIONS, visited

from ldae.data.diagnoses import Diagnoses
from ldae.data.splits import split_subjects
from ldae.workflow.split_cohort import TEST_IS_ENOUGH, SplitCohort

WORDS = Diagnoses("AD", "CN")


def split_cohort(scans: pd.DataFrame, **options: object) -> SplitCohort:
    return SplitCohort(scans, split_subjects(scans, FRACTIONS, 0, **options), "test")  # type: ignore[arg-type]


def with_patients(n: int, n_patients: int) -> pd.DataFrame:
    scans = make_scans(n, visits=1)
    return scans.assign(diagnosis=["AD"] * n_patients + ["CN"] * (n - n_patients))


@pytest.mark.parametrize(
    ("n", "n_patients", "reason"),
    [
        (20, 0, "it takes 4 participants diagnosed AD in the training split, which has 0"),
        (20, 2, "in the training split, which has 2 of the cohort's 2"),
        (20, 4, "in the training split, which has 3 of the cohort's 4"),
        (20, 10, ""),
        (8, 1, "it takes 4 participants diagnosed AD in the training split, which has 1"),
    ],
)
def test_groups(n: int, n_patients: int, reason: str) -> None:
    found = split_cohort(with_patients(n, n_patients)).why_no_groups(WORDS)
    assert (reason in found) if reason else not found


def test_a_group_that_the_test_split_lacks_is_named() -> None:
    scans = with_patients(20, 10)
    split = split_subjects(scans, FRACTIONS, 0)
    patients = set(scans["subject"][scans["diagnosis"] == "AD"])
    split.loc[split["subject"].isin(patients), "split"] = "train"
    assert SplitCohort(scans, split, "test").why_no_groups(WORDS) == (
        "it takes one participant diagnosed AD in the test split, which has 0 of the cohort's 10"
    )


@pytest.mark.parametrize(
    ("ages", "reason"),
    [
        ([70.0] * 12, "all participants have the same age"),
        ([70.0] * 10 + [71.0, 72.0], "half of the training participants or more have the same age"),
        ([*range(60, 72)], ""),
        ([None] * 9 + [70.0, 71.0, 72.0], "with an age in the training split, which has"),
    ],
)
def test_ages(ages: list[float], reason: str) -> None:
    scans = make_scans(12, visits=1).assign(age=ages, diagnosis="CN", sex="F")
    found = split_cohort(scans).why_no_ages()
    assert (reason in found) if reason else not found


@pytest.mark.parametrize(
    ("longitudinal", "interpolation", "residual"),
    [
        (0, "nobody has 3 visits", "nobody has 3 visits, and it takes one participant to learn"),
        (1, "", "only one participant has 3 visits"),
        (2, "", ""),
    ],
)
def test_visits(longitudinal: int, interpolation: str, residual: str) -> None:
    found = split_cohort(visited(20, longitudinal), strata=["visits"])
    for given, wanted in (
        (found.why_no_interpolation(), interpolation), (found.why_no_residual(), residual),
    ):  # fmt: skip
        assert given.startswith(wanted) if wanted else not given


def test_a_split_without_visits_to_test_on_is_reported() -> None:
    scans = visited(20, 3)
    split = split_subjects(scans, FRACTIONS, 0)
    able = scans["subject"][scans["months"] > 0].unique()
    split.loc[split["subject"].isin(able), "split"] = "train"
    found = SplitCohort(scans, split, "test")
    assert "no participant of the test split has 3 visits, and 3" in found.why_no_interpolation()
    assert found.why_no_residual() == "no participant of the test split has 3 visits"


def test_what_is_scored_decides_what_is_missing() -> None:
    scans = with_patients(20, 10)
    split = split_subjects(scans, FRACTIONS, 0)
    patients = set(scans["subject"][scans["diagnosis"] == "AD"])
    moved = split["subject"].isin(patients) & (split["split"] == "val")
    split.loc[moved, "split"] = "train"
    assert not SplitCohort(scans, split, "test").why_no_groups(WORDS)
    assert "in the validation split, which has 0" in SplitCohort(scans, split, "val").why_no_groups(
        WORDS
    )


@pytest.mark.parametrize(
    ("sites", "reason", "other"),
    [
        ([""] * 20, "the cohort gives no sites", {}),
        (["A"] * 20, "all participants are of one site", {}),
        (
            ["A"] * 18 + ["B"] * 2,
            "fewer than two of 2 sites have 4 training participants",
            {"B": 2},
        ),
        (["A"] * 10 + ["B"] * 10, "", {}),
        (["A"] * 9 + ["B"] * 9 + ["C"] * 2, "", {"C": 2}),
    ],
)
def test_sites(sites: list[str], reason: str, other: dict[str, int]) -> None:
    found = split_cohort(make_scans(20, visits=1).assign(site=sites))
    assert found.why_no_sites() == reason
    assert not other or found.other_sites() == other


def test_a_held_out_site_is_not_known() -> None:
    scans = make_scans(30, visits=1).assign(site=["A", "B", "C"] * 10)
    found = split_cohort(scans, test_sites=["B"])
    assert not found.why_no_sites() and found.other_sites() == {"B": 10}


@pytest.mark.parametrize(
    ("question", "lacking"),
    [
        ("groups", lambda scans: scans["diagnosis"] == "AD"),
        ("ages", lambda scans: scans["age"].notna()),
        ("interpolation", lambda scans: scans["months"] > 0),
        ("residual", lambda scans: scans["months"] > 0),
    ],
)
@pytest.mark.parametrize("moved_to", ["test", "train"])
def test_a_reason_says_where_the_test_split_would_do(
    question: str, lacking: Callable[[pd.DataFrame], pd.Series], moved_to: str
) -> None:
    scans = visited(40, 20)
    scans["diagnosis"] = np.where(scans["subject"].str[-1].isin(list("13579")), "AD", "CN")
    split = split_subjects(scans, FRACTIONS, 0, strata=["visits"])
    subjects = scans["subject"][lacking(scans)].unique()
    within = split["subject"].isin(subjects) & (split["split"] != "train")
    split.loc[within, "split"] = moved_to
    words = (WORDS,) if question == "groups" else ()
    reasons = {
        scored: getattr(SplitCohort(scans, split, scored), f"why_no_{question}")(*words)
        for scored in ("val", "test")
    }
    assert "validation split" in reasons["val"]
    assert reasons["val"].endswith(TEST_IS_ENOUGH) == (moved_to == "test")
    assert bool(reasons["test"]) == (moved_to == "train") and TEST_IS_ENOUGH not in reasons["test"]
