"""Rows of large arrays in files, read and written by explicit calls.

A memory-mapped file is read a page at a time, and the thread that touches a page waits for it. On
a file server that is thousands of requests for a scan; these classes make one or two, from any
thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class RowFile:
    """An array of shape (N, ...) in a ``.npy`` file; whatever is indexed is read and returned.

    Parameters
    ----------
    path
        The file, in C order.

    Attributes
    ----------
    path
        The file.
    shape, dtype
        Of the whole array.

    Raises
    ------
    ValueError
        If the file is no such array.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = self.path.open("rb", buffering=0)
        version = np.lib.format.read_magic(self._file)
        self.shape, fortran, self.dtype = HEADERS[version](self._file)
        if fortran or not self.shape:
            raise ValueError(f"{path} is no array of rows in C order")
        self._offset = self._file.tell()
        self._row_bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Rows by number, slice, or array of numbers or of truth values, as of an array."""
        wanted = np.arange(len(self))[rows]
        found = self._read(np.atleast_1d(wanted))
        one: NDArray[Any] = found.reshape(*np.shape(wanted), *self.shape[1:])
        return one

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Rows (n, ...), with one call for each run of consecutive ones."""
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        buffer = found.reshape(-1).view(np.uint8).data
        ends = np.flatnonzero(np.diff(rows) != 1) + 1
        for first, last in zip([0, *ends], [*ends, len(rows)], strict=True):
            if first < last:
                part = buffer[first * self._row_bytes : last * self._row_bytes]
                self._fill(part, self._offset + int(rows[first]) * self._row_bytes)
        return found

    def _fill(self, part: memoryview, offset: int) -> None:
        while len(part):
            count = os.preadv(self._file.fileno(), [part], offset)
            if not count:
                raise EOFError(f"{self.path} is shorter than its header says")
            part, offset = part[count:], offset + count


class RowWriter:
    """Writes a ``.npy`` file row by row, in order; a context that checks that all were written.

    Parameters
    ----------
    path
        The file.
    shape, dtype
        Of the whole array.
    """

    def __init__(self, path: Path, shape: Sequence[int], dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._left = int(shape[0])
        self._file = path.open("wb")
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": tuple(map(int, shape)),
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, rows: NDArray[Any]) -> None:
        """Append rows (n, ...), with the values that the file's type makes of them."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self._left -= len(rows)

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if error is None and self._left:
            raise ValueError(f"{self._left} rows were not written")
