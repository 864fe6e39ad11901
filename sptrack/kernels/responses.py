"""Response laws: the step of one up and of one down pulse, two scalar functions per family.

A law is a NamedTuple of ``cell``, one row per parameter and one column per cell, and ``shared``, the
parameters that all cells have in common. Its type selects the two functions, in compiled code (by overload)
and in plain Python alike:

    step_up(law, cell, i, w)      mean rise of cell i at weight w by one up pulse, weight units
    step_down(law, cell, i, w)    mean fall by one down pulse, weight units

``cell`` is passed apart because kernels work on a copy of a few hundred cells. Rows 0 to 3 mean the same in
every law.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, kernel
from sptrack.kernels.elementary import exp, power

Array = NDArray[Any]

UP, DOWN, LOWER, UPPER = 0, 1, 2, 3
"""Rows of every law: scale of the up and of the down step, lower and upper hard bound (weight units)."""

SLOPE_UP, SLOPE_DOWN = 4, 5
STRETCH = 4
NODES = 4
GAMMA_UP, GAMMA_DOWN = 4, 5
EXP_OFFSET, EXP_A_UP, EXP_GAMMA_UP, EXP_A_DOWN, EXP_GAMMA_DOWN = 0, 1, 2, 3, 4


class LinearLaw(NamedTuple):
    """Constant-step, linear-step and soft-bounds cells: step = scale + slope * w."""

    cell: Array
    shared: Array


class ExpLaw(NamedTuple):
    """Exponential-step cells: step = scale * max(1 - A exp(+-gamma z), 0) with z = stretch * w + offset."""

    cell: Array
    shared: Array


class PowLaw(NamedTuple):
    """Power-step cells: step = scale * (distance to the bound ahead / range)**gamma."""

    cell: Array
    shared: Array


class PiecewiseLaw(NamedTuple):
    """Piecewise-linear cells: step = scale * interpolation of equally spaced nodes.

    The up nodes stand in the rows from `NODES` on, the down nodes after them.
    """

    cell: Array
    shared: Array


class CustomLaw(NamedTuple):
    """Base of the laws that `custom_law` makes, each a type of its own."""

    cell: Array
    shared: Array


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


_STEPS: dict[type, tuple[Any, Any]] = {
    LinearLaw: (_linear_up, _linear_down),
    ExpLaw: (_exp_up, _exp_down),
    PowLaw: (_pow_up, _pow_down),
    PiecewiseLaw: (_piecewise_up, _piecewise_down),
}
_IN_THIS_PROCESS: set[type] = set()


def step_up(law: Any, cell: Any, i: Any, w: Any) -> Any:
    """Mean rise of cell ``i`` at weight ``w`` by one up pulse (weight units)."""
    return _STEPS[type(law)][0](law.shared, cell, i, w)


def step_down(law: Any, cell: Any, i: Any, w: Any) -> Any:
    """Mean fall of cell ``i`` at weight ``w`` by one down pulse (weight units)."""
    return _STEPS[type(law)][1](law.shared, cell, i, w)


@overload(step_up)
def _step_up(law: Any, cell: Any, i: Any, w: Any) -> Any:
    up = _STEPS[law.instance_class][0]

    def compiled(law: Any, cell: Any, i: Any, w: Any) -> Any:
        return up(law.shared, cell, i, w)

    return compiled


@overload(step_down)
def _step_down(law: Any, cell: Any, i: Any, w: Any) -> Any:
    down = _STEPS[law.instance_class][1]

    def compiled(law: Any, cell: Any, i: Any, w: Any) -> Any:
        return down(law.shared, cell, i, w)

    return compiled


def is_linear(law: Any) -> bool:
    """Whether a step is one multiply-add: cheap enough to keep several in registers."""
    return isinstance(law, LinearLaw)


@overload(is_linear)
def _is_linear(law: Any) -> Any:
    linear = law.instance_class is LinearLaw

    def compiled(law: Any) -> Any:
        return linear

    return compiled


def custom_law(q_plus: Callable[..., float], q_minus: Callable[..., float], parameters: int) -> type:
    """Law type of a user's two functions ``q(w, p_0, ...)`` of weight and ``parameters`` per-cell numbers.

    The step is the scale (row `UP` or `DOWN`) times the function, 0 where it is negative (beyond the nominal
    bounds); rows 4, 5, ... hold the parameters.
    """
    names = "".join(f", cell[{4 + k}, i]" for k in range(parameters))
    scope: dict[str, Any] = {"up": inline(q_plus), "down": inline(q_minus)}
    source = (
        f"def rise(shared, cell, i, w):\n    return cell[{UP}, i] * type(w)(max(up(w{names}), 0.0))\n"
        f"def fall(shared, cell, i, w):\n    return cell[{DOWN}, i] * type(w)(max(down(w{names}), 0.0))\n"
    )
    exec(source, scope)  # noqa: S102 - the source is made above from two integers

    # compiled code is chosen by the name of the type: two laws must not share it
    law = type(f"CustomLaw{len(_IN_THIS_PROCESS)}", (CustomLaw,), {})
    _STEPS[law] = (inline(scope["rise"]), inline(scope["fall"]))
    _IN_THIS_PROCESS.add(law)
    return law


def cacheable(law: Any) -> bool:
    """Whether machine code for this law may be kept on disk (a user's law lives in one process only)."""
    return type(law) not in _IN_THIS_PROCESS


@kernel
def steps(law: Any, w: Array, up: Array, down: Array) -> None:
    """Both steps at weights ``w`` [points, cells] into ``up`` and ``down`` of that shape (weight units)."""
    for k in range(w.shape[0]):
        for i in range(w.shape[1]):
            up[k, i] = step_up(law, law.cell, i, w[k, i])
            down[k, i] = step_down(law, law.cell, i, w[k, i])
