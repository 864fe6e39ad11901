"""Work on all processors: kernels release the interpreter lock, so threads do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_threads", "processors"]

T = TypeVar("T")
R = TypeVar("R")


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results of a function of items, in their order; an error or interrupt drops what has not begun."""
    listed = list(items)
    if len(listed) < 2:
        yield from map(function, listed)
        return
    pool = ThreadPoolExecutor(min(processors(), len(listed)))
    try:
        for future in [pool.submit(function, item) for item in listed]:
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
