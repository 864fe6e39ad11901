"""What happens to a weight besides its pulses: write noise, and response curves that move.

A curve that has moved by s responds at w as it once did at w - s, its bounds included. Cells are followed in
the coordinate w - s, in which laws, bounds and symmetric point stay where they are: a move by ds takes ds
from the internal weight and from the offset between internal and visible weight, so that what is read does
not change, and adds ds to the visible symmetric point. A bound that passes the weight takes it along.

Moves far below the last digit of a weight must not be lost: they collect in ``due``, and what is taken from
the weight is a multiple of the last digit of 12, 2**-20 (1e-6) in float32 and 2**-49 in float64, which
differences of weights below 16 hold exactly.
"""

from typing import Any, NamedTuple

from numba.extending import overload
from numpy.typing import NDArray

from sptrack.kernels._jit import inline
from sptrack.kernels.random import renew_normals
from sptrack.kernels.responses import LOWER, UPPER

Array = NDArray[Any]


class Still(NamedTuple):
    """Neither write noise nor drift."""

    active: int


class Wander(NamedTuple):
    """Write noise and drift of the curves.

    ``write``: std of the write noise, weight units, redrawn for pulsed cells, 0 for none. ``drifts``: 0 for
    curves that stay. ``per_pulse``, ``per_step``, ``walk`` [cells]: move per pulse received and per step, std
    of a random move per step, weight units; ``walks``: 0 for no random moves. Keys of the two streams of
    normals.
    """

    write: Any
    write_key: Any
    drifts: int
    per_pulse: Array
    per_step: Array
    walk: Array
    walks: int
    walk_key: Any


class Curves(NamedTuple):
    """The moving curves of an array: rates as in `Wander`, and how far they have come.

    ``offset`` (minus the move), ``truth`` (internal symmetric point) and ``due`` (what is still to be moved),
    all [cells], weight units.
    """

    per_pulse: Array
    per_step: Array
    walk: Array
    walks: int
    walk_key: Any
    offset: Array
    truth: Array
    due: Array


@inline
def move_curve(ds: Any, i: Any, cell: Any, side: Any) -> None:
    """Move the curve of cell ``i`` by ``ds``; ``side`` = (internal weight, offset, symmetric point, due)."""
    w, offset, truth, due = side
    total = due[i] + ds
    whole = (total + type(total)(12)) - type(total)(12)
    due[i] = total - whole
    offset[i] -= whole
    truth[i] += whole
    left = w[i] - whole
    left = cell[LOWER, i] if cell[LOWER, i] > left else left
    w[i] = cell[UPPER, i] if cell[UPPER, i] < left else left


@inline
def move_by_pulses(rates: Any, cell: Any, count: Any, start: Any, n: Any, side: Any) -> None:
    """Drift by ``count`` [n] pulses, signed; ``rates`` are a `Wander` or `Curves`."""
    for i in range(n):
        rate = rates.per_pulse[start + i]
        move_curve(rate * type(rate)(abs(count[i])), i, cell, side)


@inline
def move_by_step(rates: Any, cell: Any, drawn: Any, draws: Any, place: Any, n: Any, side: Any) -> None:
    """Drift of one step; ``drawn`` as in `after_pulses`."""
    z, words, fresh = drawn
    start = place[0]
    if rates.walks and fresh:
        renew_normals(z, words, n, rates.walk_key, draws.event, place, draws.array)
    row = z[draws.event & 3]
    for i in range(n):
        std = rates.walk[start + i]
        move_curve(rates.per_step[start + i] + std * type(std)(row[i]), i, cell, side)


@inline
def _pulsed(wander: Any, drawn: Any, draws: Any, place: Any, count: Any, side: Any) -> None:
    cell, w, offset, written, truth, due = side
    z, words, fresh = drawn
    n = len(count)
    if wander.drifts:
        move_by_pulses(wander, cell, count, place[0], n, (w, offset, truth, due))
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
    cell, w, offset, _, truth, due = side
    if wander.drifts:
        move_by_step(wander, cell, drawn, draws, place, n, (w, offset, truth, due))


@inline
def _nothing(wander: Any, drawn: Any, draws: Any, place: Any, count: Any, side: Any) -> None:
    return


def after_pulses(wander: Any, drawn: Any, draws: Any, place: Any, count: Any, side: Any) -> None:
    """Drift by the pulses just sent, ``count`` [n] signed, and new write noise of the cells that got some.

    ``drawn`` = (normals [4, >= n], words [4, >= n], whether they must be made anew); ``draws`` give array and
    event, ``place`` the numbers of the cells; ``side`` = (parameters, internal weight, its offset to the
    visible one, write noise in it, visible symmetric point, moves due), all [..., >= n].
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


@inline
def _train_moves(curves: Any, cell: Any, w: Any, sign: Any, start: Any, n: Any) -> None:
    side = (w, curves.offset[start:], curves.truth[start:], curves.due[start:])
    move_by_pulses(curves, cell, sign[:n], start, n, side)


@inline
def _train_rests(curves: Any, cell: Any, w: Any, sign: Any, start: Any, n: Any) -> None:
    return


def after_pulse(curves: Any, cell: Any, w: Any, sign: Any, start: Any, n: Any) -> None:
    """Drift of the ``n`` cells from ``start`` on, held in ``w``, by one pulse where ``sign`` is not 0."""
    if isinstance(curves, Curves):
        _train_moves(curves, cell, w, sign, start, n)


@overload(after_pulse)
def _after_pulse(curves: Any, cell: Any, w: Any, sign: Any, start: Any, n: Any) -> Any:
    law = _train_moves if curves.instance_class is Curves else _train_rests

    def compiled(curves: Any, cell: Any, w: Any, sign: Any, start: Any, n: Any) -> None:
        law(curves, cell, w, sign, start, n)

    return compiled


@inline
def _moved_back(curves: Any, i: Any, w: Any) -> Any:
    return w - curves.offset[i]


@inline
def _as_it_is(curves: Any, i: Any, w: Any) -> Any:
    return w


def seen_weight(curves: Any, i: Any, w: Any) -> Any:
    """Internal weight of cell ``i`` in the coordinate of an observer, who sees the curve move."""
    return _moved_back(curves, i, w) if isinstance(curves, Curves) else w


@overload(seen_weight)
def _seen_weight(curves: Any, i: Any, w: Any) -> Any:
    law = _moved_back if curves.instance_class is Curves else _as_it_is

    def compiled(curves: Any, i: Any, w: Any) -> Any:
        return law(curves, i, w)

    return compiled


def is_still(curves: Any) -> bool:
    """Whether curves stay where they are."""
    return not isinstance(curves, Curves)


@overload(is_still)
def _is_still(curves: Any) -> Any:
    still = curves.instance_class is not Curves

    def compiled(curves: Any) -> Any:
        return still

    return compiled


STILL = Still(0)
"""Curves that stay where they are, without write noise."""
