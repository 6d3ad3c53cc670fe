"""Work on many scans in processes of their own, of which one may be killed."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Fork: a spawned worker would run the calling script again, which a Snakemake script does not
# survive.
_CONTEXT = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Killed(Generic[Item]):
    """An item whose process ended before it was done, and again when nothing else was running.

    Attributes
    ----------
    item
        The item.
    code
        Exit code of the second process, or minus the signal that ended it.
    """

    item: Item
    code: int


def work_in_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    n_workers: int,
    prepare: Callable[[], None],
) -> Iterator[Result | Killed[Item]]:
    """Results of all items, as they come.

    A process that is killed takes the pool with it, and nobody can say which of the items in
    progress it was. So each of these is tried once more alone, and the others continue in a new
    pool.

    Parameters
    ----------
    work
        What is done with an item; it and its results can be pickled.
    items
        The items.
    n_workers
        Number of processes, at least 1.
    prepare
        Called once in every process.

    Raises
    ------
    Exception
        What `work` raises.
    """
    waiting = deque(items)
    while waiting:
        suspects: list[Item] = []
        yield from _work_in_pool(work, waiting, suspects, n_workers, prepare)
        for item in suspects:
            yield _work_alone(work, item, prepare)


def _work_in_pool(
    work: Callable[[Item], Result],
    waiting: deque[Item],
    suspects: list[Item],
    n_workers: int,
    prepare: Callable[[], None],
) -> Iterator[Result]:
    """Results until nothing waits, or a process is killed: then `suspects` were in progress."""
    running: dict[Future[Result], Item] = {}
    with ProcessPoolExecutor(n_workers, mp_context=_CONTEXT, initializer=prepare) as pool:
        try:
            while waiting or running:
                # No more than there are processes: each item in the pool is then in progress.
                while waiting and len(running) < n_workers:
                    item = waiting.popleft()
                    try:
                        running[pool.submit(work, item)] = item
                    except BrokenProcessPool:
                        waiting.appendleft(item)
                        raise
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for job in done:
                    result = job.result()
                    del running[job]
                    yield result
        except BrokenProcessPool:
            suspects.extend(running.values())


def _work_alone(
    work: Callable[[Item], Result], item: Item, prepare: Callable[[], None]
) -> Result | Killed[Item]:
    """Result of one item in a process of its own."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_send, args=(work, item, prepare, sender), daemon=True)
    process.start()
    sender.close()
    result: Result
    error: BaseException | None
    try:
        result, error = receiver.recv()
    except EOFError:
        process.join()
        return Killed(item, int(process.exitcode or 0))
    process.join()
    if error is not None:
        raise error
    return result


def _send(
    work: Callable[[Any], Any], item: Any, prepare: Callable[[], None], sender: Connection
) -> None:
    """Send the result of an item, or the error that it raised, and end."""
    prepare()
    try:
        answer: tuple[Any, BaseException | None] = work(item), None
    except BaseException as error:  # noqa: BLE001  raised by the process that receives it
        answer = None, error
    sender.send(answer)
    sender.close()
