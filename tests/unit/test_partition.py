"""Batches of preprocessing stay as they are when the cohort grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ldae.data.partition import (
    BATCH_COLUMNS,
    batch_bits,
    belongs,
    clear_batch,
    divide_subjects,
    read_batches,
)
from ldae.errors import InputError

SIZE = 30


def cohort(n: int) -> dict[str, int]:
    visits = np.random.default_rng(0).integers(1, 5, n)
    return {f"sub-{number:04d}": int(visits[number]) for number in range(n)}


@pytest.mark.parametrize("n", [2, 15, 16, 100, 1000])
def test_everybody_is_in_one_batch_of_bounded_size(n: int) -> None:
    visits = cohort(n)
    batches = divide_subjects(visits, SIZE)
    members = [subject for group in batches.values() for subject in group]
    assert sorted(members) == sorted(visits)
    for name, group in batches.items():
        assert all(belongs(subject, name) for subject in group)
        assert sum(visits[subject] for subject in group) <= SIZE
    n_scans = sum(visits.values())
    assert len(batches) <= max(2, 4 * n_scans / SIZE), "not many more than needed"
    assert list(batches) == sorted(batches)


def test_the_order_of_participants_does_not_matter() -> None:
    visits = cohort(100)
    assert divide_subjects(dict(reversed(visits.items())), SIZE) == divide_subjects(visits, SIZE)


def test_one_more_participant_changes_one_batch() -> None:
    """At most that one is divided: what is in no relation to it keeps its name and its members."""
    visits: dict[str, int] = {}
    before = divide_subjects(visits, SIZE)
    n_divided = 0
    for subject, n in cohort(300).items():
        visits[subject] = n
        after = divide_subjects(visits, SIZE)
        changed = {name for name in after if after[name] != before.get(name)}
        gone = set(before) - set(after)
        home = next(name for name in after if belongs(subject, name))
        if gone:
            (divided,) = gone
            assert all(name.startswith(divided) for name in changed)
            n_divided += 1
        else:
            assert changed == {home}
        before = after
    assert n_divided > 5


def test_an_added_visit_changes_one_batch() -> None:
    visits = cohort(100)
    before = divide_subjects(visits, 10_000)
    after = divide_subjects(visits | {"sub-0007": 9}, 10_000)
    assert before == after


def test_a_participant_with_many_visits_has_a_batch_alone() -> None:
    batches = divide_subjects(cohort(20) | {"sub-many": SIZE + 1}, SIZE)
    assert ["sub-many"] in batches.values()


def test_bits_are_those_of_a_digest() -> None:
    bits = batch_bits("sub-01")
    assert len(bits) == 64 and set(bits) == {"0", "1"} and bits != batch_bits("sub-02")
    assert bits.startswith("010000011100")


def test_clearing_a_batch_leaves_the_others(tmp_path: Path) -> None:
    clear_batch(tmp_path / "none", "0")
    subjects = [f"sub-{number}" for number in range(20)]
    for subject in subjects:
        (tmp_path / subject / "anat").mkdir(parents=True)
        (tmp_path / subject / "anat/volume.nii.gz").touch()
    (tmp_path / "dataset_description.json").touch()
    clear_batch(tmp_path, "0")
    left = {path.name for path in tmp_path.glob("sub-*")}
    assert left == {subject for subject in subjects if belongs(subject, "1")} != set()
    assert (tmp_path / "dataset_description.json").exists()


def test_tables_of_batches_are_put_together(tmp_path: Path) -> None:
    rows = {"0": ["sub-01", "sub-NA"], "1": ["sub-02"]}
    paths = []
    for name, scans in rows.items():
        paths.append(tmp_path / f"batch-{name}.tsv")
        table = pd.DataFrame({"scan": scans, "status": "ok", "reason": "", "sha256": "0"})
        table.assign(seconds_read=0.5).to_csv(paths[-1], sep="\t", index=False)
    table = read_batches(paths)
    assert table["scan"].tolist() == ["sub-01", "sub-NA", "sub-02"]
    assert set(BATCH_COLUMNS) <= set(table) and (table["reason"] == "").all()
    with pytest.raises(InputError, match="scan sub-01 is in two batches"):
        read_batches([paths[0], paths[0]])
