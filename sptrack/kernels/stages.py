"""Stages of a signal chain as data, and the tile functions that run them sample by sample.

A chain is an array of codes, one row a stage, and a pool of numbers that they point into, so that one
compiled loop runs every chain: the code holds the address of the stage's tile function
(`sptrack.kernels.pointers`). Whatever the precision of the samples, numbers and memory are float64.

A tile function ``f(code, number, sign, memory, x, flip, at)`` with ``k, start, rows, n, place = at`` replaces
the samples ``x`` [rows, >= n] of n cells, the first of which is sample ``k``, by its outputs, and keeps what
it must remember in its rows of ``memory`` [slots, >= n]. ``start`` is the number of the tile's first cell;
``flip`` [rows, >= n] (int8) marks samples before which the chopper of the cell has flipped. Row ``place`` of
``sign`` is that of the sample before; cell i belongs to group (start + i) modulo the number of groups.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, tile_function
from sptrack.kernels.pointers import address, call

Array = NDArray[Any]

STEP, ROW, ROWS, FIRST, COUNT, LENGTH, SIGN, GROUPS, ONE_POLE = range(9)
"""Columns of a code: address of the tile function, first row and rows of memory, first number, stages or
sections or taps or samples held, samples of a boxcar, first column and number of groups of the signs, whether
the stage is one low-pass of one pole."""

FLUSH_EVERY = 8
_TINY = 1e-250
"""Memory below this becomes zero at every 8th sample: decaying tails do not become subnormal numbers, which
slow a processor down."""

_five: Any = types.UniTuple
_TYPES: tuple[Any, ...] = (
    types.int64[::1],
    types.float64[::1],
    types.int8[:, ::1],
    types.float64[:, ::1],
    types.float64[:, ::1],
    types.int8[:, ::1],
    _five(types.int64, 5),
)
"""Types of the arguments of a tile function."""


class Stage(NamedTuple):
    """One stage: its tile function, rows of memory, numbers, whole numbers (see `ROW` and so on).

    ``signs``: ``signs(first, count)`` gives the signs [count, groups] (int8) of a chopper that the stage
    follows. ``own``: the tile function is a user's, whose machine code lives in this process only.
    ``one_pole``: the stage is one low-pass of one pole, which a chain without other stages runs straight from
    its samples to its outputs.
    """

    step: Callable[..., None]
    rows: int
    numbers: tuple[float, ...] = ()
    repeats: int = 0
    length: int = 0
    signs: Callable[[int, int], Array] | None = None
    own: bool = False
    one_pole: bool = False


class Stages(NamedTuple):
    """A chain: ``code`` [stages, 9] (int64), ``number`` (float64), ``sign`` [samples + 1, groups] (int8).

    Row 0 of the signs is that of the sample before the first.
    """

    code: Array
    number: Array
    sign: Array


def pack(stages: Sequence[Stage], first: int = 0, count: int = 0) -> Stages:
    """Stages as the compiled loop of this process takes them, for ``count`` samples from ``first`` on."""
    code, numbers = np.zeros((len(stages), ONE_POLE + 1), np.int64), [0.0]
    signs = [np.zeros((count + 1, 0), np.int8)]
    row = column = 0
    for line, stage in zip(code, stages, strict=True):
        place = address(stage.step, *_TYPES, cached=not stage.own)
        line[[STEP, ROW, ROWS, FIRST]] = place, row, stage.rows, len(numbers)
        line[[COUNT, LENGTH, ONE_POLE]] = stage.repeats, stage.length, stage.one_pole
        numbers.extend(stage.numbers)
        if stage.signs is not None:
            found = stage.signs(max(first - 1, 0), count + min(first, 1))
            found = found if first > 0 else np.concatenate([found[:1], found])
            signs.append(found[: count + 1])
            line[[SIGN, GROUPS]] = column, found.shape[1]
            column += found.shape[1]
        row += stage.rows
    return Stages(code, np.array(numbers, np.float64), np.concatenate(signs, axis=1))


def slots(stages: Sequence[Stage]) -> int:
    """Rows of memory of all stages."""
    return sum(stage.rows for stage in stages)


def custom_step(step: Callable[..., float], numbers: int) -> Callable[..., None]:
    """Tile function of a user's ``step(memory, x, *numbers) -> y`` for one cell, ``memory`` [rows]."""
    names = "".join(f", number[code[{FIRST}] + {k}]" for k in range(numbers))
    scope: dict[str, Any] = {"step": inline(step)}
    exec(  # noqa: S102 - the source is made here from whole numbers
        "def custom(code, number, sign, memory, x, flip, at):\n"
        "    _, _, rows, n, _ = at\n"
        f"    low, high = code[{ROW}], code[{ROW}] + code[{ROWS}]\n"
        "    for r in range(rows):\n"
        "        for i in range(n):\n"
        f"            x[r, i] = step(memory[low:high, i], x[r, i]{names})\n",
        scope,
    )
    made: Callable[..., None] = scope["custom"]
    return made


@tile_function
def run_stages(stages: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Replace samples by the outputs of all stages in turn; arguments as those of a tile function."""
    for s in range(stages.code.shape[0]):
        code = stages.code[s]
        call(code[STEP], (code, stages.number, stages.sign, memory, x, flip, at))


@tile_function
def flush(memory: Any, n: Any) -> None:
    """Set what is far below any sample to zero (`FLUSH_EVERY`)."""
    for row in range(memory.shape[0]):
        kept = memory[row]
        for i in range(n):
            kept[i] = kept[i] if abs(kept[i]) > _TINY else 0.0
