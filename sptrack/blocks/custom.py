"""A filter of one's own: a function of memory and sample, compiled into the loop like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numba.core.errors import NumbaError
from numpy.typing import ArrayLike, NDArray

from sptrack.blocks.block import Array, Block, LinearBlock
from sptrack.errors import ParameterError, one_line
from sptrack.kernels.stages import Stage, custom_step, pack
from sptrack.values import check_whole, real_array

_LONGEST = 300
"""Characters of a compiler's message that are shown."""
_tile_function = lru_cache(maxsize=None)(custom_step)


def _check_number(name: str, value: Any) -> None:
    """Refuse what is no finite number (ParameterError)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ParameterError(f"{name} must be a number, got {value!r}")
    if not np.isfinite(value):
        raise ParameterError(f"{name} must be finite, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CustomFilter(LinearBlock):
    """A filter made of a user's function, which closes the loop as any other filter does.

    Parameters
    ----------
    update : callable
        ``update(memory, x, *parameters) -> y``: the output for one sample of one cell. ``memory`` [rows] is
        the cell's own, zeros at first, and is changed in place; all numbers are float64. Python that Numba
        compiles; it must be pure, with no effect outside ``memory``.
    rows : int
        Numbers remembered per cell, at least 1.
    parameters : mapping of str to float
        Numbers passed to ``update``, in order.
    response : callable or None
        ``response(omega) -> complex gain`` at omega [...] in rad per sample, for predictions. None: the
        filter is not linear, or its response is not known.

    Raises
    ------
    ParameterError
        A function that does not compile or whose output for zeros is not a finite number; rows below 1; a
        parameter that is not finite.
    """

    update: Callable[..., float]
    rows: int = 1
    parameters: Mapping[str, float] = field(default_factory=dict)
    response: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_whole("rows", self.rows, 1)
        functions: dict[str, Any] = {"update": self.update, "response": self.response or abs}
        for name, function in functions.items():
            if not callable(function):
                raise ParameterError(f"{name} must be a function, got {function!r}")
        for name, value in self.parameters.items():
            _check_number(f"parameter {name}", value)
        try:
            found = self.update(np.zeros(self.rows), 0.0, *self._numbers)
        except Exception as error:
            raise ParameterError(f"update fails on zeros: {one_line(error)}") from error
        if not (np.isscalar(found) and np.isreal(found) and np.isfinite(found)):
            raise ParameterError(f"update must return a finite number, got {one_line(repr(found))} for zeros")
        try:
            pack(self.stages((1,)))
        except NumbaError as error:
            raise ParameterError(f"update does not compile: {one_line(error)[:_LONGEST]}") from error

    @property
    def _numbers(self) -> tuple[float, ...]:
        return tuple(float(value) for value in self.parameters.values())

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        step = _tile_function(self.update, len(self.parameters))
        return (Stage(step, self.rows, self._numbers, own=True),)

    @property
    def settled(self) -> LinearBlock:
        """The block itself (ParameterError without a response)."""
        if self.response is None:
            raise ParameterError(f"{self} has no frequency response: pass response=")
        return self

    def initial_memory(self, initial: Array) -> Array:
        """Zeros."""
        return np.zeros((self.rows, *initial.shape))

    def frequency_response(self, omega: ArrayLike) -> NDArray[np.complex128]:
        """Complex gain at ``omega`` (rad per sample), of its shape: the user's ``response``."""
        if self.response is None:
            raise ParameterError(f"{self} has no frequency response: pass response=")
        at = real_array(omega, "omega")
        gain = np.asarray(self.response(at), np.complex128)
        if gain.shape not in ((), at.shape):
            raise ParameterError(
                f"response must have the shape of omega, {list(at.shape)}, got {list(gain.shape)}"
            )
        return np.array(np.broadcast_to(gain, at.shape))

    def label(self) -> str:
        """Name of the function and parameters."""
        settings = "".join(f", {name}={value:g}" for name, value in self.parameters.items())
        return f"CustomFilter({self.update.__name__}{settings})"
