"""Compilation of kernels: decorators that say how, and where machine code is kept (see `_cache`)."""

from collections.abc import Callable
from typing import Any

import numba
from numba.core import config, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from sptrack.kernels._cache import CACHE_FOLDER, KernelCache

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
_BORROWING: dict[str, Any] = _OPTIONS | {
    "forceinline": True,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
_TILE: dict[str, Any] = _OPTIONS | {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class _NoEnvironment:
    """In place of the code generator while there is no machine code that could look its environment up."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Nothing to set."""


class _Part(JITCodeLibrary):
    """Code that is linked into its callers, and optimised and turned into machine code there.

    It becomes machine code of its own only when its address or its object code is asked for. One that stands
    ``apart`` is called, not inlined: it is optimised once in each kernel, however many its calls.
    """

    apart = False
    _own = False

    @property
    def codegen(self) -> Any:
        """The code generator, once there is machine code."""
        return super().codegen if self._own else _NoEnvironment

    def add_llvm_module(self, ll_module: Any) -> None:
        """Add code, which stays a function of its own if it is to stand apart."""
        if self.apart:
            for one in ll_module.functions:
                if not one.is_declaration and b"alwaysinline" not in b" ".join(one.attributes):
                    one.add_function_attribute("noinline")
        super().add_llvm_module(ll_module)  # type: ignore[no-untyped-call]

    def _optimize_final_module(self) -> None:
        """Leave it to the callers."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True

    def _make(self) -> None:
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        if not self._own:
            self._own = True
            super()._optimize_final_module()  # type: ignore[no-untyped-call]
            super()._finalize_final_module()  # type: ignore[no-untyped-call]

    def _get_compiled_object(self) -> Any:
        self._make()
        return super()._get_compiled_object()  # type: ignore[no-untyped-call]

    def get_pointer_to_function(self, name: str) -> int:
        """Address of a function of this library, 0 if it has none of that name."""
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        if all(one.name != name for one in self.get_defined_functions()):  # type: ignore[no-untyped-call]
            return 0
        self._make()
        return int(super().get_pointer_to_function(name))  # type: ignore[no-untyped-call]


class _Inlined(Compiler):
    """Compilation of a `_Part` that LLVM inlines as it sees fit."""

    def define_pipelines(self) -> Any:
        generator = self.state.targetctx.codegen()
        self.state.library = _Part(generator, self.state.func_id.func_qualname)  # type: ignore[no-untyped-call]
        self.state.library.enable_object_caching()
        return super().define_pipelines()  # type: ignore[no-untyped-call]


class _Apart(_Inlined):
    """Compilation of a `_Part` that stands apart."""

    def define_pipelines(self) -> Any:
        made = super().define_pipelines()
        self.state.library.apart = True
        return made


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


def kept(dispatcher: Any) -> Any:
    """The same dispatcher, which keeps its machine code in `CACHE_FOLDER`."""
    if CACHE_FOLDER is not None and not config.DISABLE_JIT:
        dispatcher._cache = KernelCache(dispatcher.py_func, CACHE_FOLDER)
    return dispatcher


def inline(function: Callable[..., Any]) -> Any:
    """Compile a small function that only other kernels call (it is cached within its callers).

    It borrows the arrays that it is given: no reference is counted, which would cost more than the work on a
    tile. It cannot make arrays.
    """
    return _one_for_all_constants(numba.njit(function, pipeline_class=_Inlined, **_BORROWING))


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
