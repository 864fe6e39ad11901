"""Kernels over blocks of cells in a few threads: same bytes for any number of them."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from sptrack.values import check_whole

_BLOCK = 4096
_BLOCKS_PER_THREAD = 4


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sptrack")


# threads do not survive a fork: a child makes its own
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def thread_count(threads: int | None) -> int:
    """Number of threads to use: the given one, or one per processor that this process may use.

    Raises
    ------
    ParameterError
        If ``threads`` is below 1.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    check_whole("threads", threads, 1)
    return threads


def over_blocks(
    work: Callable[[tuple[int, int]], None], count: int, threads: int, block: int = _BLOCK
) -> None:
    """Call ``work((first, last))`` for ranges that cover 0 .. count - 1, cut at multiples of ``block``."""
    blocks = -(-count // block)
    parts = min(blocks, threads * _BLOCKS_PER_THREAD)
    if threads == 1 or parts <= 1:
        work((0, count))
        return
    edges = [min(count, (blocks * k // parts) * block) for k in range(parts)] + [count]
    list(_pool(threads).map(work, zip(edges[:-1], edges[1:], strict=True)))
