"""Seals of the records."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from ldae.errors import InputError
from ldae.provenance.record import write_record
from ldae.provenance.seal import SEALS, read_seals, seal_records, unsealed_records


def add(results, *names: str) -> None:
    for name in names:
        write_record(results / "records/rule", name, {"name": name})


def test_each_seal_contains_the_digest_of_the_previous_one(tmp_path):
    assert seal_records(tmp_path) is None
    add(tmp_path, "a", "b")
    first = seal_records(tmp_path)
    assert seal_records(tmp_path) == first, "there must be no new seal without new records"
    add(tmp_path, "c")
    second = seal_records(tmp_path)
    assert (second.number, second.previous) == (2, first.digest)
    assert set(first.records) == {"rule/a.json", "rule/b.json"}
    assert set(second.records) == {"rule/c.json"}
    assert [seal.digest for seal in read_seals(tmp_path)] == [first.digest, second.digest]


def test_processes_that_seal_at_once_leave_one_chain(tmp_path):
    def work(number: int) -> None:
        for i in range(10):
            add(tmp_path, f"{number}-{i}")
            seal_records(tmp_path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    seals = read_seals(tmp_path)
    assert [seal.number for seal in seals] == list(range(1, len(seals) + 1))
    for before, after in pairwise(seals):
        assert after.previous == before.digest
    assert sum(len(seal.records) for seal in seals) == 40
    assert unsealed_records(tmp_path, seals) == []


def test_invalid_seal_is_an_error(tmp_path):
    add(tmp_path, "a")
    seal_records(tmp_path)
    next((tmp_path / SEALS).glob("*.json")).write_text("{}")
    with pytest.raises(InputError, match=r"000001\.json: the file is not a seal"):
        seal_records(tmp_path)
