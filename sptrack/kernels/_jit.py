"""Compilation of kernels: decorators that say how, and where machine code is kept (see `_cache`)."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
from numba.core import config

from sptrack.kernels._cache import CACHE_FOLDER, KernelCache

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
_BORROWING: dict[str, Any] = _OPTIONS | {"forceinline": True, "_nrt": False}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` without the interpreter lock and keep the machine code in `CACHE_FOLDER`.

    Fused multiply-add is the only fast-math licence given ("contract"): NaN, infinities and the order of
    additions keep their meaning.
    """
    dispatcher = numba.njit(function, **_OPTIONS)
    if CACHE_FOLDER is not None and not config.DISABLE_JIT:
        dispatcher._cache = KernelCache(function, CACHE_FOLDER)
    return dispatcher


def inline(function: Callable[..., Any]) -> Any:
    """Compile a small function that only other kernels call (it is cached within its callers).

    It borrows the arrays that it is given: no reference is counted, which would cost more than the work on a
    tile. It cannot make arrays.
    """
    return numba.njit(function, **_BORROWING)


def allocating(function: Callable[..., Any]) -> Any:
    """Like `inline`, for a function that makes arrays."""
    return numba.njit(function, forceinline=True, **_OPTIONS)


@cache
def uncached(dispatcher: Any) -> Any:
    """The twin of a kernel that is never written to disk: for laws that exist in this process only."""
    return dispatcher if config.DISABLE_JIT else numba.njit(dispatcher.py_func, **_OPTIONS)
