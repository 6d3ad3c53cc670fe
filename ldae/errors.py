"""Errors that a user can correct, and those that another attempt may not meet again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class OneLineError(Exception):
    """An error whose message is one line: what is wrong, where, and what to do about it.

    Parameters
    ----------
    source
        The file, folder or configuration key at fault.
    problem
        What is wrong with it, in one clause.
    remedy
        What the user can do, as an instruction.
    """

    def __init__(self, source: str | Path, problem: str, remedy: str) -> None:
        super().__init__(source, problem, remedy)
        self.source = source
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}. {self.remedy}"


class InputError(OneLineError):
    """A file or setting given by the user cannot be used."""


class CohortError(InputError):
    """A cohort with several faults, of which the message shows the first.

    Parameters
    ----------
    source
        Folder of the cohort.
    errors
        All faults.
    remedy
        What the user can do about all of them.
    """

    SHOWN = 10

    def __init__(self, source: str | Path, errors: Sequence[InputError], remedy: str) -> None:
        shown = [f"({i}) {error}" for i, error in enumerate(errors[: self.SHOWN], 1)]
        left = len(errors) - len(shown)
        more = f" and {left} more" if left else ""
        super().__init__(source, f"{len(errors)} faults: {'; '.join(shown)}{more}", remedy)
        self.errors = tuple(errors)


class MachineError(OneLineError):
    """The machine failed: a full disk, too little memory, a file server, or a process killed.

    It says nothing about the data, so the job fails and is tried again.
    """


class Interrupted(Exception):  # noqa: N818  an end on purpose, not an error
    """A job has stopped in good order before its work was done; the next attempt resumes it."""
