"""Results of parts of a job, kept until the job is done, so that a killed job resumes there."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")


class Pieces:
    """Results of parts of one job.

    Parameters
    ----------
    folder
        Folder of a job with these settings, code and inputs, and of no other
        (:attr:`ldae.workflow.entry.RuleRun.pieces`); None to keep nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._made = False

    @property
    def begun(self) -> bool:
        """Whether an earlier attempt has left results."""
        return self._folder is not None and any(self._folder.glob("*.pickle"))

    def once(self, name: object, compute: Callable[[], Result]) -> Result:
        """Result of `compute`, or what it returned in an earlier attempt.

        Parameters
        ----------
        name
            What tells this part of the job from all others; its ``repr`` counts.
        compute
            Computes it; what it returns can be pickled.
        """
        found = self.get(name)
        if found is None:
            found = (compute(),)
            self.put(name, found[0])
        result: Result = found[0]
        return result

    def get(self, name: object) -> tuple[Any] | None:
        """Result of an earlier attempt, as the one value of a tuple; None without one."""
        path = self._path(name)
        try:
            content = None if path is None else path.read_bytes()
        except FileNotFoundError:
            return None
        # only this job writes here, and each file is complete: it is moved to its place
        return None if content is None else (pickle.loads(content),)  # noqa: S301

    def put(self, name: object, result: object) -> None:
        """Keep a result."""
        path = self._path(name)
        if path is not None:
            if not self._made:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._made = True
            partial = path.with_suffix(".partial")
            partial.write_bytes(pickle.dumps(result))
            partial.replace(path)

    def _path(self, name: object) -> Path | None:
        digest = hashlib.sha256(repr(name).encode()).hexdigest()[:16]
        return None if self._folder is None else self._folder / f"{digest}.pickle"


NOTHING_KEPT = Pieces()
"""For callers that compute all at once."""
