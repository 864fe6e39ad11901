"""Functions that only kernels call, as parts of their callers: they become machine code in these alone.

numba optimises every function that it compiles and turns it into machine code, and does both again for the
copies in its callers. The library of a part leaves both to the callers. This rests on methods of numba's code
libraries that are its own affair and may change: `part_library` tries them out once per process, before the
first is compiled, and gives none where they do not do what is needed.
"""

import ctypes
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import codegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import CPUContext

_LIBRARY: Any = getattr(codegen, "JITCodeLibrary", object)


class _NoEnvironment:
    """In place of the code generator while there is no machine code that could look its environment up."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Nothing to set."""


class Part(_LIBRARY):  # type: ignore[misc]
    """Code that is linked into its callers, and optimised and turned into machine code there.

    It becomes machine code of its own only when its address or its object code is asked for.

    Parameters
    ----------
    generator : numba.core.codegen.CPUCodegen
        The code generator.
    name : str
        Of the library.
    apart : bool
        It is called, not inlined: it is optimised once in each kernel, however many its calls.
    """

    def __init__(self, generator: Any, name: str, apart: bool) -> None:
        super().__init__(generator, name)
        self._apart = apart
        self._own = False
        self.enable_object_caching()

    @property
    def codegen(self) -> Any:
        """The code generator, once there is machine code."""
        return super().codegen if self._own else _NoEnvironment

    def add_ir_module(self, ir_module: Any) -> None:
        """Add code, which stays a function of its own if it is to stand apart."""
        if self._apart:
            for one in ir_module.functions:
                if not one.is_declaration and "alwaysinline" not in one.attributes:
                    one.attributes.add("noinline")
        super().add_ir_module(ir_module)

    def _optimize_final_module(self) -> None:
        """Leave it to the callers."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def _make(self) -> None:
        self._ensure_finalized()
        if not self._own:
            self._own = True
            super()._optimize_final_module()
            super()._finalize_final_module()

    def _get_compiled_object(self) -> Any:
        self._make()
        return super()._get_compiled_object()

    def get_pointer_to_function(self, name: str) -> int:
        """Address of a function of this library, 0 if it has none of that name."""
        self._ensure_finalized()
        if all(one.name != name for one in self.get_defined_functions()):
            return 0
        self._make()
        return int(super().get_pointer_to_function(name))


def part_library(generator: Any, name: str, apart: bool) -> Part | None:
    """New library of a part, see `Part`; None where numba's libraries are not as it needs them."""
    return Part(generator, name, apart) if _tried(generator) else None


@cache
def _tried(generator: Any) -> tuple[Any, ...]:
    """The libraries of the trials, which live as long as their code; none where one fails."""
    try:
        with global_compiler_lock:
            trials = [_trial(generator, apart) for apart in (False, True)]
    except Exception:  # whatever methods raise that are gone, or that take or do something else
        return ()
    return tuple(trials) if all(trials) else ()


def _trial(generator: Any, apart: bool) -> tuple[Any, ...]:
    """The libraries of a part and of its caller, none unless all of this works.

    The part runs in its caller without machine code of its own; its object code is there to be kept; it runs
    by its address; numba finds the code generator, to set an environment, through the library.
    """
    if not {"codegen", "set_env"} <= set(CPUContext.get_executable.__code__.co_names):
        return ()
    name = f"sptrack_trial_{'apart' if apart else 'inlined'}"
    part, caller = Part(generator, name, apart), generator.create_library(f"{name}_caller")
    whole = ir.IntType(64)
    kind = ir.FunctionType(whole, [whole])
    module = part.create_ir_module(name)
    builder = ir.IRBuilder(ir.Function(module, kind, name).append_basic_block())
    builder.ret(builder.add(builder.function.args[0], whole(1)))
    part.add_ir_module(module)
    module = caller.create_ir_module(caller.name)
    function = ir.Function(module, kind, caller.name)
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.call(ir.Function(module, kind, name), [builder.mul(function.args[0], whole(2))]))
    caller.add_ir_module(module)
    caller.add_linking_library(part)
    run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    right = run(caller.get_pointer_to_function(caller.name))(20) == 41
    right &= part.get_pointer_to_function(caller.name) == 0 and not part._compiled
    right &= bool(part.serialize_using_object_code()[2][0]) and part._compiled
    right &= run(part.get_pointer_to_function(name))(20) == 21
    return (part, caller) if right else ()
