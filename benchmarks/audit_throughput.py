"""Throughput of the audit's hashing, compared with `sha256sum` and `openssl` on as many cores.

Writes files of random bytes, hashes them in turn with the function of the audit and with other
tools under ``xargs -P``, and prints MB/s and the largest process of each::

    .venv/bin/python benchmarks/audit_throughput.py --gigabytes 4

Files are read from the page cache as far as memory allows. The benchmark therefore measures
hashing and not the disk, which is often the limit of a real audit.
"""

import argparse
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# File sizes in bytes and their shares, as in a study: many scans, some arrays, few models.
SHARES = ((250_000, 0.2), (25_000_000, 0.4), (400_000_000, 0.4))
# Bytes written at a time; the memory of a larger parent process would count for its children.
PIECE = 1_000_000
HASH = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from ldae.provenance.hashing import hash_files
paths = [p for p in Path({folder!r}).iterdir()]
start = time.monotonic()
found = hash_files(paths, {jobs}, None)
assert all(found.values()) and len(found) == len(paths)
print(time.monotonic() - start)
"""

logger = logging.getLogger("benchmark")


def main() -> None:
    """Run the benchmark and print a table."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write the files; default: TMPDIR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        n_files, n_bytes = write_files(Path(folder), options.gigabytes * 1e9)
        logger.info("%d files, %.2f GB, %d at a time", n_files, n_bytes / 1e9, options.jobs)
        measured: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for _ in range(options.repeats):
            measured["audit"].append(audit(Path(folder), options.jobs))
            for tool in ("sha256sum", "openssl dgst -sha256"):
                if shutil.which(tool.split()[0]):
                    measured[tool].append(parallel(tool, Path(folder), options.jobs))
    logger.info("%-21s %9s %12s %16s", "", "MB/s", "CPU s / GB", "largest process")
    for name, runs in measured.items():
        seconds, cpu, memory = (statistics.median(column) for column in zip(*runs, strict=True))
        rate, per_gb = n_bytes / seconds / 1e6, cpu / (n_bytes / 1e9)
        logger.info("%-21s %9.0f %12.2f %12.0f MiB", name, rate, per_gb, memory)


def write_files(folder: Path, n_bytes: float) -> tuple[int, int]:
    """Write files of random bytes; return the number of files and of bytes."""
    count = total = 0
    for size, share in SHARES:
        for _ in range(max(1, round(n_bytes * share / size))):
            with (folder / f"{count:06d}").open("wb") as file:
                for start in range(0, size, PIECE):
                    file.write(os.urandom(min(PIECE, size - start)))
            count, total = count + 1, total + size
    return count, total


def audit(folder: Path, jobs: int) -> tuple[float, float, float]:
    """Wall time and CPU time in seconds, and peak memory in MiB, of the audit's hashing."""
    code = HASH.format(root=str(ROOT), folder=str(folder), jobs=jobs)
    return run([sys.executable, "-c", code])


def parallel(tool: str, folder: Path, jobs: int) -> tuple[float, float, float]:
    """The same for another tool: one process for up to 16 files, `jobs` processes at a time."""
    command = f"find . -type f -print0 | xargs -0 -n 16 -P {jobs} {tool} > /dev/null"
    return run(["sh", "-c", command], cwd=folder)


def run(command: list[str], cwd: Path | None = None) -> tuple[float, float, float]:
    """Wall time and CPU time in seconds of a command, and the memory of its largest process in MiB.

    If the command prints a wall time, that is used: it does not include the start of Python.
    """
    clock = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - clock
    if status:
        raise RuntimeError(f"{command[0]} failed")
    return float(output or wall), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
