"""Table of scans and the split of its subjects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ldae.data.manifest import (
    SCAN_COLUMNS,
    check_interpolation,
    check_split,
    read_scans,
    read_split,
    split_subjects,
    summarise_scans,
    write_scans,
)
from ldae.errors import InputError

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def make_scans(n: int, visits: int = 2, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        subject = f"sub-{i:04d}"
        age, sex = rng.uniform(55, 90), rng.choice(["F", "M"])
        diagnosis = rng.choice(["CN", "MCI", "AD"], p=[0.45, 0.2, 0.35])
        for visit in range(visits):
            session = f"ses-M{12 * visit:03d}" if visits > 1 else ""
            scan = f"{subject}_{session}" if session else subject
            rows.append(
                (scan, subject, session, 12.0 * visit, age + visit, sex, diagnosis, "", "p", "0")
            )
    return pd.DataFrame(rows, columns=list(SCAN_COLUMNS))


def test_scans_survive_writing(tmp_path: Path) -> None:
    scans = make_scans(4, visits=1)
    scans.loc[0, "diagnosis"] = "NA"
    write_scans(scans.sample(frac=1, random_state=0), tmp_path / "new" / "scans.tsv")
    pd.testing.assert_frame_equal(read_scans(tmp_path / "new" / "scans.tsv"), scans)


def test_wrong_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scans.tsv"
    with pytest.raises(InputError, match="does not exist"):
        read_scans(path)
    scans = make_scans(3)
    scans.drop(columns="age").to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="column age is missing"):
        read_scans(path)
    scans.assign(age="old").to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="row 2: age 'old' is not a number"):
        read_scans(path)
    with pytest.raises(InputError, match="occurs twice"):
        write_scans(pd.concat([scans, scans]), path)
    with pytest.raises(InputError, match="no scans"):
        write_scans(scans.iloc[:0], path)
    with pytest.raises(InputError, match="has sex 'X'"):
        write_scans(scans.assign(sex="X"), path)


def test_summary() -> None:
    summary = summarise_scans(make_scans(10, visits=3))
    assert (summary.n_subjects, summary.n_scans, summary.n_visits_max) == (10, 30, 3)
    assert summary.n_longitudinal == 10
    assert summary.has_age
    assert summarise_scans(make_scans(10, visits=2)).n_longitudinal == 0


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
        people = scans.drop_duplicates("subject").merge(split, on="subject")
        share = people.groupby("split")["diagnosis"].apply(lambda d: (d == "AD").mean())
        assert share.max() - share.min() < 0.05
        women = people.groupby("split")["sex"].apply(lambda s: (s == "F").mean())
        assert women.max() - women.min() < 0.08
        age = people.groupby("split")["age"].mean()
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


def test_interpolation_needs_three_visits_to_test() -> None:
    scans = pd.DataFrame({"subject": ["a"] * 3 + ["b"] * 2 + ["c"] * 3})
    split = pd.DataFrame({"subject": ["a", "b", "c"], "split": ["test", "val", "train"]})
    check_interpolation(scans, split)
    check_interpolation(scans, split.replace({"train": "val", "val": "train"}))
    with pytest.raises(InputError, match="no subject of the test split has 3 visits"):
        check_interpolation(scans, split.replace({"test": "val", "val": "test"}))
