"""Compilation of kernels: one decorator, one cache folder keyed by the kernel sources.

Numba's on-disk cache notices an edit in the file of a function, but not in the files it calls into. The cache
folder is therefore named by a hash of all kernel sources: edit one, and every kernel is compiled anew.
"""

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config, types
from numba.core.compiler import Compiler


def _cache_folder() -> Path:
    """Cache folder of this version of the kernels: below SPTRACK_CACHE_DIR, else the user's cache folder."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    root = os.environ.get("SPTRACK_CACHE_DIR")
    base = Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sptrack"
    return base / f"kernels-{digest.hexdigest()[:16]}"


CACHE_FOLDER = _cache_folder()

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
_BORROWING: dict[str, Any] = _OPTIONS | {"forceinline": True, "_nrt": False}
_TILE: dict[str, Any] = _OPTIONS | {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _cacheable() -> bool:
    try:
        CACHE_FOLDER.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(CACHE_FOLDER, os.W_OK)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` without the interpreter lock and keep the machine code in `CACHE_FOLDER`.

    Fused multiply-add is the only fast-math licence given ("contract"): NaN, infinities and the order of
    additions keep their meaning. Where the folder cannot be written, the function is compiled at every start.
    """
    dispatcher = numba.njit(function, **_OPTIONS)
    if not config.DISABLE_JIT and _cacheable():
        outer, config.CACHE_DIR = config.CACHE_DIR, str(CACHE_FOLDER)
        try:
            dispatcher.enable_caching()
        finally:
            config.CACHE_DIR = outer
    return dispatcher


def inline(function: Callable[..., Any]) -> Any:
    """Compile a small function that only other kernels call (it is cached within its callers).

    It borrows the arrays that it is given: no reference is counted, which would cost more than the work on a
    tile. It cannot make arrays.
    """
    return _one_for_all_constants(numba.njit(function, **_BORROWING))


def tile_function(function: Callable[..., Any]) -> Any:
    """Like `inline`, for a function of some size or with several callers: it is compiled once and called.

    It cannot be called from Python.
    """
    return _one_for_all_constants(numba.njit(function, **_TILE))


class _Disjoint(Compiler):
    """Compilation that tells LLVM of every array argument that no other one reaches what is written to it."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()  # type: ignore[no-untyped-call]


def disjoint_tile(function: Callable[..., Any]) -> Any:
    """Like `tile_function`, for arrays of which none shares memory that is written with another.

    Loops over several arrays vectorise without checks at run time, of which LLVM makes only a few.
    """
    return _one_for_all_constants(numba.njit(function, pipeline_class=_Disjoint, **_TILE))


def _one_for_all_constants(dispatcher: Any) -> Any:
    """The same dispatcher, not compiled anew for every constant that it is called with."""
    if not config.DISABLE_JIT:
        template = dispatcher.get_call_template
        dispatcher.get_call_template = lambda args, kws: template(
            tuple(types.unliteral(one) for one in args),  # type: ignore[no-untyped-call]
            kws,
        )
    return dispatcher


def allocating(function: Callable[..., Any]) -> Any:
    """Like `inline`, for a function that makes arrays."""
    return numba.njit(function, forceinline=True, **_OPTIONS)


@cache
def uncached(dispatcher: Any) -> Any:
    """The twin of a kernel that is never written to disk: for laws that exist in this process only."""
    return dispatcher if config.DISABLE_JIT else numba.njit(dispatcher.py_func, **_OPTIONS)
