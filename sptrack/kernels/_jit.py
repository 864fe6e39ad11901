"""Compilation of kernels: decorators that say how, and where machine code is kept (see `_cache`)."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
from numba.core import config, types
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock

from sptrack.kernels._cache import CACHE_FOLDER, KernelCache
from sptrack.kernels._parts import part_library

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
_BORROWING: dict[str, Any] = _OPTIONS | {
    "forceinline": True,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
_TILE: dict[str, Any] = _OPTIONS | {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class _Inlined(Compiler):
    """Compilation of a part of other kernels that LLVM inlines as it sees fit."""

    apart = False

    def define_pipelines(self) -> Any:
        state = self.state
        state.library = part_library(state.targetctx.codegen(), state.func_id.func_qualname, self.apart)
        return super().define_pipelines()  # type: ignore[no-untyped-call]


class _Apart(_Inlined):
    """Compilation of a part that stands apart."""

    apart = True


class _Disjoint(_Inlined):
    """Compilation that tells LLVM of every array argument that no other one reaches what is written to it."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` without the interpreter lock and keep the machine code in `CACHE_FOLDER`.

    Fused multiply-add is the only fast-math licence given ("contract"): NaN, infinities and the order of
    additions keep their meaning.
    """
    return kept(numba.njit(function, **_OPTIONS))


_OBJECTS = 100_000
"""Young objects between two searches for garbage while kernels are compiled."""


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Search for garbage seldom: compilation makes many objects that stay, among which there is little.

    Under the lock of the compiler, so that threads do not take each other's thresholds for the usual ones.
    """
    with global_compiler_lock:
        usual = gc.get_threshold()
        if 0 < usual[0] < _OBJECTS:
            gc.set_threshold(_OBJECTS, *usual[1:])
        try:
            yield
        finally:
            gc.set_threshold(*usual)


def kept(dispatcher: Any) -> Any:
    """The same dispatcher, which keeps its machine code in `CACHE_FOLDER`."""
    if not config.DISABLE_JIT:
        dispatcher.compile = _seldom_collected()(dispatcher.compile)
        if CACHE_FOLDER is not None:
            dispatcher._cache = KernelCache(dispatcher.py_func, CACHE_FOLDER)
    return dispatcher


def inline(function: Callable[..., Any]) -> Any:
    """Compile a small function that only other kernels call (it is cached within its callers).

    It borrows the arrays that it is given: no reference is counted, which would cost more than the work on a
    tile. It cannot make arrays.
    """
    return _one_for_all_constants(numba.njit(function, pipeline_class=_Inlined, **_BORROWING))


def inline_optimised(function: Callable[..., Any]) -> Any:
    """Like `inline`, for formulas of one cell: optimised by itself first, then within its callers.

    Which of its products are fused with a sum, and so how it rounds, does not depend on the loop around it.
    """
    return _one_for_all_constants(numba.njit(function, **_BORROWING))


def tile_function(function: Callable[..., Any]) -> Any:
    """Like `inline`, for a function of some size or with several callers: it is compiled once and called.

    It cannot be called from Python, and returns no array, unless to another function that borrows arrays.
    """
    return _one_for_all_constants(numba.njit(function, pipeline_class=_Apart, **_TILE))


def disjoint_tile(function: Callable[..., Any]) -> Any:
    """Like `tile_function`, for arrays of which none shares memory that is written with another.

    Loops over several arrays vectorise without checks at run time, of which LLVM makes only a few.
    """
    return _one_for_all_constants(numba.njit(function, pipeline_class=_Disjoint, **_TILE))


def _one_for_all_constants(dispatcher: Any) -> Any:
    """The same dispatcher, not compiled anew for every constant that it is called with.

    A call from Python, for which it has no wrapper, is a TypeError.
    """
    if not config.DISABLE_JIT:
        template = dispatcher.get_call_template
        dispatcher.get_call_template = lambda args, kws: template(
            tuple(types.unliteral(one) for one in args),  # type: ignore[no-untyped-call]
            kws,
        )
        dispatcher._insert = lambda *unused, **none: None
        dispatcher._compile_for_args = lambda *args, **kws: _refuse_python(dispatcher)
    return dispatcher


def _refuse_python(dispatcher: Any) -> None:
    raise TypeError(f"{dispatcher.py_func.__name__} is called by kernels only (use its py_func)")


class Direct:
    """A kernel whose caller gives it arguments of the same types at every call.

    Its machine code is looked for at the first call alone: to find it by the types of some dozens of
    arguments takes longer than small kernels run. Types that differ later are not noticed.

    Parameters
    ----------
    kernel : dispatcher
        Made by `kernel`.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel, self._code = kernel, kernel if config.DISABLE_JIT else None

    def __call__(self, *arguments: Any) -> Any:
        """Call the kernel."""
        if self._code is None:
            kinds = tuple(map(numba.typeof, arguments))
            self._kernel.compile(kinds)
            self._code = self._kernel.overloads[kinds].entry_point
        return self._code(*arguments)

    def __reduce__(self) -> Any:
        return Direct, (self._kernel,)
