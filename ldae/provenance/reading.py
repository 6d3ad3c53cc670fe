"""Reading of files of unknown origin: only regular ones are opened.

Opening a named pipe waits for a writer, and a device never ends. A study from elsewhere may hold
either in place of a file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path


class NotRegularError(OSError):
    """A folder, pipe, socket or device where a file is expected."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, or what a link to one leads to.

    Raises
    ------
    OSError
        If the file is missing, not readable, or not a regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # opening a device may already act on it
        raise NotRegularError(f"{path.name} is not a regular file")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # replaced since
        os.close(descriptor)
        raise NotRegularError(f"{path.name} is not a regular file")
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path) -> bytes:
    """Content of a regular file.

    Raises
    ------
    OSError
        As :func:`open_regular`.
    """
    with open_regular(path) as file:
        return file.read()


def digest_of(path: Path) -> str:
    """SHA-256 of a regular file, in hexadecimal.

    Raises
    ------
    OSError
        As :func:`open_regular`.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
