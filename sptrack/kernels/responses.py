"""Response laws: the step of one up and of one down pulse.

A family is two scalar functions of (shared, cell, i, w): the mean rise and the mean fall of cell i at weight
w by one pulse, weight units. Kernels take laws as data and call their loop over a tile by address: no kernel
is compiled for a law of its own, not even for a user's.

Parameters of the cells are passed apart because kernels work on a copy of a few hundred cells. Rows 0 to 3
mean the same in every law.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, kernel
from sptrack.kernels.elementary import exp, power
from sptrack.kernels.pointers import address, call

Array = NDArray[Any]

UP, DOWN, LOWER, UPPER = 0, 1, 2, 3
"""Rows of every law: scale of the up and of the down step, lower and upper hard bound (weight units)."""

STEP_ROWS = 4
"""Rows of scratch of `mean_steps`."""
MAX_SCANNED = 9
"""Most nodes of a piecewise law that are passed one by one."""

LINEAR, EXP, POW, PIECEWISE, CUSTOM = range(5)

SLOPE_UP, SLOPE_DOWN = 4, 5
STRETCH = 4
NODES = 4
GAMMA_UP, GAMMA_DOWN = 4, 5
EXP_OFFSET, EXP_A_UP, EXP_GAMMA_UP, EXP_A_DOWN, EXP_GAMMA_DOWN = 0, 1, 2, 3, 4


class Law(NamedTuple):
    """A response law as data.

    ``kind``: `LINEAR` (constant-step, linear-step and soft-bounds cells): step = scale + slope * w. `EXP`:
    step = scale * max(1 - A exp(+-gamma z), 0) with z = stretch * w + offset. `POW`: step = scale * (distance
    to the bound ahead / range)**gamma. `PIECEWISE`: step = scale * interpolation of equally spaced nodes; the
    up nodes stand in the rows from `NODES` on, the down nodes after them. `CUSTOM` and above: a user's law.

    ``cell`` [rows, cells] holds one row per parameter, ``shared`` what all cells have in common; ``steps`` is
    the address of the tile function (`callable_law`), 0 where it is not known.
    """

    kind: int
    cell: Array
    shared: Array
    steps: int = 0


@inline
def _linear_up(shared: Any, cell: Any, i: Any, w: Any) -> Any:
    return cell[UP, i] + cell[SLOPE_UP, i] * w


@inline
def _linear_down(shared: Any, cell: Any, i: Any, w: Any) -> Any:
    return cell[DOWN, i] + cell[SLOPE_DOWN, i] * w


@inline
def _exp_up(shared: Any, cell: Any, i: Any, w: Any) -> Any:
    z = cell[STRETCH, i] * w + shared[EXP_OFFSET]
    return cell[UP, i] * max(type(w)(1) - shared[EXP_A_UP] * exp(shared[EXP_GAMMA_UP] * z), type(w)(0))


@inline
def _exp_down(shared: Any, cell: Any, i: Any, w: Any) -> Any:
    z = cell[STRETCH, i] * w + shared[EXP_OFFSET]
    return cell[DOWN, i] * max(type(w)(1) - shared[EXP_A_DOWN] * exp(-shared[EXP_GAMMA_DOWN] * z), type(w)(0))


@inline
def _width(cell: Any, i: Any) -> Any:
    """Range of a cell, above 0 for a stuck one too (its bounds are equal)."""
    width = cell[UPPER, i] - cell[LOWER, i]
    return width if width > 0 else type(width)(1)


@inline
def _pow_up(shared: Any, cell: Any, i: Any, w: Any) -> Any:
    return cell[UP, i] * power((cell[UPPER, i] - w) / _width(cell, i), cell[GAMMA_UP, i])


@inline
def _pow_down(shared: Any, cell: Any, i: Any, w: Any) -> Any:
    return cell[DOWN, i] * power((w - cell[LOWER, i]) / _width(cell, i), cell[GAMMA_DOWN, i])


@inline
def _interpolate(cell: Any, first: Any, segments: Any, i: Any, w: Any) -> Any:
    t = (w - cell[LOWER, i]) / _width(cell, i) * type(w)(segments)
    k = min(max(np.int32(t), np.int32(0)), np.int32(segments - 1))
    below = cell[first + k, i]
    return below + (t - type(w)(k)) * (cell[first + k + 1, i] - below)


@inline
def _piecewise_up(shared: Any, cell: Any, i: Any, w: Any) -> Any:
    nodes = (cell.shape[0] - NODES) // 2
    return cell[UP, i] * _interpolate(cell, NODES, nodes - 1, i, w)


@inline
def _piecewise_down(shared: Any, cell: Any, i: Any, w: Any) -> Any:
    nodes = (cell.shape[0] - NODES) // 2
    return cell[DOWN, i] * _interpolate(cell, NODES + nodes, nodes - 1, i, w)


def _over_tile(up: Any, down: Any) -> Any:
    """Tile function of the scalar steps up and down of a law."""

    def steps(law: Any, rises: Any, cell: Any, w: Any, step: Any, n: Any) -> None:
        out = step[0]
        if rises:
            for i in range(np.uint64(n)):
                out[i] = up(law.shared, cell, i, w[i])
        else:
            for i in range(np.uint64(n)):
                out[i] = down(law.shared, cell, i, w[i])

    return steps


def _scanned(law: Any, rises: Any, cell: Any, w: Any, step: Any, n: Any) -> None:
    """Steps between few nodes: one pass per node instead of a look-up per cell, which does not vectorise."""
    nodes = (cell.shape[0] - NODES) // 2
    scale = cell[UP] if rises else cell[DOWN]
    start = NODES if rises else NODES + nodes
    lower, upper = cell[LOWER], cell[UPPER]
    below, above, place, passed = step[0], step[1], step[2], step[3]
    last, node, following = place.dtype.type(nodes - 1), cell[start], cell[start + 1]
    for i in range(np.uint64(n)):
        width = upper[i] - lower[i]
        width = width if width > 0 else type(width)(1)
        place[i] = (w[i] - lower[i]) / width * last
        passed[i] = 0
    for i in range(np.uint64(n)):
        below[i] = node[i]
        above[i] = following[i]
    for k in range(1, nodes - 1):
        edge, node, following = place.dtype.type(k), cell[start + k], cell[start + k + 1]
        for i in range(np.uint64(n)):
            beyond = place[i] >= edge
            passed[i] = edge if beyond else passed[i]
            below[i] = node[i] if beyond else below[i]
            above[i] = following[i] if beyond else above[i]
    for i in range(np.uint64(n)):
        below[i] = scale[i] * (below[i] + (place[i] - passed[i]) * (above[i] - below[i]))


_interpolated = _over_tile(_piecewise_up, _piecewise_down)
_TILES: dict[int, Any] = {
    LINEAR: _over_tile(_linear_up, _linear_down),
    EXP: _over_tile(_exp_up, _exp_down),
    POW: _over_tile(_pow_up, _pow_down),
}


def custom_law(q_plus: Callable[..., float], q_minus: Callable[..., float], parameters: int) -> int:
    """Kind of the law of a user's functions ``q(w, p_0, ...)`` of weight and ``parameters`` per-cell numbers.

    The step is the scale (row `UP` or `DOWN`) times the function, 0 where it is negative (beyond the nominal
    bounds); rows 4, 5, ... hold the parameters. The kind is good in this process only.
    """
    names = "".join(f", cell[{4 + k}, i]" for k in range(parameters))
    scope: dict[str, Any] = {"up": inline(q_plus), "down": inline(q_minus)}
    source = (
        f"def rise(shared, cell, i, w):\n    return cell[{UP}, i] * type(w)(max(up(w{names}), 0.0))\n"
        f"def fall(shared, cell, i, w):\n    return cell[{DOWN}, i] * type(w)(max(down(w{names}), 0.0))\n"
    )
    exec(source, scope)  # noqa: S102 - the source is made above from two integers
    kind = CUSTOM + len(_TILES)
    _TILES[kind] = _over_tile(inline(scope["rise"]), inline(scope["fall"]))
    return kind


def callable_law(law: Law) -> Law:
    """``law`` with the address of its tile function, compiled where this is its first use.

    Addresses are good in this process only: kernels get them at every call, nothing keeps them.
    """
    if law.kind == PIECEWISE:
        few = law.cell.shape[0] <= NODES + 2 * MAX_SCANNED
        function = _scanned if few else _interpolated
    else:
        function = _TILES[law.kind]
    return law._replace(steps=_tile_address(function, law.cell.dtype, law.kind < CUSTOM))


@cache
def _tile_address(function: Any, dtype: Any, cached: bool) -> int:
    w = np.empty(1, dtype)
    cell = np.empty((1, 1), dtype)
    return address(function, Law(LINEAR, cell, w), True, cell, w, cell, 0, cached=cached)


@inline
def mean_steps(law: Any, up: Any, cell: Any, w: Any, step: Any, n: Any) -> None:
    """Mean steps of the first ``n`` cells of a tile by one pulse up or down into step[0] (weight units).

    ``law`` is a `callable_law`; ``step`` [`STEP_ROWS`, >= n] is scratch.
    """
    call(law.steps, (law, up, cell, w, step, n))


@kernel
def steps(law: Any, w: Array, up: Array, down: Array) -> None:
    """Both steps at weights ``w`` [points, cells] into ``up`` and ``down`` of that shape (weight units)."""
    n = w.shape[1]
    step = np.empty((STEP_ROWS, n), w.dtype)
    for k in range(w.shape[0]):
        mean_steps(law, True, law.cell, w[k], step, n)
        for i in range(n):
            up[k, i] = step[0, i]
        mean_steps(law, False, law.cell, w[k], step, n)
        for i in range(n):
            down[k, i] = step[0, i]
