"""Checks of any machine: Python, packages, disk, quota and file system."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import InvalidRequirement, Requirement

from ldae.paths import IS_CLONE, WORKFLOW
from ldae.provenance.environment import container, locks
from ldae.provenance.images import file_digest
from ldae.workflow.doctor.findings import Check, Finding, listed, note, problem

QUERY_SECONDS = 20.0
GIB = 1024**3
FEW_INODES = 100_000
"""A study of some thousand scans makes about so many files (Snakemake's own included)."""

SHARED_TYPES = re.compile(
    r"nfs|lustre|gpfs|beegfs|ceph|wekafs|panfs|pvfs|orangefs|gluster|afs|cifs"
)
"""File systems that all nodes of a cluster may see."""

VOLATILE_TYPES = frozenset({"tmpfs", "ramfs"})


def machine_checks(results: Path, disk: Callable[[], None], submits: bool) -> dict[str, Check]:
    """Checks of this machine.

    Parameters
    ----------
    results
        Folder of the results, which need not exist.
    disk
        Raises an error if the disk cannot hold the study.
    submits
        Whether this machine submits jobs to a scheduler.
    """
    return {
        "Python": check_python,
        "packages": check_packages,
        "disk": lambda: check_disk(results, disk),
        "quota": lambda: check_quota(existing(results)),
        "file system": lambda: check_file_system(existing(results), submits),
    }


def existing(path: Path) -> Path:
    """The nearest folder above a path that exists, itself included."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())


def check_python() -> Iterator[Finding]:
    """Version of Python, and whether the environment is its own."""
    text = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    if container():
        yield Finding("Python", f"{text}, in a container")
    elif sys.prefix == sys.base_prefix and not (Path(sys.prefix) / "conda-meta").is_dir():
        yield note(
            "Python", f"{text}, the system's own", "Use an environment: make figures makes one"
        )
    else:
        yield Finding("Python", f"{text}, in an environment of its own")
    if platform.machine() != "x86_64":
        remedy = "The locks are tested on x86_64 only; PyPI has torch with CUDA for aarch64 too"
        yield note("Python", f"this is {platform.machine()}, which nobody has tried", remedy)


def check_packages() -> Iterator[Finding]:
    """Whether the environment is that of its lock files."""
    known = locks()
    names = [n for n in (known or {"envs/local.lock": ""}) if (WORKFLOW / n).is_file()]
    stale = [n for n in names if known.get(n) and known[n] != file_digest(WORKFLOW / n)]
    again = "make clean && make figures" if IS_CLONE else "pip install again"
    if stale:
        text = f"the environment was made from another {' and '.join(stale)}"
        yield note("packages", text, f"Set it up again: {again}")
    # a later lock has other versions of some packages
    pins = dict(pin for name in names for pin in read_pins(WORKFLOW / name))
    wrong = [text for name, version in pins.items() if (text := _differs(name, version))]
    if wrong:
        text = f"{len(wrong)} of {len(pins)} differ from {' and '.join(names)}: {listed(wrong)}"
        yield note(
            "packages", text, f"Numbers may differ from the locked ones; to be sure, {again}"
        )
    else:
        yield Finding("packages", f"all {len(pins)} as in {' and '.join(names)}")


def read_pins(lock: Path) -> list[tuple[str, str]]:
    """Names and versions in a lock file that apply to this machine."""
    pins = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            try:
                wanted = Requirement(line.rstrip("\\ "))
            except InvalidRequirement:
                continue
            if wanted.marker is None or wanted.marker.evaluate():
                pins.append((wanted.name, next(iter(wanted.specifier)).version))
    return pins


def _differs(name: str, version: str) -> str:
    """How an installed package differs from its lock; empty if it does not."""
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    # a build, as in 2.13.0+cpu, is no other version
    return "" if found.partition("+")[0] == version else f"{name} {found} instead of {version}"


def check_disk(results: Path, disk: Callable[[], None]) -> Iterator[Finding]:
    """Whether the disk has space and inodes for the study."""
    place = existing(results)
    usage, files = shutil.disk_usage(place), os.statvfs(place)
    disk()
    yield Finding("disk", f"{usage.free / GIB:.0f} of {usage.total / GIB:.0f} GiB free")
    if not os.access(place, os.W_OK):
        yield problem("disk", "the results folder cannot be written", "Set pathvars.results")
    if files.f_files and files.f_favail < FEW_INODES:
        remedy = "Remove files, or set pathvars.results to another file system"
        yield note("inodes", f"only {files.f_favail:,} more files can be made", remedy)
    else:
        free = f"{files.f_favail:,} free" if files.f_files else "no limit is reported"
        yield Finding("inodes", free)


def check_quota(place: Path) -> Iterator[Finding]:
    """Whether a quota is used up, where a command reports it."""
    tried = {"lfs": ("lfs", "quota", "-q", "-u", str(os.getuid()), str(place)), "quota": ("quota",)}
    for name, command in tried.items():
        if shutil.which(name) is None:
            continue
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=QUERY_SECONDS
        )
        text = " ".join(line.strip() for line in done.stdout.splitlines() if "/" in line)
        # quota ends with an error where a limit is exceeded; lfs and quota mark the number with *
        if text and ("*" in text or (name == "quota" and done.returncode)):
            yield problem("quota", f"{name} reports that a limit is exceeded", "Free some space")
            return
        if done.returncode == 0:
            yield Finding("quota", f"{name} reports no exceeded limit")
            return
    remedy = "Ask for the quota of files and bytes, by project and by user"
    yield note("quota", "no command reports one for this folder", remedy)


def check_file_system(place: Path, submits: bool) -> Iterator[Finding]:
    """Type of the file system of the results, and whether nodes may see it."""
    kind = file_system(place)
    if kind in VOLATILE_TYPES:
        remedy = "Set pathvars.results to a folder on a disk"
        yield note("file system", f"{kind}: what is written there is lost with a restart", remedy)
    elif SHARED_TYPES.search(kind) or not submits:
        yield Finding("file system", f"{kind}" + (", shared by nodes" if submits else ""))
    else:
        remedy = "Repository, environment and results must be where all nodes see them"
        yield note("file system", f"{kind}, which nodes may not see", remedy)


def file_system(place: Path) -> str:
    """Type of the file system of a folder, such as ``nfs4``; ``unknown`` if it is not listed."""
    path = place.resolve()
    mounts = [m for m in psutil.disk_partitions(all=True) if path.is_relative_to(m.mountpoint)]
    return str(max(mounts, key=lambda m: len(m.mountpoint)).fstype) if mounts else "unknown"
