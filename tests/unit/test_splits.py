"""The split of the subjects: balanced, complete, and kept when a cohort grows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_manifest import make_scans

from ldae.data.splits import (
    check_split,
    make_split,
    note_places,
    places_key,
    read_given_split,
    read_places,
    read_split,
    split_into_folds,
    split_subjects,
)
from ldae.errors import InputError
from ldae.workflow.config import complete_config
from ldae.workflow.plan import plan_split, simulated_summary

DEFAULT_SPLIT = "f56a1db253f2dc172636c505c40c0a564df9857a6fe9bc6d1ca4858caf1f59b7"
FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


@pytest.mark.parametrize("n", [6, 7, 11, 40, 320])
def test_split_is_complete_and_balanced(n: int) -> None:
    scans = make_scans(n)
    split = split_subjects(scans, FRACTIONS, 0)
    check_split(scans, split)
    assert set(split["split"]) == {"train", "val", "test"}
    counts = split["split"].value_counts()
    for name, fraction in FRACTIONS.items():
        assert abs(counts[name] - fraction * n) <= 1
    pd.testing.assert_frame_equal(split, split_subjects(scans.iloc[::-1], FRACTIONS, 0))
    if n >= 40:
        assert not split.equals(split_subjects(scans, FRACTIONS, 1))
    if n == 320:
        participants = scans.drop_duplicates("subject").merge(split, on="subject")
        share = participants.groupby("split")["diagnosis"].apply(lambda d: (d == "AD").mean())
        assert share.max() - share.min() < 0.05
        women = participants.groupby("split")["sex"].apply(lambda s: (s == "F").mean())
        assert women.max() - women.min() < 0.08
        age = participants.groupby("split")["age"].mean()
        assert age.max() - age.min() < 4


def test_split_of_odd_cohorts() -> None:
    scans = make_scans(6, visits=1)
    scans["diagnosis"] = list("ABCDEF")
    assert set(split_subjects(scans, FRACTIONS, 0)["split"]) == {"train", "val", "test"}
    everything = split_subjects(scans, {"train": 1.0, "val": 0.0, "test": 0.0}, 0)
    assert set(everything["split"]) == {"train"}
    with pytest.raises(InputError, match="too few"):
        split_subjects(scans.iloc[:2], FRACTIONS, 0)
    with pytest.raises(InputError, match="sum to 1"):
        split_subjects(scans, {"train": 0.9, "val": 0.9, "test": 0.2}, 0)
    with pytest.raises(InputError, match="name the splits"):
        split_subjects(scans, {"train": 1.0}, 0)


def test_leak_is_refused(tmp_path: Path) -> None:
    scans = make_scans(6)
    split = split_subjects(scans, FRACTIONS, 0)
    split.to_csv(tmp_path / "split.tsv", sep="\t", index=False)
    pd.testing.assert_frame_equal(read_split(tmp_path / "split.tsv"), split)
    with pytest.raises(InputError, match="in no split"):
        check_split(scans, split.iloc[1:])
    twice = pd.concat([split, split.iloc[:1].assign(split="test")])
    with pytest.raises(InputError, match="occurs twice"):
        check_split(scans, twice)
    twice.to_csv(tmp_path / "twice.tsv", sep="\t", index=False)
    with pytest.raises(InputError, match="occurs twice"):
        read_split(tmp_path / "twice.tsv")
    with pytest.raises(InputError, match="is in split 'dev'"):
        check_split(scans, split.assign(split="dev"))


def test_the_split_of_the_default_study_is_what_it_was() -> None:
    config = complete_config({"seed": 0})
    cohort = simulated_summary(config["cohort"]["simulated"], 0)
    split = plan_split(config, cohort)
    text = split.to_csv(sep="\t", index=False)
    assert hashlib.sha256(text.encode()).hexdigest() == DEFAULT_SPLIT


def visited(n: int, longitudinal: int, seed: int = 0) -> pd.DataFrame:
    """Scans of a cohort of which some have three visits, and the others one."""
    scans = make_scans(n, visits=3, seed=seed)
    rng = np.random.default_rng(seed)
    able = rng.choice(scans["subject"].unique(), longitudinal, replace=False)
    return scans[scans["subject"].isin(able) | (scans["months"] == 0)]


def n_longitudinal(scans: pd.DataFrame, split: pd.DataFrame, name: str) -> int:
    members = split["subject"][split["split"] == name]
    return int((scans[scans["subject"].isin(members)].groupby("subject").size() >= 3).sum())


@pytest.mark.parametrize(
    ("n", "longitudinal", "in_test"), [(20, 1, 1), (20, 2, 1), (20, 3, 1), (200, 40, 8), (9, 0, 0)]
)
@pytest.mark.parametrize("seed", range(3))
def test_visits_are_balanced(n: int, longitudinal: int, in_test: int, seed: int) -> None:
    scans = visited(n, longitudinal, seed)
    split = split_subjects(scans, FRACTIONS, seed, strata=["visits"])
    check_split(scans, split)
    assert n_longitudinal(scans, split, "test") == in_test
    assert n_longitudinal(scans, split, "train") >= (longitudinal > 1)
    counts = split["split"].value_counts()
    assert all(abs(counts[name] - share * n) <= 1 for name, share in FRACTIONS.items())


def test_sites_are_balanced() -> None:
    scans = make_scans(300, visits=1)
    scans["site"] = np.random.default_rng(1).choice(list("abc"), 300, p=[0.7, 0.2, 0.1])
    split = split_subjects(scans, FRACTIONS, 0, strata=["visits", "site"])
    of_site = scans.merge(split, on="subject").groupby("site")["split"]
    for site, share in of_site.apply(lambda s: (s == "test").mean()).items():
        assert share == pytest.approx(0.2, abs=0.05), site


def test_sites_that_are_held_out_are_tested_and_nobody_else() -> None:
    scans = make_scans(60)
    scans["site"] = [("a", "b", "c")[int(s[-4:]) % 3] for s in scans["subject"]]
    split = split_subjects(scans, FRACTIONS, 0, test_sites=["b"])
    check_split(scans, split)
    both = split.merge(scans.drop_duplicates("subject"), on="subject")
    assert set(both["split"][both["site"] == "b"]) == {"test"}
    others = both["split"][both["site"] != "b"].value_counts()
    assert others.to_dict() == {"train": 35, "val": 5}
    with pytest.raises(InputError, match=r"no participant of the cohort is of site x.*a, b, c"):
        split_subjects(scans, FRACTIONS, 0, test_sites=["x"])
    with pytest.raises(InputError, match="no site is left for training"):
        split_subjects(scans, FRACTIONS, 0, test_sites=["a", "b", "c"])
    with pytest.raises(InputError, match="Its tables give no sites"):
        split_subjects(scans.assign(site=""), FRACTIONS, 0, test_sites=["a"])


@pytest.mark.parametrize("n", [12, 40])
def test_participants_keep_their_places_when_a_cohort_grows_or_is_corrected(n: int) -> None:
    grown = make_scans(n + 10, seed=3)
    scans = grown[grown["subject"] < f"sub-{n:04d}"]
    first = split_subjects(scans, FRACTIONS, 0, strata=["visits"])
    kept = dict(zip(first["subject"], first["split"], strict=True))
    corrected = grown.assign(age=grown["age"] + 1)
    corrected.loc[corrected["subject"] == "sub-0003", "diagnosis"] = "MCI"
    for table in (corrected, corrected[corrected["subject"] != "sub-0005"]):
        second = split_subjects(table, FRACTIONS, 0, strata=["visits"], kept=kept)
        check_split(table, second)
        assert all(kept.get(s, p) == p for s, p in second.itertuples(index=False))
        counts = second["split"].value_counts()
        assert all(abs(counts[k] - v * len(second)) <= 2 for k, v in FRACTIONS.items())


SETTINGS: dict[str, Any] = {
    **FRACTIONS, "strata": ["visits"], "test_sites": [], "file": None, "folds": None, "fold": 0,
}  # fmt: skip


def test_places_are_noted_and_forgotten_with_other_settings(tmp_path: Path) -> None:
    scans, key = make_scans(12), places_key(SETTINGS, 0)
    assert read_places(tmp_path, key) == ({}, None)
    split = make_split(scans, SETTINGS, 0, {})
    noted = note_places(tmp_path, key, split)
    assert noted == tmp_path / "places-1.json"
    places, path = read_places(tmp_path, key)
    assert path == noted and places == dict(split.itertuples(index=False))
    assert note_places(tmp_path, key, split) is None, "nothing is new"
    assert note_places(tmp_path, key, split.iloc[1:]) is None, "who has left may come back"
    assert read_places(tmp_path, places_key(SETTINGS, 1)) == ({}, None)
    grown = make_split(make_scans(13), SETTINGS, 0, places)
    assert note_places(tmp_path, key, grown) == tmp_path / "places-2.json"
    assert len(read_places(tmp_path, key)[0]) == 13


GIVEN = {
    "tab": "subject\tsplit\n{a}\ttrain\n{b}\tval\n{c}\ttest\n",
    "comma, other words": "Participant_ID,Split,age\n{a},Training,70\n{b},dev,71\n{c},TEST,72\n",
    "further rows": "split;subject\ntrain;{a}\ntrain;{a}\nval;{b}\ntest;{c}\nval;sub-x\n",
}  # fmt: skip
REFUSED = {
    "missing": ("subject\tsplit\n{a}\ttrain\n{b}\tval\n", "1 participants have scans and no sp"),
    "leak": ("subject\tsplit\n{a}\ttrain\n{a}\ttest\n{b}\tval\n{c}\ttest\n", "in two splits"),
    "word": ("subject\tsplit\n{a}\ttrian\n{b}\tval\n{c}\ttest\n", "is in split 'trian'. Use train"),
    "columns": ("who\tsplit\n{a}\ttrain\n", "needs columns subject and split, and has who, split"),
    "nobody": ("subject\tsplit\n{a}\ttrain\n{b}\ttrain\n{c}\ttest\n", "is in the split val"),
    "empty": ("", "cannot be read"),
}  # fmt: skip
LABELS = {"a": "sub-011_S_0002", "b": "02", "c": "sub-03"}


def coded_scans() -> pd.DataFrame:
    """Scans of three participants with pseudonyms, whose paths have their labels."""
    scans = make_scans(3, visits=1)
    labels = ("sub-011_S_0002", "sub-02", "sub-03")
    return scans.assign(path=[f"{label}/anat/{label}_T1w.nii.gz" for label in labels])


@pytest.mark.parametrize("kind", GIVEN)
def test_a_split_made_elsewhere_is_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(GIVEN[kind].format(**LABELS))
    split = make_split(coded_scans(), SETTINGS | {"file": str(path)}, 0, {})
    assert dict(split.itertuples(index=False)) == {
        "sub-0000": "train", "sub-0001": "val", "sub-0002": "test",
    }  # fmt: skip


def test_a_split_may_call_participants_as_the_table_of_scans_does(tmp_path: Path) -> None:
    """Whatever the paths are, and where there are none."""
    (tmp_path / "split.tsv").write_text("subject\tsplit\n0000\ttest\n0001\tval\n0002\ttrain\n")
    for scans in (coded_scans(), make_scans(3).drop(columns="path")):
        split = read_given_split(tmp_path / "split.tsv", scans)
        assert split["split"].tolist() == ["test", "val", "train"]


@pytest.mark.parametrize("kind", REFUSED)
def test_a_split_with_a_leak_or_a_gap_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "split.tsv"
    text, words = REFUSED[kind]
    path.write_text(text.format(**LABELS))
    with pytest.raises(InputError, match=words) as caught:
        read_given_split(path, coded_scans())
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_given_split(tmp_path / "nowhere.tsv", coded_scans())


@pytest.mark.parametrize(("n", "n_folds"), [(40, 5), (41, 3), (10, 5)])
def test_everyone_is_tested_in_one_fold(n: int, n_folds: int) -> None:
    scans = make_scans(n)
    tested: list[str] = []
    for fold in range(n_folds):
        split = split_into_folds(scans, FRACTIONS, 0, n_folds, fold)
        check_split(scans, split)
        assert set(split["split"]) == {"train", "val", "test"}
        found = list(split.loc[split["split"] == "test", "subject"])
        assert abs(len(found) - n / n_folds) < 1
        if n == 40:
            participants = scans.drop_duplicates("subject").set_index("subject")
            assert abs((participants.loc[found, "diagnosis"] == "AD").mean() - 0.5) < 0.3
        tested += found
    assert sorted(tested) == sorted(set(scans["subject"]))
    with pytest.raises(InputError, match="too few"):
        split_into_folds(scans, FRACTIONS, 0, n, 0)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"folds": 5, "fold": 5}, "no fold 5 among 5"),
        ({"folds": 5, "test_sites": ["A"]}, "folds and split.test_sites both say"),
        ({"folds": 1}, "folds"),
        ({"repeat": 1}, "chooses a division into folds"),
    ],
)
def test_folds_that_cannot_be_are_refused(split: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        complete_config({"split": split})


def test_a_repeat_is_another_division_into_folds() -> None:
    scans = make_scans(40)
    first, second = (
        [set(_tested(split_into_folds(scans, FRACTIONS, 0, 4, k, repeat))) for k in range(4)]
        for repeat in (0, 1)
    )
    assert set.union(*first) == set.union(*second) and first != second
    assert sum(map(len, second)) == 40


def _tested(split: pd.DataFrame) -> list[str]:
    return list(split.loc[split["split"] == "test", "subject"])


@pytest.mark.parametrize("repeat", [0, 2])
def test_a_plan_tests_the_wanted_fold(repeat: int) -> None:
    config = complete_config({"seed": 0, "split": {"folds": 4, "fold": 1, "repeat": repeat}})
    cohort = simulated_summary(config["cohort"]["simulated"] | {"n_subjects": 20}, 0)
    shares = {name: config["split"][name] for name in ("train", "val", "test")}
    expected = split_into_folds(cohort.scans, shares, 0, 4, 1, repeat)
    pd.testing.assert_frame_equal(plan_split(config, cohort), expected)
