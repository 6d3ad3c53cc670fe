"""Whether a scan or the machine is to blame when a scan is not preprocessed.

A scan is excluded from the study for what its file holds: content that cannot be read, or that the
arithmetic cannot work on. Everything else fails the job, which can be tried again: errors of
writing, a full disk or quota, a damaged disk, a stale handle of a file server, too little memory,
and a process that something else has killed. Where both are possible, the machine is blamed:
a failed job is seen, whereas an excluded scan is missed later or never.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from pathlib import Path

from ldae.errors import InputError, MachineError

FILE_ERRNOS = frozenset({
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP,
    errno.ENAMETOOLONG, errno.EINVAL,
})  # fmt: skip
"""Errors of the system, while a file is read, that concern the file and not the machine.

They will be there at the next attempt too.
"""

SCAN_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE})
"""Signals that a library's own arithmetic or memory access raises.

SIGBUS is not among them: a file that is mapped to memory raises it when its disk fails.
"""

OUT_OF_MEMORY = re.compile(
    r"(can ?not|can't|failed to|unable to) allocate|out of memory|not enough memory|bad_alloc"
    r"|bad allocation|no space left|quota exceeded|Error -4 while",  # -4: zlib has no memory
    re.IGNORECASE,
)
"""Messages of libraries and programs that are short of memory or disk."""

RETRY = "Free what is missing and start again; finished batches are kept."
LOOK = "Look at the scan; exclude it if it is no whole T1w head."


def reading_error(path: Path, error: OSError) -> InputError | MachineError:
    """Error of a scan that the system could not read.

    Parameters
    ----------
    path
        The scan's file.
    error
        What the system reported. Libraries raise such errors of their own, without a number, for
        content that they cannot read.
    """
    if error.errno is not None and error.errno not in FILE_ERRNOS:
        return machine_error(path, error)
    if error.errno in (errno.EACCES, errno.EPERM):
        remedy = "Give the user who runs the workflow permission to read it."
        return InputError(path, "the file must not be read (permission denied)", remedy)
    return InputError(path, f"it cannot be read ({describe(error)})", "Copy or convert it again.")


def machine_error(source: str | Path, error: BaseException) -> MachineError:
    """Error of the machine while a scan was preprocessed.

    Parameters
    ----------
    source
        The scan, by the name that may be shown.
    error
        What happened.
    """
    problem = f"the machine failed while this scan was preprocessed ({describe(error)})"
    return MachineError(source, problem, RETRY)


def is_short_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory or disk ran out; many libraries raise RuntimeError."""
    return isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error)) is not None


def has_files(folder: Path) -> bool:
    """Whether a folder is there with something in it; the folder of a lost mount is empty."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def killed_by_scan(code: int) -> bool:
    """Whether a process that works on one scan alone has ended by a fault in reading or arithmetic.

    Parameters
    ----------
    code
        Exit code of the process, or minus the signal that ended it. A library that calls ``exit``
        does so at each attempt; SIGKILL, which the kernel sends for want of memory, SIGTERM and
        limits of time come from outside.
    """
    return code >= 0 or -code in SCAN_SIGNALS


def name_end(code: int) -> str:
    """How a process ended, in words: its signal or its exit code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def describe(error: BaseException) -> str:
    """First line of an error, without the file that it names."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    if isinstance(error, MemoryError):
        return "out of memory"
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
