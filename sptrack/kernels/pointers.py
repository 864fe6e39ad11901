"""Tile functions called by address: kinds as data, each compiled at its first use.

A compiled loop that takes a function's address from its data runs whatever that address says, so one loop
serves all kinds, a kind that is not used is not compiled, and a user's own function is one address more. A
call costs a few nanoseconds, next to nothing on a tile of a few hundred cells.
"""

from typing import Any

import numba
from numba._dispatcher import compute_fingerprint
from numba.core import config, types
from numba.extending import intrinsic

from sptrack.kernels._jit import kept, tile_function

_ADDRESSES: dict[tuple[Any, ...], int] = {}
_FUNCTIONS: dict[int, Any] = {}
"""Compiled functions by address, which live as long as the process; with the jit off by number."""


_type_of: Any = numba.typeof


def _mark(one: Any) -> Any:
    """Key that tells types of values apart, found much faster than the type."""
    if isinstance(one, types.Type):
        return one
    try:
        return compute_fingerprint(one)
    except NotImplementedError:
        return _type_of(one)


def address(function: Any, *arguments: Any, cached: bool = True) -> int:
    """Address of ``function``, compiled for arguments of the types of ``arguments``.

    Parameters
    ----------
    function : callable
        Returns nothing; plain, or made by a decorator of `sptrack.kernels._jit`.
    *arguments
        Values, or numba types.
    cached : bool
        Keep the machine code on disk.
    """
    if config.DISABLE_JIT:
        _FUNCTIONS[id(function)] = function
        return id(function)
    key = (function, *map(_mark, arguments))
    if key not in _ADDRESSES:
        kinds = tuple(one if isinstance(one, types.Type) else _type_of(one) for one in arguments)
        own = function if hasattr(function, "py_func") else tile_function(function)
        dispatcher = kept(own) if cached else own
        dispatcher.compile(types.void(*kinds))
        made = dispatcher.overloads[kinds]
        place = int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))
        _ADDRESSES[key], _FUNCTIONS[place] = place, dispatcher
    return _ADDRESSES[key]


def _python_call(place: int, arguments: tuple[Any, ...]) -> None:
    _FUNCTIONS[place](*arguments)


@intrinsic
def _compiled_call(context: Any, place: Any, arguments: Any) -> Any:
    kinds = tuple(arguments.types)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function = builder.inttoptr(
            values[0], context.call_conv.get_function_type(types.void, kinds).as_pointer()
        )
        given = [builder.extract_value(values[1], k) for k in range(len(kinds))]
        context.call_conv.call_function(builder, function, types.void, kinds, given)
        return context.get_dummy_value()

    return types.void(types.int64, arguments), generate


call: Any = _python_call if config.DISABLE_JIT else _compiled_call
"""``call(address, (arguments))`` in compiled code; the arguments must be of the types given to `address`."""
