"""Large files: rows by explicit calls, digests that are trusted, copies, results of parts."""

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ldae.data import digests
from ldae.data.digests import sha256_of, trusted_digest
from ldae.data.local import local_copies
from ldae.data.pieces import Pieces
from ldae.data.rows import RowFile, RowWriter
from ldae.training.batches import Ahead, StepBatches

ARRAY = np.arange(7 * 2 * 3, dtype=np.float16).reshape(7, 2, 3)


@pytest.mark.parametrize(
    "rows",
    [
        0,
        -1,
        slice(1, 4),
        slice(None, None, 3),
        [5, 6, 2, 2, 0],
        np.arange(7) % 2 == 0,
        [],
        np.int64(3),
    ],
)
def test_rows_are_those_of_the_array(tmp_path, rows):
    np.save(tmp_path / "a.npy", ARRAY)
    rows = np.array(rows, int) if isinstance(rows, list) else rows
    found = RowFile(tmp_path / "a.npy")[rows]
    np.testing.assert_array_equal(found, ARRAY[rows], strict=True)


def test_a_file_written_by_rows_is_the_file_of_numpy(tmp_path):
    np.save(tmp_path / "a.npy", ARRAY)
    with RowWriter(tmp_path / "b.npy", ARRAY.shape, np.float16) as file:
        file.write(ARRAY[:3].astype(np.float64))
        file.write(ARRAY[3:])
    assert (tmp_path / "b.npy").read_bytes() == (tmp_path / "a.npy").read_bytes()
    with pytest.raises(ValueError, match="1 rows were not written"):
        with RowWriter(tmp_path / "b.npy", ARRAY.shape, np.float16) as file:
            file.write(ARRAY[:6])
    with pytest.raises(EOFError, match="shorter than its header"):
        RowFile(tmp_path / "b.npy")[:]
    np.save(tmp_path / "f.npy", np.asfortranarray(ARRAY))
    with pytest.raises(ValueError, match="C order"):
        RowFile(tmp_path / "f.npy")


@pytest.fixture
def working_folder(tmp_path, monkeypatch):
    """A workflow's working folder in which every file counts as large and as settled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(digests, "LEAST_BYTES", 1)
    monkeypatch.setattr(digests, "SETTLED_SECONDS", -1.0)
    (tmp_path / ".snakemake").mkdir()
    return tmp_path


@pytest.mark.parametrize("change", ["none", "content", "same size and time", "another file"])
def test_a_digest_is_trusted_while_the_file_is_the_same(working_folder, monkeypatch, change):
    path, read = Path("a.npy"), []

    def compute(one):
        read.append(one)
        return sha256_of(one)

    monkeypatch.setattr(digests, "sha256_of", compute)
    path.write_bytes(b"abc")
    first = trusted_digest(path)
    state = path.stat()
    if change == "another file":
        Path("b.npy").write_bytes(b"xyz")
        Path("b.npy").replace(path)
    elif change != "none":
        path.write_bytes(b"xyz" if change.startswith("same") else b"abcd")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns)) if change != "none" else None
    again = trusted_digest(path)
    assert again == sha256_of(path)
    assert (again == first) == (change == "none") and len(read) == 1 + (change != "none")


def test_nothing_is_kept_outside_a_workflow_or_of_small_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.npy"
    path.write_bytes(b"abc")
    assert trusted_digest(path) == sha256_of(path) and not (tmp_path / ".snakemake").exists()
    (tmp_path / ".snakemake").mkdir()
    trusted_digest(path)
    assert not any((tmp_path / ".snakemake").iterdir())


@pytest.mark.parametrize(("wanted", "room", "copied"), [(1, 1, 1), (1, 0, 0), (0, 1, 0)])
def test_large_inputs_are_copied_where_there_is_room(
    working_folder, monkeypatch, caplog, wanted, room, copied
):
    np.save("v.npy", ARRAY)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=10**9 * room))
    files = {"volumes": "v.npy", "index": "i.tsv", "mu": []}
    with local_copies(files, bool(wanted)) as found, caplog.at_level(logging.INFO):
        assert (found["volumes"] != "v.npy") == bool(copied)
        assert {**found, "volumes": "v.npy"} == files
        np.testing.assert_array_equal(RowFile(found["volumes"])[:], ARRAY)
        assert trusted_digest(Path(found["volumes"])) == sha256_of(Path("v.npy"))
    assert Path("v.npy").is_file() and Path(found["volumes"]).exists() != bool(copied)


def test_batches_made_ahead_are_the_same_batches():
    def make(rows, part, generator):
        drawn = torch.randn(len(rows), generator=generator)
        return {"rows": torch.tensor(rows), "noise": drawn}

    def batches(start):
        return StepBatches(make, np.arange(10), 4, 3, start, 9, 0, 1)

    plain, ahead = list(batches(0)), list(Ahead(batches(0), pin=False))
    assert len(plain) == len(ahead) == 9
    for one, other in zip(plain, ahead, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    resumed = list(Ahead(batches(5), pin=False))
    assert all(torch.equal(a["noise"], b["noise"]) for a, b in zip(plain[5:], resumed, strict=True))


def test_a_fault_in_a_batch_made_ahead_reaches_the_training():
    def make(rows, part, generator):
        raise OSError("the server is gone")

    with pytest.raises(OSError, match="the server is gone"):
        list(Ahead(StepBatches(make, np.arange(4), 2, 0, 0, 3, 0, 1), pin=False))


def test_parts_of_a_killed_job_are_not_computed_again(tmp_path):
    computed = []

    def work(pieces, last):
        for number in range(4):
            if number == last:
                raise KeyboardInterrupt
            pieces.once(("scan", number), lambda n=number: computed.append(n) or np.full(2, n))
        return [pieces.once(("scan", n), lambda: None).tolist() for n in range(4)]

    pieces = Pieces(tmp_path / "job")
    assert not pieces.begun
    with pytest.raises(KeyboardInterrupt):
        work(pieces, last=2)
    assert pieces.begun and computed == [0, 1]
    assert work(Pieces(tmp_path / "job"), last=None) == [[n, n] for n in range(4)]
    assert computed == [0, 1, 2, 3]
    assert Pieces().once("a", lambda: 5) == 5 and not Pieces().begun, "nothing is kept"
