"""SHA-256 of many files: streamed, in parallel, with a cache between calls."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ldae.provenance.reading import open_regular

# Bytes that each thread reads at a time. Larger pieces were not faster; smaller ones cost more
# calls.
PIECE = 1024 * 1024

# Digests of files changed more recently than this are not cached: the file may change again within
# the resolution of its time stamp.
SETTLED_SECONDS = 2.0

PROGRESS_SECONDS = 5.0

logger = logging.getLogger(__name__)

Key = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Found:
    """Current state of a file.

    Attributes
    ----------
    size
        Size in bytes.
    sha256
        SHA-256; None for a file that was not read because of its size.
    mtime
        Modification time in seconds since 1970.
    cached
        Whether the digest is from an earlier call.
    """

    size: int
    sha256: str | None
    mtime: float
    cached: bool = False


class DigestCache:
    """Cache of file digests, keyed by device, inode, size, mtime and ctime.

    Programs cannot set the ctime of a file, so a file that was modified and given its old mtime is
    hashed again. Direct writes to the disk or a changed system clock can still deceive the cache;
    ``--full`` ignores it.

    Parameters
    ----------
    path
        JSON file. If it is missing or unreadable, the cache is empty at first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, tuple[Key, str]] = {}
        try:
            stored = json.loads(path.read_bytes())
            self._entries = {
                str(name): (_key_of(key), str(digest)) for name, (key, digest) in stored.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            self._entries = {}

    def get(self, path: Path, state: os.stat_result) -> str | None:
        """Digest of a file that has not changed since it was hashed; None otherwise."""
        entry = self._entries.get(os.path.abspath(path))
        return entry[1] if entry and entry[0] == _key(state) else None

    def put(self, path: Path, state: os.stat_result, digest: str) -> None:
        """Store a digest, unless the file was changed a moment ago."""
        if time.time() - max(state.st_mtime, state.st_ctime) > SETTLED_SECONDS:
            self._entries[os.path.abspath(path)] = (_key(state), digest)

    def save(self) -> None:
        """Write the cache atomically; log a warning if its folder cannot be written."""
        partial = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(self._entries), encoding="utf-8")
            partial.replace(self.path)
        except OSError as error:
            logger.warning("Digests could not be cached: %s", error.strerror)


def cache_path(results: Path) -> Path | None:
    """Cache file of one study in the user's cache folder; None if there is no home folder.

    The cache is not kept inside the study: it would be copied along with it, and a manipulated
    copy could then hide changes.
    """
    home = os.path.expanduser("~/.cache")
    base = Path(os.environ.get("XDG_CACHE_HOME") or home)
    if not base.is_absolute():
        return None
    name = hashlib.sha256(os.path.abspath(results).encode()).hexdigest()[:16]
    return base / "ldae" / f"digests-{name}.json"


def hash_files(
    paths: Iterable[Path],
    n_threads: int,
    cache: DigestCache | None,
    sizes: Container[int] | None = None,
    progress: Progress | None = None,
) -> dict[Path, Found | None]:
    """Current size and SHA-256 of files; None for one that is missing, unreadable or not regular.

    Memory is bounded by `n_threads` pieces of 1 MiB. Hashing releases Python's global interpreter
    lock, so the threads run in parallel. Large files are hashed first to balance the load.

    Parameters
    ----------
    paths
        Files; duplicates are hashed once.
    n_threads
        Number of files to hash at a time.
    cache
        Digests from earlier calls; None to hash every file.
    sizes
        Sizes in bytes of the files that are sought; one of any other size is not read. By default,
        all are read.
    progress
        Shared by several calls; by default, this call reports its own.
    """
    there = {path: _size(path) for path in set(paths)}
    ordered = sorted(there, key=lambda path: (-there[path], str(path)))
    read = [size for size in there.values() if sizes is None or size in sizes]
    shown = progress or Progress(sum(read), len(ordered))

    def work(path: Path) -> Found | None:
        return _hash(path, cache, shown, sizes)

    with ThreadPoolExecutor(max(1, n_threads)) as pool:
        found = dict(zip(ordered, pool.map(work, ordered), strict=True))
    return found


def _hash(
    path: Path, cache: DigestCache | None, progress: Progress, sizes: Container[int] | None
) -> Found | None:
    try:
        with open_regular(path) as file:
            state = os.fstat(file.fileno())
            if sizes is not None and state.st_size not in sizes:
                return Found(state.st_size, None, state.st_mtime)
            known = cache.get(path, state) if cache else None
            if known is not None:
                progress.add(state.st_size)
                return Found(state.st_size, known, state.st_mtime, cached=True)
            digest = hashlib.sha256()
            piece = bytearray(min(PIECE, max(1, state.st_size)))
            view = memoryview(piece)
            while count := file.readinto(piece):
                digest.update(view[:count])
                progress.add(count)
            after = os.fstat(file.fileno())
    except OSError:
        return None
    if cache and _key(after) == _key(state):
        cache.put(path, state, digest.hexdigest())
    return Found(after.st_size, digest.hexdigest(), after.st_mtime)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _key(state: os.stat_result) -> Key:
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _key_of(values: Iterable[int]) -> Key:
    device, inode, size, mtime, ctime = values
    return int(device), int(inode), int(size), int(mtime), int(ctime)


class Progress:
    """Progress messages, one every few seconds, while files are read.

    Parameters
    ----------
    total
        Bytes of all files.
    n_files
        Their number.
    """

    def __init__(self, total: int, n_files: int) -> None:
        self._total = total
        self._done = 0
        self._lock = threading.Lock()
        self._start = self._last = time.monotonic()
        logger.info("Reading %s files, %s MB", f"{n_files:,}", f"{total / 1e6:,.0f}")

    def add(self, n_bytes: int) -> None:
        """Note that so many bytes were read."""
        with self._lock:
            self._done += n_bytes
            now = time.monotonic()
            if now - self._last < PROGRESS_SECONDS:
                return
            self._last = now
            rate = self._done / (now - self._start)
        logger.info(
            "Read %s of %s MB, %s MB/s, about %.0f s left",
            f"{self._done / 1e6:,.0f}",
            f"{self._total / 1e6:,.0f}",
            f"{rate / 1e6:,.0f}",
            max(0, self._total - self._done) / rate,
        )
