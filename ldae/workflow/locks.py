"""Locks of a run that was killed: nobody holds them, and the next run removes them.

Snakemake locks a working folder with files that a killed run, or a power cut, leaves behind. Every
run notes itself beside them, so that locks stop nobody once all runs of the folder are gone: two
studies may run in one folder. A lock that was taken on another machine, or before there were notes,
is left to Snakemake, which says how to remove it.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import psutil

LOCKS = Path(".snakemake") / "locks"
"""Snakemake's locks in a working folder."""

HOLDERS = Path(".snakemake") / "holders"
"""Who took them, a file per run: machine, process, its group and the time when it started."""


def release_left_locks(folder: Path) -> bool:
    """Remove the locks of a run that is gone, and note this process as the next holder.

    Parameters
    ----------
    folder
        Working folder of the run.

    Returns
    -------
    bool
        Whether there were such locks.
    """
    own = psutil.Process()
    note = folder / HOLDERS / f"{socket.gethostname()}-{own.pid}.json"
    locks = sorted((folder / LOCKS).glob("*.lock"))
    others = [path for path in sorted((folder / HOLDERS).glob("*.json")) if path != note]
    gone = [path for path in others if _is_gone(_read(path))]
    left = locks if (others or note.is_file()) and gone == others else []
    for path in (*left, *gone):
        path.unlink(missing_ok=True)
    holder = {"host": socket.gethostname(), "pid": own.pid, "group": os.getpgid(0)}
    holder["started"] = own.create_time()
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(holder) + "\n", encoding="utf-8")
    return bool(left)


def _read(path: Path) -> dict[str, object]:
    """A note of a holder; empty if there is none, or if it was cut off."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_gone(holder: dict[str, object]) -> bool:
    """Whether a holder on this machine has ended, and with it the jobs that it started."""
    if holder.get("host") != socket.gethostname():
        return False
    own = psutil.Process()
    ours = {own.pid, *(parent.pid for parent in own.parents())}
    for process in psutil.process_iter():
        try:
            started, group = process.create_time(), os.getpgid(process.pid)
        except (psutil.Error, ProcessLookupError):
            continue  # ended meanwhile
        # a number is given to another process later
        is_it = process.pid == holder["pid"] and started == holder["started"]
        is_job = group == holder["group"] and started >= float(str(holder["started"]))
        if process.status() != psutil.STATUS_ZOMBIE and (is_it or is_job):
            if process.pid not in ours:
                return False
    return True
