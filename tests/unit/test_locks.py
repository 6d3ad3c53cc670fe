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

from ldae.workflow.locks import HOLDERS, LOCKS, release_left_locks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a lock."""
    (tmp_path / LOCKS).mkdir(parents=True)
    (tmp_path / LOCKS / "0.output.lock").write_text("results/report.html\n")
    return tmp_path


def note(folder: Path, **changes: Any) -> None:
    """Note a holder that is gone, with changes."""
    gone = {"host": socket.gethostname(), "pid": 2**22 + 1, "group": 2**22 + 1, "started": 0.0}
    write(folder, json.dumps(gone | changes))


def write(folder: Path, text: str) -> None:
    """Write the note of another run."""
    (folder / HOLDERS).mkdir(exist_ok=True)
    (folder / HOLDERS / "other.json").write_text(text)


def is_locked(folder: Path) -> bool:
    return any((folder / LOCKS).iterdir())


def test_a_lock_of_a_run_that_is_gone_is_removed(folder: Path) -> None:
    note(folder)
    assert release_left_locks(folder) and not is_locked(folder)
    (own,) = (folder / HOLDERS).iterdir()
    assert json.loads(own.read_text())["pid"] == os.getpid()
    assert not release_left_locks(folder)  # nothing is left


@pytest.mark.parametrize(
    "holder", [None, "", "[1]", {"host": "elsewhere"}], ids=["none", "cut off", "other", "host"]
)
def test_a_lock_of_an_unknown_holder_stays(folder: Path, holder: Any) -> None:
    if isinstance(holder, dict):
        note(folder, **holder)
    elif holder is not None:
        write(folder, holder)
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
    assert any((tmp_path / HOLDERS).iterdir())


def test_a_second_run_that_has_ended_does_not_free_the_locks_of_the_first(folder: Path) -> None:
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    with sleeper as first:
        note(folder, pid=first.pid, started=psutil.Process(first.pid).create_time())
        ended = {"host": socket.gethostname(), "pid": 2**22 + 2, "group": 2**22 + 2, "started": 0.0}
        (folder / HOLDERS / "second.json").write_text(json.dumps(ended))
        assert not release_left_locks(folder) and is_locked(folder)
        assert not (folder / HOLDERS / "second.json").exists()
        first.kill()
