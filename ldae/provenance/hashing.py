"""SHA-256 of many files: streamed, on all cores, and remembered from one time to the next."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# Bytes read at once by each thread: larger pieces were no faster, smaller ones cost more calls.
PIECE = 1024 * 1024

# A file changed so recently may be changed once more without a new time: it is not remembered.
SETTLED_SECONDS = 2.0

PROGRESS_SECONDS = 5.0

logger = logging.getLogger(__name__)

Key = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Found:
    """A file as it is now: bytes, SHA-256, and time of change in seconds since the epoch."""

    size: int
    sha256: str
    mtime: float


class DigestCache:
    """Digests of files seen before, by device, inode, size and both times of change.

    The time of a file's last change of state (ctime) cannot be set by a program, so a file whose
    bytes were exchanged and whose time was set back is hashed again. Whoever can write to the disk
    itself or change the clock can still deceive the cache; not using it is what ``--full`` does.

    Parameters
    ----------
    path
        JSON file; missing or unreadable, the cache starts empty.
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
        """Digest of a file if it is as it was when it was hashed."""
        entry = self._entries.get(os.path.abspath(path))
        return entry[1] if entry and entry[0] == _key(state) else None

    def put(self, path: Path, state: os.stat_result, digest: str) -> None:
        """Remember a digest, unless the file may still be changing."""
        if time.time() - max(state.st_mtime, state.st_ctime) > SETTLED_SECONDS:
            self._entries[os.path.abspath(path)] = (_key(state), digest)

    def save(self) -> None:
        """Write the cache as a file that appears whole; a folder that cannot be written is left."""
        partial = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(self._entries), encoding="utf-8")
            partial.replace(self.path)
        except OSError as error:
            logger.warning("digests are not remembered: %s", error.strerror)


def cache_path(results: Path) -> Path | None:
    """File of the cache of one study, in the user's own cache folder; None without a home.

    A cache inside the study would travel with it, and could be made to say anything.
    """
    home = os.path.expanduser("~/.cache")
    base = Path(os.environ.get("XDG_CACHE_HOME") or home)
    if not base.is_absolute():
        return None
    name = hashlib.sha256(os.path.abspath(results).encode()).hexdigest()[:16]
    return base / "ldae" / f"digests-{name}.json"


def hash_files(
    paths: Iterable[Path], n_threads: int, cache: DigestCache | None
) -> dict[Path, Found | None]:
    """Size and SHA-256 of files as they are now; None for one that is missing or unreadable.

    Memory is bounded by `n_threads` pieces of 1 MiB. Hashing frees Python's lock, so that threads
    use all cores; large files come first, so that no core is left with one at the end.

    Parameters
    ----------
    paths
        Files; repeats are hashed once.
    n_threads
        Files hashed at a time.
    cache
        Digests of an earlier time; None hashes every file.
    """
    sizes = {path: _size(path) for path in set(paths)}
    ordered = sorted(sizes, key=lambda path: (-sizes[path], str(path)))
    progress = _Progress(sum(sizes.values()), len(ordered))
    with ThreadPoolExecutor(max(1, n_threads)) as pool:
        found = dict(
            zip(ordered, pool.map(lambda path: _hash(path, cache, progress), ordered), strict=True)
        )
    if cache is not None:
        cache.save()
    return found


def _hash(path: Path, cache: DigestCache | None, progress: _Progress) -> Found | None:
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            known = cache.get(path, state) if cache else None
            if known is not None:
                progress.add(state.st_size)
                return Found(state.st_size, known, state.st_mtime)
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


class _Progress:
    """A line every few seconds while files are read."""

    def __init__(self, total: int, n_files: int) -> None:
        self._total = total
        self._done = 0
        self._lock = threading.Lock()
        self._start = self._last = time.monotonic()
        logger.info("reading %s files, %s MB", f"{n_files:,}", f"{total / 1e6:,.0f}")

    def add(self, n_bytes: int) -> None:
        with self._lock:
            self._done += n_bytes
            now = time.monotonic()
            if now - self._last < PROGRESS_SECONDS:
                return
            self._last = now
            rate = self._done / (now - self._start)
        logger.info(
            "read %s of %s MB, %s MB/s, about %.0f s left",
            f"{self._done / 1e6:,.0f}",
            f"{self._total / 1e6:,.0f}",
            f"{rate / 1e6:,.0f}",
            max(0, self._total - self._done) / rate,
        )
