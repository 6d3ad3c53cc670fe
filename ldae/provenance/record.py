"""Record of a job: what ran, where, with which inputs and settings, and with which result.

Every attempt writes two JSON files, which are never overwritten: ``<time>-<id>.started.json`` at
its start and ``<time>-<id>.json`` at its end. If the second one is missing, the job was killed.
Files are named as in :mod:`ldae.provenance.places`; neither host nor user is recorded. The fields
are described in ``schemas/record.schema.yaml``.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from ldae.data.digests import trusted_digest
from ldae.paths import WORKFLOW
from ldae.provenance.places import Places

Record = dict[str, Any]

# Version of the record's fields (:mod:`ldae.provenance.schema`).
FORMAT = 2
# Time at the start of a record's name.
ID_TIME = "%Y%m%dT%H%M%SZ"

# Values of schema.org's ActionStatusType, as used in the crate.
STARTED = "ActiveActionStatus"
COMPLETED = "CompletedActionStatus"
FAILED = "FailedActionStatus"

# Snakemake writes this file into every output folder; it is not a result.
TIMESTAMP_FILE = ".snakemake_timestamp"

# Settings that change no number.
PLACE_SETTINGS = ("bids_folder", "final", "gpu", "pathvars", "title")

# Packages whose versions the report lists; the records list all.
MAIN_SOFTWARE = ("python", "snakemake", "torch", "monai", "numpy", "pandas", "matplotlib")

# Folders in which an untracked file counts as code.
CODE_FOLDERS = ("Snakefile", "envs", "ldae", "resources", "rules", "schemas", "scripts")

# Commits are read as they are stored, and attributes of this machine change no file of them.
GIT_AS_STORED = {
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}

# The disk limits the speed: a few threads keep it busy while others hash.
HASH_THREADS = 4

SLURM_VARIABLES = (
    "SLURM_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_JOB_PARTITION",
    "SLURM_RESTART_COUNT",
)


def settings_digest(config: Mapping[str, Any]) -> str:
    """SHA-256 of a study's settings, without those that change no number."""
    kept = {name: value for name, value in config.items() if name not in PLACE_SETTINGS}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def now() -> datetime:
    """Current time in UTC."""
    return datetime.now(UTC)


def write_record(folder: Path, name: str, record: Record) -> Path:
    """Write a record atomically to a new file, and return its path.

    Raises
    ------
    FileExistsError
        If the file exists: records are never overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.json"
    partial = folder / f".{name}.{uuid.uuid4().hex}.partial"
    partial.write_text(json.dumps(record, indent=2, sort_keys=True, default=str) + "\n", "utf-8")
    try:
        os.link(partial, target)
    except PermissionError:  # file systems without hard links
        if target.exists():
            raise FileExistsError(target) from None
        partial.rename(target)
    else:
        partial.unlink()
    return target


def describe_files(paths: Iterable[str | Path], places: Places) -> list[Record]:
    """Name, size in bytes and SHA-256 of all files, also those inside folders; sorted by name.

    Files that are missing or must not be read are left out: nothing was made of them.
    """
    files = {file for path in map(Path, paths) for file in _files_in(path)}
    with ThreadPoolExecutor(HASH_THREADS) as pool:
        found = pool.map(lambda path: _describe_file(path, places), files)
        return sorted(filter(None, found), key=lambda file: str(file["path"]))


def _files_in(path: Path) -> Iterator[Path]:
    """All files in a folder and in the folders below it; the path itself where it is no folder."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files_in(path / entry.name)
                elif entry.is_file() and entry.name != TIMESTAMP_FILE:
                    yield path / entry.name
    except NotADirectoryError:
        yield path
    except (FileNotFoundError, PermissionError):
        return


def _describe_file(path: Path, places: Places) -> Record | None:
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            return None
        digest = trusted_digest(path, state)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return {"path": places.name(path), "size": state.st_size, "sha256": digest}


