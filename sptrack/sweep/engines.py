"""Engines: who computes the cells. They take tasks and tell which are over; results go through files."""

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event
from threading import Thread
from typing import Any, NamedTuple, Protocol

from sptrack.crossbar.threads import thread_count
from sptrack.errors import SptrackError, one_line
from sptrack.sweep.cells import one_thread, stay_in_one_thread

THREADS = (
    *("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)
"""Variables that keep a worker process to one thread; numba's is the one that dask does not set."""
DEATHS = 2
"""Deaths of workers at which a cell was under way, after which it is computed alone."""
DIED = "the worker process died; too little memory?"
NEVER_BEGAN = (
    "worker processes end before they begin: a script that starts them must do so under "
    "if __name__ == '__main__':, and every process needs memory for the modules"
)


class Task(NamedTuple):
    """A cell as engines see it: its hash, and a function that writes its result, with its arguments.

    Functions and arguments are pickled; the first argument tells where the result goes.
    """

    key: str
    function: Callable[..., object]
    arguments: tuple[Any, ...]


class Over(NamedTuple):
    """A task that is over: written, or why not (nothing is written then, and a later run tries again)."""

    key: str
    error: str = ""


WarmUp = Callable[[], None]


class Engine(Protocol):
    """Computes tasks in any order.

    `run` calls ``warm_up`` once per machine before the workers start, yields an `Over` per task, keeps a
    bounded number of tasks under way, and ends its workers when it is closed.
    """

    def run(self, tasks: Sequence[Task], warm_up: WarmUp) -> Iterator[Over]:
        """Compute the tasks."""
        ...


class Serial:
    """One cell after the other in this process."""

    def run(self, tasks: Sequence[Task], warm_up: WarmUp) -> Iterator[Over]:
        """Compute the tasks, see `Engine`."""
        with one_thread():
            for task in tasks:
                yield attempt(task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """Processes of this machine.

    Parameters
    ----------
    workers : int or None
        Number of processes; None: one per processor.

    Raises
    ------
    ParameterError
        If ``workers`` is below 1.
    """

    workers: int | None = None

    def __post_init__(self) -> None:
        thread_count(self.workers)

    def run(self, tasks: Sequence[Task], warm_up: WarmUp) -> Iterator[Over]:
        """Compute the tasks, see `Engine`.

        When a worker dies, the pool is made anew and what was under way is tried again; a cell at which
        workers die three times, the last time alone, is given up.

        Raises
        ------
        SptrackError
            Workers end before they begin, as where a script starts them while it is imported.
        """
        warm_up()
        waiting, alone = deque(tasks), deque[Task]()
        deaths: Counter[str] = Counter()
        with environment_of_workers():
            while waiting or alone:
                queue, count = (waiting, thread_count(self.workers)) if waiting else (alone, 1)
                lost = yield from _until_a_death(queue, count)
                for task in lost:
                    deaths[task.key] += 1
                    if queue is alone:
                        yield Over(task.key, DIED)
                    else:
                        (alone if deaths[task.key] >= DEATHS else waiting).append(task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dask:
    """A cluster of dask.distributed whose workers see the folder of the sweep under the same path.

    Client and scheduler spend about 8.5 ms of one processor per cell (10,000 cells, both in one process on a
    2-core x86-64 machine): they keep 1000 workers busy with cells of 8.5 s or longer. Job arrays, whose jobs
    share nothing but the folder, have no such limit.

    Parameters
    ----------
    address : str or None
        Address of its scheduler; None: a cluster of this machine, made for the sweep.
    workers : int or None
        Worker processes of the cluster of this machine; None: one per processor.
    announce : callable or None
        Called with the address of the dashboard.

    Raises
    ------
    ParameterError
        If ``workers`` is below 1.
    """

    address: str | None = None
    workers: int | None = None
    announce: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        thread_count(self.workers)

    def run(self, tasks: Sequence[Task], warm_up: WarmUp) -> Iterator[Over]:
        """Compute the tasks, see `Engine`.

        Raises
        ------
        SptrackError
            No scheduler at the address or no worker, workers without this version of sptrack, a scheduler
            that is lost.
        """
        from sptrack.sweep._dask import cluster, run_on

        if self.address is None:
            warm_up()
        with environment_of_workers(), cluster(self.address, thread_count(self.workers)) as client:
            if self.announce is not None:
                self.announce(client.dashboard_link)
            yield from run_on(client, tasks, warm_up if self.address is not None else None)


def attempt(task: Task) -> Over:
    """Compute a task here; whatever but an interrupt or an exit goes wrong is told."""
    try:
        task.function(*task.arguments)
    except Exception as error:
        return Over(task.key, one_line(f"{type(error).__name__}: {error}"))
    return Over(task.key)


def attempt_in_worker(task: Task) -> Over:
    """`attempt` in a process that stays in one thread."""
    stay_in_one_thread()
    return attempt(task)


@contextmanager
def environment_of_workers() -> Iterator[None]:
    """Variables for the processes that are started meanwhile: one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _until_a_death(queue: deque[Task], count: int) -> Generator[Over, None, list[Task]]:
    """Compute the queue in ``count`` processes until it is empty or one of them dies.

    Returns
    -------
    list of Task
        What was under way at a death, taken from the queue.
    """
    context: BaseContext = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    begun = context.Event()
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin_worker, initargs=(begun,))
    under_way: dict[Future[Over], Task] = {}
    lost: list[Task] = []
    try:
        while (queue or under_way) and not lost:
            try:
                while queue and len(under_way) < count + (count > 1):
                    under_way[pool.submit(attempt_in_worker, queue[0])] = queue[0]
                    queue.popleft()
            except BrokenProcessPool:
                pass
            finished, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in finished:
                task = under_way.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    lost.append(task)
                else:
                    yield future.result()
        if lost and not begun.is_set():
            raise SptrackError(NEVER_BEGAN)
        if lost:
            wait(under_way)
            for future, task in under_way.items():
                if future.exception() is None:
                    yield future.result()
                else:
                    lost.append(task)
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return lost


def _begin_worker(begun: Event) -> None:
    """Leave interrupts to the parent, and end when it ends."""
    begun.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
