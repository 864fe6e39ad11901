"""Tasks of a sweep on dask.distributed. Only `sptrack.sweep.engines` imports it."""

import hashlib
import logging
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed

import sptrack
from sptrack.errors import SptrackError, one_line
from sptrack.sweep.engines import DIED, THREADS, Over, Task, WarmUp, attempt_in_worker

_CONNECT = 10
_WORKERS = 60
"""Seconds that a scheduler has to answer, and to have a worker."""
_AHEAD = 32
"""Tasks under way per thread of the cluster: enough for the workers never to wait, few for the scheduler."""


@contextmanager
def cluster(address: str | None, workers: int) -> Iterator[Client]:
    """Client of the scheduler at an address, or of a cluster that is made for it."""
    with dask.config.set(_settings()), _quiet():
        if address is not None:
            with _client(address) as client:
                yield client
            return
        made = LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
        )
        with made, Client(made) as client:
            yield client


def run_on(client: Client, tasks: Sequence[Task], warm_up: WarmUp | None) -> Iterator[Over]:
    """Compute tasks on a cluster, a window of them at a time; ``warm_up`` is called once per host."""
    try:
        _prepare(client, warm_up)
        waiting = iter(tasks)
        window = _AHEAD * max(1, sum(client.nthreads().values()))
        names: dict[str, str] = {}
        over = as_completed(raise_errors=False)
        _submit(client, over, names, waiting, window)
        for future in over:
            yield _outcome(future, names.pop(future.key))
            del future
            _submit(client, over, names, waiting, window)
    except (OSError, TimeoutError, CancelledError) as error:
        raise SptrackError(
            f"scheduler {_address(client)} is lost ({one_line(error) or type(error).__name__}): "
            "what is written stays; run the same command again"
        ) from error


def _submit(client: Client, over: Any, names: dict[str, str], waiting: Iterator[Task], window: int) -> None:
    """Fill the window. The name of a task tells its sweep, so that two of them share no results."""
    while len(names) < window:
        task = next(waiting, None)
        if task is None:
            return
        home = hashlib.sha256(task.arguments[0].encode()).hexdigest()[:8]
        name = f"sptrack-{task.key}-{home}"
        names[name] = task.key
        over.add(client.submit(attempt_in_worker, task, key=name, pure=False))


def _outcome(future: Future, key: str) -> Over:
    if future.status == "finished":
        told: Over = future.result()
        return told
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Over(key, DIED)
    if future.status == "error":
        return Over(key, one_line(f"{type(error).__name__}: {error}"))
    raise CancelledError(f"a task is {future.status}")


def _prepare(client: Client, warm_up: WarmUp | None) -> None:
    """Wait for a worker, compare versions, compile on every host."""
    try:
        client.wait_for_workers(1, timeout=_WORKERS)
    except TimeoutError as error:
        raise SptrackError(
            f"scheduler {_address(client)} must have a worker, got none in {_WORKERS} s"
        ) from error
    try:
        told = client.run(_identity)
    except ImportError as error:
        raise SptrackError(
            f"workers of {_address(client)} must have sptrack[sweep]: {one_line(error)}"
        ) from error
    hosts = {}
    for worker, (version, host) in told.items():
        if version != sptrack.__version__:
            raise SptrackError(
                f"worker {worker} must have sptrack {sptrack.__version__}, got {version}: install "
                "the same there"
            )
        hosts[host] = worker
    if warm_up is not None:
        client.run(warm_up, workers=list(hosts.values()))


def _identity() -> tuple[str, str]:
    return sptrack.__version__, socket.gethostname()


def _client(address: str) -> Client:
    try:
        return Client(address, timeout=_CONNECT)
    except (OSError, TimeoutError, ValueError) as error:
        raise SptrackError(f"scheduler {address} does not answer: {one_line(error)}") from error


def _address(client: Client) -> str:
    return str(client.scheduler.address if client.scheduler is not None else "of the sweep")


def _settings() -> dict[str, Any]:
    """One thread per worker whatever the user's settings, and little patience with a lost scheduler."""
    return {
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(THREADS, 1),
        "distributed.comm.timeouts.connect": f"{_CONNECT}s",
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """No logs of dask meanwhile: what matters in them is told as an error."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