def git_state(repository: Path = WORKFLOW) -> Record:
    """Commit of the repository, and whether its files differ from it; None outside a clone.

    Untracked files count only in the folders of code; notes and settings elsewhere are ignored.
    Files that git was asked to take as unchanged count as changed: it does not look at them.
    """
    unknown: Record = {"commit": None, "dirty": None}
    if not (repository / ".git").exists():
        return unknown
    try:
        commit = git("rev-parse", "--verify", "HEAD", repository=repository)
        changed = git("status", "--porcelain", "--untracked-files=no", repository=repository)
        # git status with them would ask the file system for every tracked file once more
        others = ("ls-files", "--others", "--exclude-standard")
        added = git(*others, "--", *CODE_FOLDERS, repository=repository)
        hidden = _hidden_files(repository)
    except (OSError, subprocess.SubprocessError):
        return unknown
    return {"commit": commit, "dirty": bool(changed or added or hidden)}


def _hidden_files(repository: Path) -> list[str]:
    """Files of code that ``git status`` skips: assume-unchanged, or skip-worktree though there."""
    listed = git("ls-files", "-v", "--", *CODE_FOLDERS, repository=repository)
    lines = (line.split(" ", 1) for line in listed.splitlines())
    marked = [name for tag, name in lines if tag.islower() or tag == "S"]
    return [name for name in marked if (repository / name).exists()]


def git(*arguments: str, repository: Path = WORKFLOW) -> str:
    """Output of a git command as text, stripped of surrounding white space.

    Raises
    ------
    OSError, subprocess.SubprocessError
        If git is missing, fails, or takes longer than a minute.
    """
    return git_bytes(*arguments, repository=repository).decode().strip()


def git_bytes(*arguments: str, repository: Path = WORKFLOW) -> bytes:
    """Output of a git command; works also if the repository belongs to another user.

    Variables of the environment that point git to other files have no effect, and neither have
    ``git replace`` and grafts, by which a commit shows other content than its own.
    """
    command = ["git", "-c", "safe.directory=*", "-C", str(repository), *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= GIT_AS_STORED
    return subprocess.run(
        command, capture_output=True, check=True, timeout=60, env=environment
    ).stdout


def software() -> dict[str, str]:
    """Versions of Python and of every installed package that this process has imported."""
    versions = {"python": platform.python_version()}
    loaded = {name.partition(".")[0] for name in sys.modules}
    for module, packages in packages_distributions().items():
        if module in loaded:
            for package in packages:
                versions[package.lower()] = version(package)
    return dict(sorted(versions.items()))


def device() -> Record:
    """The GPU if torch has been imported and finds one, else the processor."""
    found: Record = {"kind": "cpu", "name": _processor(), "cuda": None}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found = {"kind": "cuda", "name": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
    return found


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def peak_memory() -> Record:
    """Peak memory in MiB of this process, of its largest child process, and on the GPU."""
    # ru_maxrss is in KiB on Linux and in bytes on macOS (getrusage(2)).
    unit = 1024**2 if sys.platform == "darwin" else 1024
    usage = {
        "process_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "child_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit,
        "gpu_mib": None,
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        usage["gpu_mib"] = torch.cuda.max_memory_allocated() / 1024**2
    return usage


def scheduler() -> Record | None:
    """Identifiers of the job in SLURM; None outside SLURM."""
    found = {name.lower(): os.environ[name] for name in SLURM_VARIABLES if name in os.environ}
    return found or None


def describe_run(study: str) -> dict[str, str]:
    """Summary of this run for the report: study, commit, time and main software versions."""
    state = git_state()
    commit = state["commit"] or "not in a git clone"
    versions = software()
    shown = [name for name in MAIN_SOFTWARE if name in versions]
    return {
        "study": study,
        "commit": f"{commit} with uncommitted changes" if state["dirty"] else commit,
        "made": f"{now():%Y-%m-%d %H:%M} UTC",
        "software": ", ".join(f"{name} {versions[name]}" for name in shown),
    }
