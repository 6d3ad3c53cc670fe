"""Hashing of many files, and the cache of their digests."""

import hashlib
import os
import time

import pytest

from ldae.provenance.hashing import DigestCache, Found, hash_files


@pytest.fixture
def files(tmp_path):
    contents = {"empty": b"", "small": b"abc", "large": os.urandom(3_500_000)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        old = time.time() - 60
        os.utime(tmp_path / name, (old, old))
    return {tmp_path / name: content for name, content in contents.items()}


@pytest.mark.parametrize("n_threads", [1, 4])
def test_digests_are_those_of_the_bytes(files, tmp_path, n_threads):
    found = hash_files([*files, *files, tmp_path / "missing", tmp_path], n_threads, None)
    assert found.pop(tmp_path / "missing") is None and found.pop(tmp_path) is None
    assert {path: (f.size, f.sha256) for path, f in found.items() if isinstance(f, Found)} == {
        path: (len(content), hashlib.sha256(content).hexdigest()) for path, content in files.items()
    }


def test_recently_changed_file_is_not_cached(files, tmp_path):
    cache = DigestCache(tmp_path / "cache.json")
    hash_files(files, 2, cache)
    assert all(cache.get(path, path.stat()) is None for path in files), "the ctime is recent"


def test_digests_are_cached_until_the_file_changes(files, tmp_path, monkeypatch):
    monkeypatch.setattr("ldae.provenance.hashing.SETTLED_SECONDS", -1.0)
    filled = DigestCache(tmp_path / "cache.json")
    hash_files(files, 2, filled)
    filled.save()
    cache = DigestCache(tmp_path / "cache.json")
    for path, content in files.items():
        assert cache.get(path, path.stat()) == hashlib.sha256(content).hexdigest()
    path = tmp_path / "small"
    before = path.stat()
    time.sleep(0.02)
    path.write_bytes(b"abx")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert cache.get(path, path.stat()) is None, "the mtime was set back, but the ctime has changed"


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "{nonsense"])
def test_invalid_cache_is_treated_as_empty(files, tmp_path, content):
    (tmp_path / "cache.json").write_text(content)
    found = hash_files(files, 1, DigestCache(tmp_path / "cache.json"))
    assert all(found.values())
