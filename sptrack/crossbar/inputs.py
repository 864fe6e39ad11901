"""Arguments checked and laid out for the kernels: pulse programs, arrays over cells, vectors."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.errors import ParameterError
from sptrack.kernels import pulses
from sptrack.values import check_choice, check_whole, real_array

Array = NDArray[Any]

PROGRAMS = ("up", "down", "alternating", "random")
CHUNK = 4096
"""Most pulses of one part of a program."""


def named(program: str, number: int, sent: int) -> tuple[int, Array]:
    """Source and directions [number, 1] of a named program, of which ``sent`` pulses are out already."""
    source = pulses.COIN if program == "random" else pulses.SHARED
    directions = np.full((number, 1), -1 if program == "down" else 1, np.int8)
    if program == "alternating":
        directions[(1 - sent) % 2 :: 2] = -1
    return source, directions


def explicit(program: Array, shape: tuple[int, int]) -> tuple[int, Array]:
    """Source and directions [count, 1 or cells] of a program given as an array [count] or [count, R, C].

    Raises
    ------
    ParameterError
        If the shape does not fit, or a direction is not +1, -1 or 0.
    """
    if program.ndim not in (1, 3) or (program.ndim == 3 and program.shape[1:] != shape):
        raise ParameterError(
            f"program must have shape (n,) or (n, {shape[0]}, {shape[1]}), got {program.shape}"
        )
    if program.dtype.kind == "b":
        raise ParameterError("program must hold only +1, -1 and 0, got truth values: say 2 * up - 1")
    wrong = ~np.isin(program, (-1, 0, 1))
    if wrong.any():
        raise ParameterError(f"program must hold only +1, -1 and 0, got {program[wrong].ravel()[0]}")
    table = np.array(program, np.int8, order="C")
    if program.ndim == 1:
        return pulses.SHARED, table.reshape(len(table), 1)
    return pulses.PER_CELL, table.reshape(len(table), shape[0] * shape[1])


def cut_program(
    program: str | Array, count: int | None, shape: tuple[int, int], clock: dict[str, int], chunk: int = CHUNK
) -> Iterator[tuple[int, Array, int]]:
    """Cut a program into (source, directions, number) of at most ``chunk`` pulses each.

    ``clock["alternation"]`` counts the pulses of the alternating program and is moved on.

    Raises
    ------
    ParameterError
        An unknown program, a count that is missing, negative or not the directions', and as `explicit`.
    """
    if not isinstance(program, str):
        source, table = explicit(real_array(program, "program", None), shape)
        if count not in (None, len(table)):
            raise ParameterError(f"count = {count}: the program holds {len(table)} pulses")
        for start in range(0, len(table), chunk):
            part = table[start : start + chunk]
            yield source, part, len(part)
        return
    check_choice("program", program, PROGRAMS)
    total = pulse_count(count)
    for start in range(0, total, chunk):
        number = min(chunk, total - start)
        source, directions = named(program, number, clock["alternation"])
        clock["alternation"] += number if program == "alternating" else 0
        yield source, directions, number


def pulse_count(count: Any) -> int:
    """A number of pulses as Python's integer (ParameterError if it is no whole number from 0)."""
    check_whole("count", count)
    return int(count)


def over_cells(values: ArrayLike, name: str, shape: tuple[int, int]) -> Array:
    """``values`` broadcast to ``shape``, float64, contiguous and writable as kernels take it.

    A copy only where ``values`` are not so already.

    Raises
    ------
    ParameterError
        If a value is not finite or the shape does not broadcast.
    """
    array = real_array(values, name)
    if not math.isfinite(largest_size(array)):
        raise ParameterError(f"{name} must be finite, got NaN or infinity")
    if array.shape != shape:
        try:
            array = np.broadcast_to(array, shape)
        except ValueError as error:
            raise ParameterError(f"{name} must have shape {shape}, got {array.shape}") from error
    return np.require(array, np.float64, ("C", "A", "W"))


def largest_size(array: Array) -> float:
    """Largest magnitude, NaN if there is one, 0 of none; no array is made."""
    return float(max(array.max(), -array.min())) if array.size else 0.0


def vector(values: ArrayLike, name: str, length: int) -> Array:
    """``values`` as a float32 vector.

    Raises
    ------
    ParameterError
        If the length differs or a value is not finite.
    """
    with np.errstate(over="ignore"):  # it is infinity then
        array = np.array(real_array(values, name, np.float32))
    if array.shape != (length,) or not np.isfinite(array).all():
        raise ParameterError(f"{name} must be {length} finite numbers, got shape {array.shape}")
    return array
