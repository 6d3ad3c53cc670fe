"""States of jobs as Snakemake's executor plugin for SLURM should read them.

The plugin (2.8) waits for ever for a job that SLURM has preempted without starting it again
(PreemptMode=CANCEL), that failed with its node and is not requeued, or that a user has cancelled
where sacct answers "CANCELLED by 1000". It takes a job in state UNKNOWN for a success. Here the
answer of its query is put right before it reads it, and it is kept from asking ever less often.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

SETTLING_SECONDS = 900.0
"""Time for SLURM to start a job again; a requeued job is pending within seconds."""

PASSING = frozenset({"PREEMPTED", "NODE_FAIL"})
"""States that SLURM may leave by itself, by starting the job again. The plugin waits."""

NO_STATE = frozenset({"UNKNOWN"})
"""States that say nothing; such a job counts as one that is not listed yet."""

ENDED = "CANCELLED"
"""State that the plugin takes for a failure, so that the job is submitted again."""

CANCEL_SECONDS = 60.0


class States:
    """The states of a run's jobs over time.

    Parameters
    ----------
    cancel
        Cancels a job by its number, so that SLURM cannot start it beside its successor.
    """

    def __init__(self, cancel: Callable[[str], None]) -> None:
        self._cancel = cancel
        self._since: dict[str, float] = {}
        self._given_up: set[str] = set()

    def settled(
        self, states: Mapping[str, str], now: float, warn: Callable[[str], None]
    ) -> dict[str, str]:
        """States for the plugin.

        Parameters
        ----------
        states
            By number of the job, as SLURM reports them.
        now
            Time of the answer, seconds on any clock that runs steadily.
        warn
            Is called with a line when a job is given up.
        """
        found = {}
        for number, text in states.items():
            state = (text.split() or ["UNKNOWN"])[0].rstrip("+")
            if number in self._given_up:
                found[number] = ENDED
            elif state not in PASSING | NO_STATE:
                self._since.pop(number, None)
                found[number] = state
            elif now - self._since.setdefault(number, now) >= SETTLING_SECONDS:
                warn(f"SLURM leaves job {number} in state {state}: it is given up.")
                self._cancel(number)
                self._given_up.add(number)
                found[number] = ENDED
            elif state in PASSING:
                found[number] = state
        return found


def cancel(number: str) -> None:
    """Cancel a job; one that is gone already is no error."""
    subprocess.run(["scancel", number], capture_output=True, check=False, timeout=CANCEL_SECONDS)


def settle() -> None:
    """Let the plugin read settled states from now on."""
    import snakemake_executor_plugin_slurm as plugin

    states, query = States(cancel), plugin.query_job_status

    async def settled_query(command: str, log: Any) -> tuple[dict[str, str] | None, float | None]:
        answer, seconds = await query(command, log)
        if answer is not None:
            answer = states.settled(answer, time.monotonic(), log.warning)
        return answer, seconds

    plugin.query_job_status = settled_query


def ask_steadily(executor: Any) -> None:
    """Let the plugin ask for its jobs at steady intervals, those with which it begins.

    It waits ten seconds longer each time that no job has ended, up to three minutes: beside one
    long job, each of many short ones would be noticed as late as that.

    Parameters
    ----------
    executor
        The plugin's. Its interval is a property, which the plugin sets after each query.
    """
    kind = type(executor)
    interval = kind.next_seconds_between_status_checks
    longest = executor.workflow.executor_settings.init_seconds_before_status_checks

    def keep(self: Any, seconds: float) -> None:
        interval.fset(self, min(seconds, longest))

    kind.next_seconds_between_status_checks = property(interval.fget, keep)
