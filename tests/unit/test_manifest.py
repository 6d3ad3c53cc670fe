"""Table of scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ldae.data.manifest import (
    SCAN_COLUMNS,
    read_scans,
    summarise_scans,
    write_scans,
)
from ldae.errors import InputError


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
