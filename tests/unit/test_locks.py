"""Locks that a killed run left stop nobody; those of a run that is alive stop everybody."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from ldae.workflow.locks import HOLDER, LOCKS, release_left_locks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a lock."""
    (tmp_path / LOCKS).mkdir(parents=True)
    (tmp_path / LOCKS / "0.output.lock").write_text("results/report.html\n")
    return tmp_path


def note(folder: Path, **changes: Any) -> None:
    """Note a holder that is gone, with changes."""
    gone = {"host": socket.gethostname(), "pid": 2**22 + 1, "group": 2**22 + 1, "started": 0.0}
    (folder / HOLDER).write_text(json.dumps(gone | changes))


def is_locked(folder: Path) -> bool:
    return any((folder / LOCKS).iterdir())


def test_a_lock_of_a_run_that_is_gone_is_removed(folder: Path) -> None:
    note(folder)
    assert release_left_locks(folder) and not is_locked(folder)
    assert json.loads((folder / HOLDER).read_text())["pid"] == os.getpid()
    assert not release_left_locks(folder)  # nothing is left


@pytest.mark.parametrize(
    "holder", [None, "", "[1]", {"host": "elsewhere"}], ids=["none", "cut off", "other", "host"]
)
def test_a_lock_of_an_unknown_holder_stays(folder: Path, holder: Any) -> None:
    if isinstance(holder, dict):
        note(folder, **holder)
    elif holder is not None:
        (folder / HOLDER).write_text(holder)
    assert not release_left_locks(folder) and is_locked(folder)


@pytest.mark.parametrize("kind", ["holder", "job", "same number"])
def test_only_a_living_run_or_job_holds_a_lock(folder: Path, kind: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as other:
        started = psutil.Process(other.pid).create_time()
        changes = {
            "holder": {"pid": other.pid, "started": started},
            "job": {"group": other.pid, "started": started - 1},
            "same number": {"pid": other.pid, "started": started - 1},
        }[kind]
        note(folder, **changes)
        assert release_left_locks(folder) == (kind == "same number")
        other.kill()
    if kind != "same number":
        assert release_left_locks(folder) and not is_locked(folder)


def test_without_a_lock_the_holder_is_noted(tmp_path: Path) -> None:
    assert not release_left_locks(tmp_path)
    assert (tmp_path / HOLDER).is_file()
