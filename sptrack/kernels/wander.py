"""What happens to a weight besides its pulses: write noise, and response curves that move.

A curve that has moved by s responds at w as it once did at w - s. Cells are followed in the coordinate w - s,
in which laws, bounds and symmetric point stay where they are: a move by ds takes ds from the internal weight
and from the offset between internal and visible weight, so that what is read does not change, and adds ds to
the visible symmetric point.
"""

from typing import Any, NamedTuple

from numba.extending import overload
from numpy.typing import NDArray

from sptrack.kernels._jit import inline
from sptrack.kernels.random import renew_normals

Array = NDArray[Any]


class Still(NamedTuple):
    """Neither write noise nor drift."""

    active: int


class Wander(NamedTuple):
    """Write noise and drift of the curves.

    ``write``: std of the write noise, weight units, redrawn for pulsed cells, 0 for none. ``per_pulse``,
    ``per_step`` [cells]: move per pulse received and per step, ``walk``: std of a random move per step,
    weight units. Keys of the two streams of normals.
    """

    write: Any
    write_key: Any
    per_pulse: Array
    per_step: Array
    walk: Any
    walk_key: Any


@inline
def _move(ds: Any, i: Any, w: Any, offset: Any, truth: Any) -> None:
    w[i] -= ds
    offset[i] -= ds
    truth[i] += ds


@inline
def _pulsed(wander: Any, drawn: Any, draws: Any, place: Any, count: Any, side: Any) -> None:
    w, offset, written, truth = side
    z, words, fresh = drawn
    n, start = len(count), place[0]
    for i in range(n):
        _move(wander.per_pulse[start + i] * abs(count[i]), i, w, offset, truth)
    if wander.write > 0:
        if fresh:
            renew_normals(z, words, n, wander.write_key, draws.event, place, draws.array)
        row = z[draws.event & 3]
        for i in range(n):
            noise = wander.write * row[i] if count[i] != 0 else written[i]
            offset[i] -= noise - written[i]
            written[i] = noise


@inline
def _stepped(wander: Any, drawn: Any, draws: Any, place: Any, n: Any, side: Any) -> None:
    w, offset, _, truth = side
    z, words, fresh = drawn
    start = place[0]
    if wander.walk > 0 and fresh:
        renew_normals(z, words, n, wander.walk_key, draws.event, place, draws.array)
    row = z[draws.event & 3]
    for i in range(n):
        _move(wander.per_step[start + i] + wander.walk * row[i], i, w, offset, truth)


@inline
def _nothing(wander: Any, drawn: Any, draws: Any, place: Any, count: Any, side: Any) -> None:
    return


def after_pulses(wander: Any, drawn: Any, draws: Any, place: Any, count: Any, side: Any) -> None:
    """Drift by the pulses just sent, ``count`` [n] signed, and new write noise of the cells that got some.

    ``drawn`` = (normals [4, >= n], words [4, >= n], whether they must be made anew); ``draws`` give array and
    event, ``place`` the numbers of the cells; ``side`` = (internal weight, its offset to the visible one,
    write noise in it, visible symmetric point), all [>= n].
    """
    if isinstance(wander, Wander):
        _pulsed(wander, drawn, draws, place, count, side)


@overload(after_pulses)
def _after_pulses(wander: Any, drawn: Any, draws: Any, place: Any, count: Any, side: Any) -> Any:
    law = _pulsed if wander.instance_class is Wander else _nothing

    def compiled(wander: Any, drawn: Any, draws: Any, place: Any, count: Any, side: Any) -> None:
        law(wander, drawn, draws, place, count, side)

    return compiled


def after_step(wander: Any, drawn: Any, draws: Any, place: Any, n: Any, side: Any) -> None:
    """Drift of one step of the first ``n`` cells; arguments as in `after_pulses`."""
    if isinstance(wander, Wander):
        _stepped(wander, drawn, draws, place, n, side)


@overload(after_step)
def _after_step(wander: Any, drawn: Any, draws: Any, place: Any, n: Any, side: Any) -> Any:
    law = _stepped if wander.instance_class is Wander else _nothing

    def compiled(wander: Any, drawn: Any, draws: Any, place: Any, n: Any, side: Any) -> None:
        law(wander, drawn, draws, place, n, side)

    return compiled
