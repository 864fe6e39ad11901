"""What one thread of this machine can do at most: multiply-adds for arithmetic, a copy for memory."""

import time
from collections.abc import Callable
from functools import cache

import numba
import numpy as np

_FLOATS = 1024
_ROUNDS = 200_000
_CHAIN = 8
_BYTES = 1 << 23


@numba.njit(fastmath={"contract"}, nogil=True)
def _multiply_add(x, factor, term, rounds):
    for _ in range(rounds):
        for i in range(x.shape[0]):
            value = x[i]
            for _ in range(_CHAIN):
                value = value * factor + term
            x[i] = value


@numba.njit(nogil=True)
def _copy(source, target, rounds):
    for _ in range(rounds):
        for i in range(source.shape[0]):
            target[i] = source[i]
        source, target = target, source


def best_time(work: Callable[[], object], repeats: int = 5) -> tuple[float, float]:
    """Shortest time of one call in seconds, and by what share the longest one was longer."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times), max(times) / min(times) - 1.0


@cache
def multiply_adds_per_second(repeats: int = 5) -> float:
    """Rate of float32 multiply-adds on data in the first cache."""
    x = np.ones(_FLOATS, np.float32)
    factor, term = np.float32(0.999), np.float32(0.001)
    _multiply_add(x, factor, term, 1)
    seconds, _ = best_time(lambda: _multiply_add(x, factor, term, _ROUNDS), repeats)
    return _FLOATS * _ROUNDS * _CHAIN / seconds


@cache
def copied_bytes_per_second(repeats: int = 5) -> float:
    """Bytes read plus bytes written per second by a copy of 8 MiB (512 x 512 cells take 7)."""
    source, target = np.ones((2, _BYTES // 4), np.float32)
    _copy(source, target, 1)
    seconds, _ = best_time(lambda: _copy(source, target, 20), repeats)
    return 20 * 2 * _BYTES / seconds


CEILINGS = {
    "multiply-adds": multiply_adds_per_second,
    "bytes": copied_bytes_per_second,
}
