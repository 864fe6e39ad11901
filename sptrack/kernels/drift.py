"""Changes of a weight besides its pulses: write noise, and response curves that drift.

A curve that has moved by s responds at w as it once did at w - s, its bounds included. Cells are followed in
the coordinate w - s, in which laws, bounds and symmetric point stay where they are: a move by ds takes ds
from the internal weight and from the offset between internal and visible weight, so that what is read does
not change, and adds ds to the visible symmetric point. A bound that passes the weight takes it along.

Moves far below the last digit of a weight must not be lost: they collect in ``due``, and what is taken from
the weight is a multiple of the last digit of 12, 2**-20 (1e-6) in float32 and 2**-49 in float64, which
differences of weights below 16 hold exactly.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, kernel, tile_function
from sptrack.kernels.random import TILE, Draws, Key, renew_normals
from sptrack.kernels.responses import LOWER, UPPER

Array = NDArray[Any]

_NO_KEY = Key(np.uint32(0), np.uint32(0))


class Drift(NamedTuple):
    """Rates at which curves move, and write noise.

    ``active``: 0 for curves that stay, whose rates may be empty. ``per_pulse``, ``per_step``, ``walk``
    [cells]: move per pulse received and per step, std of a random move per step, weight units; ``walks``: 0
    for no random moves. ``write``: std of the write noise, weight units, redrawn for pulsed cells, 0 for
    none. Keys of the two streams of normals.
    """

    active: int
    per_pulse: Array
    per_step: Array
    walk: Array
    walks: int
    walk_key: Key
    write: Any
    write_key: Key


class Moved(NamedTuple):
    """Displacements of the curves: all [cells], weight units, or empty where they stay.

    ``offset`` (minus the move), ``point`` (internal symmetric point) and ``due`` (what is still to be moved).
    """

    offset: Array
    point: Array
    due: Array


def no_drift(dtype: Any, *, write: float = 0.0, write_key: Key = _NO_KEY) -> Drift:
    """Curves that stay where they are, with write noise of std ``write`` (weight units)."""
    none = np.empty(0, dtype)
    return Drift(0, none, none, none, 0, _NO_KEY, np.dtype(dtype).type(write), write_key)


@inline
def move_curve(ds: Any, i: Any, cell: Any, side: Any) -> None:
    """Move the curve of cell ``i`` by ``ds``; ``side`` = (internal weight, offset, symmetric point, due)."""
    w, offset, point, due = side
    total = due[i] + ds
    whole = (total + type(total)(12)) - type(total)(12)
    due[i] = total - whole
    offset[i] -= whole
    point[i] += whole
    left = w[i] - whole
    left = cell[LOWER, i] if cell[LOWER, i] > left else left
    w[i] = cell[UPPER, i] if cell[UPPER, i] < left else left


@tile_function
def move_by_pulses(drift: Any, cell: Any, count: Any, start: Any, n: Any, side: Any) -> None:
    """Drift of ``n`` cells by ``count`` pulses, signed; the first of them is cell ``start`` of the array."""
    for i in range(n):
        rate = drift.per_pulse[start + i]
        move_curve(rate * type(rate)(abs(count[i])), i, cell, side)


@tile_function
def move_by_step(drift: Any, cell: Any, drawn: Any, draws: Any, place: Any, n: Any, side: Any) -> None:
    """Drift of one step; ``drawn`` as in `after_pulses`."""
    z, words, fresh = drawn
    start = place[0]
    if drift.walks and fresh:
        renew_normals(z, words, n, drift.walk_key, draws.event, place, draws.array)
    row = z[draws.event & 3]
    for i in range(n):
        std = drift.walk[start + i]
        move_curve(drift.per_step[start + i] + std * type(std)(row[i]), i, cell, side)


@tile_function
def _rewrite(
    write: Any, key: Any, drawn: Any, draws: Any, place: Any, count: Any, offset: Any, written: Any
) -> None:
    """New write noise of the pulsed cells."""
    z, words, fresh = drawn
    n = len(count)
    if fresh:
        renew_normals(z, words, n, key, draws.event, place, draws.array)
    row = z[draws.event & 3]
    for i in range(n):
        noise = write * row[i] if count[i] != 0 else written[i]
        offset[i] -= noise - written[i]
        written[i] = noise


@inline
def after_pulses(drift: Any, drawn: Any, draws: Any, place: Any, count: Any, side: Any) -> None:
    """Drift by the pulses just sent, ``count`` [n] signed, and new write noise of the cells that got some.

    ``drawn`` = (normals [4, >= n], words [4, >= n], whether they must be made anew); ``draws`` give array and
    event, ``place`` the numbers of the cells; ``side`` = (parameters, internal weight, its offset to the
    visible one, write noise in it, visible symmetric point, moves due), all [..., >= n].
    """
    cell, w, offset, written, point, due = side
    if drift.active:
        move_by_pulses(drift, cell, count, np.int64(place[0]), len(count), (w, offset, point, due))
    if drift.write > 0:
        _rewrite(drift.write, drift.write_key, drawn, draws, place, count, offset, written)


@inline
def after_step(drift: Any, drawn: Any, draws: Any, place: Any, n: Any, side: Any) -> None:
    """Drift of one step of the first ``n`` cells; arguments as in `after_pulses`."""
    if drift.active:
        cell, w, offset, _, point, due = side
        move_by_step(drift, cell, drawn, draws, place, n, (w, offset, point, due))


@kernel
def drift_by_pulses(drift: Any, moved: Any, cell: Array, weight: Array, cells: Any, count: Array) -> None:
    """Move the curves of cells[0] <= i < cells[1] by ``count`` [cells] pulses received."""
    start, stop = cells
    side = (weight[start:], moved.offset[start:], moved.point[start:], moved.due[start:])
    move_by_pulses(drift, cell[:, start:], count[start:stop], start, stop - start, side)


@kernel
def drift_by_steps(
    drift: Any, moved: Any, cell: Array, weight: Array, cells: Any, first: Any, steps: Any
) -> None:
    """Move the curves of cells[0] <= i < cells[1] by ``steps`` steps, the first of which is ``first``."""
    z, words = np.zeros((4, TILE), np.float32), np.empty((4, TILE), np.uint32)
    place = np.empty(TILE, np.uint32)
    none = Key(np.uint32(0), np.uint32(0))
    for start in range(cells[0], cells[1], TILE):
        n = min(TILE, cells[1] - start)
        for i in range(n):
            place[i] = np.uint32(start + i)
        side = (weight[start:], moved.offset[start:], moved.point[start:], moved.due[start:])
        for k in range(steps):
            step = np.uint32(first + k)
            drawn = (z, words, k == 0 or step & 3 == 0)
            draws = Draws(none, none, np.uint32(0), step)
            move_by_step(drift, cell[:, start:], drawn, draws, place, n, side)
