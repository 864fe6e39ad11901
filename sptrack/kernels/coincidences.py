"""Rank-1 updates of a mini-batch, sample by sample: only cells where both lines fire are visited.

Trains are planned per sample as `sptrack.crossbar.outer.plan_trains` does. Slots follow each other: a pulse
sees the weight that the last one left, with a noise of its own. Pulses wait in a queue across slots and
samples; in its round r stands the pulse number r of every cell. Cells of a round differ, so they are gathered
to tiles, pulsed there and put back, round by round.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, inline, kernel
from sptrack.kernels.converters import consecutive_normals, largest_size
from sptrack.kernels.pulses import signed_tile
from sptrack.kernels.random import TILE, box_muller, draw_words, philox
from sptrack.kernels.responses import STEP_ROWS

Array = NDArray[Any]


class TrainRule(NamedTuple):
    """Numbers of a `PulseScheme` for stochastic trains: slots, management, granularity in weight units."""

    length: int
    update_managed: bool
    length_managed: bool
    fixed: bool
    gradient_scale: Any
    granularity: Any


class Tile(NamedTuple):
    """Scratch of one tile: numbers ``at`` and ``sign`` of its cells, copies, normals ``z`` and ``words``."""

    at: Array
    sign: Array
    cell: Array
    w: Array
    step: Array
    z: Array
    words: Array
    number: Array


class Queue(NamedTuple):
    """Pulses that wait: cell, sign and round of each, room to sort them; pulses of every cell that wait."""

    at: Array
    sign: Array
    turn: Array
    sorted_at: Array
    sorted_sign: Array
    ends: Array
    waiting: Array


_QUEUED = 4096
"""Most pulses that wait."""


def pulse_queue(cells: int) -> Queue:
    """Empty queue of an array of ``cells``."""
    return Queue(
        np.empty(_QUEUED, np.uint32),
        np.empty(_QUEUED, np.int8),
        np.empty(_QUEUED, np.uint16),
        np.empty(_QUEUED, np.uint32),
        np.empty(_QUEUED, np.int8),
        np.zeros(_QUEUED + 1, np.int64),
        np.zeros(cells, np.uint16),
    )


def tile_scratch(law: Any, weight: Array) -> Tile:
    """Scratch for cells of ``law``."""
    return Tile(
        np.zeros(TILE, np.uint32),
        np.zeros(TILE, np.int8),
        np.empty((law.cell.shape[0], TILE), law.cell.dtype),
        np.empty(TILE, weight.dtype),
        np.empty((2 * STEP_ROWS, TILE), weight.dtype),
        np.zeros(TILE, np.float32),
        np.zeros((4, TILE // 4), np.uint32),
        np.arange(TILE // 4, dtype=np.uint32),
    )


@disjoint_tile
def _copy_in(cell: Any, weight: Any, at: Any, n: Any, own: Any, w: Any) -> None:
    for row in range(cell.shape[0]):
        for i in range(np.uint64(n)):
            own[row, i] = cell[row, at[i]]
    for i in range(np.uint64(n)):
        w[i] = weight[at[i]]


@disjoint_tile
def _copy_out(weight: Any, pulsed: Any, net: Any, at: Any, sign: Any, n: Any, w: Any) -> None:
    for i in range(np.uint64(n)):
        weight[at[i]] = w[i]
        pulsed[at[i]] += np.int32(1)
    if len(net) == 0:
        return
    for i in range(np.uint64(n)):
        net[at[i]] += np.int32(sign[i])


@inline
def _pulse_tile(law: Any, noise: Any, draws: Any, arrays: Any, n: Any, s: Any) -> None:
    """One pulse on each of the ``n`` cells ``s.at`` in the direction ``s.sign``."""
    weight, pulsed, net = arrays
    key, block, event = draws
    _copy_in(law.cell, weight, s.at, n, s.cell, s.w)
    if noise.active:
        consecutive_normals(s.z, s.words, s.number, n, key, block, event, np.uint32(2))
    signed_tile(law, noise, s.cell, s.w, s.z, (s.sign, np.int8(0)), n, s.step)
    _copy_out(weight, pulsed, net, s.at, s.sign, n, s.w)


@inline
def _plan(x: Any, d: Any, lr: Any, rule: Any) -> Any:
    """Train length and the factors of |x| and |d| that are the probabilities of their lines; 0: no train."""
    largest_x, largest_d = np.float64(largest_size(x)), np.float64(largest_size(d))
    largest_d *= rule.gradient_scale
    if lr == 0 or largest_x == 0 or largest_d == 0:
        return 0, 0.0, 0.0
    asked = lr * largest_x * largest_d / rule.granularity
    length = rule.length
    lengthened = False
    if rule.length_managed:
        length = min(int(math.ceil(asked)), length)
    elif not rule.fixed and rule.granularity * length < lr:
        length = max(int(math.ceil(lr / rule.granularity)), 1)
        lengthened = length > rule.length
    factor_x = 1.0 if lengthened else math.sqrt(lr / (rule.granularity * length))
    factor_d = factor_x
    if rule.update_managed or rule.length_managed:
        if asked > rule.length:
            largest_d *= rule.length / asked
        ratio = math.sqrt(largest_x / largest_d)
        factor_d *= ratio
        factor_x /= ratio
    return length, factor_x, factor_d


@disjoint_tile
def _open_lines(values: Any, factor: Any, lines: Any, thresholds: Any) -> Any:
    """Lines that may fire, counted, in ``lines``; a line fires where a word is below its threshold."""
    found = 0
    for i in range(np.uint64(len(values))):
        lines[found] = np.uint32(i)
        found += abs(values[i]) > 0
    for i in range(np.uint64(found)):
        p = abs(np.float64(values[lines[i]])) * factor
        thresholds[i] = np.uint64(min(p, 1.0) * 2.0**32)
    return found


@disjoint_tile
def _fire(words: Any, thresholds: Any, lines: Any, n: Any, bits: Any, fired: Any) -> Any:
    """Of ``n`` open lines, those that fire in one of four slots, counted, in ``fired``, with slots as bits."""
    for i in range(np.uint64(n)):
        slots = np.uint32(np.uint64(words[0, i]) < thresholds[i])
        slots |= np.uint32(np.uint64(words[1, i]) < thresholds[i]) << np.uint32(1)
        slots |= np.uint32(np.uint64(words[2, i]) < thresholds[i]) << np.uint32(2)
        slots |= np.uint32(np.uint64(words[3, i]) < thresholds[i]) << np.uint32(3)
        bits[i] = np.uint8(slots)
    found = 0
    for i in range(np.uint64(n)):
        slots = bits[i]
        fired[found] = lines[i]
        bits[found] = slots
        found += slots != 0
    return found


@inline
def _firing(side: Any, n: Any, place: Any) -> Any:
    """`_fire` for the ``n`` open lines of a `Side`; ``place`` = (key, block, event, side)."""
    key, block, event, array = place
    draw_words(side.words, 0, n, key, block, event, side.lines, array)
    return _fire(side.words, side.thresholds, side.lines, n, side.bits, side.fired)


@disjoint_tile
def _enqueue(q: Any, n: Any, start: Any, own: Any, sign: Any, first: Any, end: Any) -> None:
    """Put pulses on cells ``start`` + ``own`` of ``first`` to ``end`` behind the ``n`` that wait."""
    place = np.uint64(n)
    for i in range(np.uint64(first), np.uint64(end)):
        cell = np.uint32(start + own[i])
        turn = q.waiting[cell]
        q.waiting[cell] = np.uint16(turn + 1)
        q.at[place] = cell
        q.sign[place] = sign[i]
        q.turn[place] = turn
        place += np.uint64(1)


@disjoint_tile
def _sort(q: Any, n: Any) -> Any:
    """Sort the ``n`` pulses that wait by rounds, whose ends are in ``q.ends``; returns their number."""
    rounds = np.uint64(0)
    for i in range(np.uint64(n)):
        turn = np.uint64(q.turn[i])
        q.ends[turn] += 1
        rounds = max(rounds, turn + np.uint64(1))
    begin = np.int64(0)
    for turn in range(rounds):
        begin, q.ends[turn] = begin + q.ends[turn], begin
    for i in range(np.uint64(n)):
        turn = np.uint64(q.turn[i])
        place = np.uint64(q.ends[turn])
        q.ends[turn] += 1
        q.sorted_at[place] = q.at[i]
        q.sorted_sign[place] = q.sign[i]
        q.waiting[q.at[i]] = np.uint16(0)
    return rounds


@inline
def _empty(law: Any, noise: Any, place: Any, arrays: Any, q: Any, n: Any, s: Any) -> Any:
    """Send the ``n`` pulses that wait; ``place`` = (key, tiles so far, event). Returns the tiles by then."""
    key, tile, event = place
    begin = 0
    for turn in range(_sort(q, n)):
        end = q.ends[turn]
        while begin < end:
            m = min(TILE, end - begin)
            for i in range(m):
                s.at[i] = q.sorted_at[begin + i]
                s.sign[i] = q.sorted_sign[begin + i]
            _pulse_tile(law, noise, (key, tile, event), arrays, m, s)
            tile += np.uint32(1)
            begin += m
        q.ends[turn] = 0
    return tile


class Side(NamedTuple):
    """Scratch of the lines of one side of an array: open ones, their thresholds and words; those that fire."""

    lines: Array
    thresholds: Array
    words: Array
    fired: Array
    bits: Array


@disjoint_tile
def _lines_of(side: Any, slot: Any, values: Any, n: Any, own: Any, up: Any, down: Any) -> Any:
    """Of the ``n`` firing lines of a `Side` those of one slot, counted, in ``own``.

    ``up`` and ``down`` are the signs of their pulses on rows whose error is negative and positive.
    """
    found = 0
    for i in range(np.uint64(n)):
        line = side.fired[i]
        own[found] = line
        up[found] = np.int8(-1) if values[line] < 0 else np.int8(1)
        down[found] = np.int8(1) if values[line] < 0 else np.int8(-1)
        found += (side.bits[i] >> np.uint8(slot)) & np.uint8(1)
    return found


@kernel
def update_batch(
    law: Any, noise: Any, place: Any, arrays: Any, batch: Any, lr: float, rule: Any, scratch: Any
) -> None:
    """Rank-1 updates w <- w - lr d x^T of each sample in turn.

    ``arrays`` = (weights [cells], pulses, up minus down pulses (both [cells], int32, counted on; the last may
    be empty: not counted)); ``batch`` = (x [n, C], d [n, R]);
    ``place`` = (key, event): sample k has the event number ``event`` + k; ``scratch`` = (`Tile`, `Queue`).
    """
    key, event = place
    x, d = batch
    s, q = scratch
    columns, rows = x.shape[1], d.shape[1]
    side_x = Side(
        np.empty(columns, np.uint32),
        np.empty(columns, np.uint64),
        np.empty((4, columns), np.uint32),
        np.empty(columns, np.uint32),
        np.empty(columns, np.uint8),
    )
    side_d = Side(
        np.empty(rows, np.uint32),
        np.empty(rows, np.uint64),
        np.empty((4, rows), np.uint32),
        np.empty(rows, np.uint32),
        np.empty(rows, np.uint8),
    )
    own, up, down = np.empty(columns, np.uint32), np.empty(columns, np.int8), np.empty(columns, np.int8)
    tile, queued, origin = np.uint32(0), 0, np.uint32(event)
    for k in range(x.shape[0]):
        now = np.uint32(event + k)
        length, factor_x, factor_d = _plan(x[k], d[k], lr, rule)
        if length == 0:
            continue
        open_d = _open_lines(d[k], factor_d, side_d.lines, side_d.thresholds)
        open_x = _open_lines(x[k], factor_x, side_x.lines, side_x.thresholds)
        for first in range(0, length, 4):
            block = np.uint32(first // 4)
            fired_d = _firing(side_d, open_d, (key, block, now, np.uint32(1)))
            if fired_d == 0:
                continue
            fired_x = _firing(side_x, open_x, (key, block, now, np.uint32(0)))
            for slot in range(min(4, length - first)):
                m = _lines_of(side_x, slot, x[k], fired_x, own, up, down)
                for j in range(fired_d if m > 0 else 0):
                    if not (side_d.bits[j] >> slot) & 1:
                        continue
                    line = side_d.fired[j]
                    start, sign = np.uint32(line * columns), up if d[k, line] < 0 else down
                    i = 0
                    while i < m:
                        if queued == _QUEUED:
                            tile = _empty(law, noise, (key, tile, origin), arrays, q, queued, s)
                            queued = 0
                        taken = min(m - i, _QUEUED - queued)
                        _enqueue(q, queued, start, own, sign, i, i + taken)
                        queued += taken
                        i += taken
    if queued > 0:
        _empty(law, noise, (key, tile, origin), arrays, q, queued, s)


@kernel
def pulse_cells(law: Any, noise: Any, key: Any, event: Any, arrays: Any, sent: Any, s: Any) -> None:
    """Send ``sent`` = (cells [n], signed numbers [n]) pulses, each cell at most once in the list."""
    cells, numbers = sent
    most = 0
    for i in range(len(numbers)):
        most = max(most, abs(numbers[i]))
    tile = np.uint32(0)
    for past in range(most):
        n = 0
        for i in range(len(cells)):
            if abs(numbers[i]) > past:
                s.at[n] = cells[i]
                s.sign[n] = np.int8(1) if numbers[i] > 0 else np.int8(-1)
                n += 1
                if n == TILE:
                    _pulse_tile(law, noise, (key, tile, event), arrays, n, s)
                    tile += np.uint32(1)
                    n = 0
        if n > 0:
            _pulse_tile(law, noise, (key, tile, event), arrays, n, s)
            tile += np.uint32(1)


@kernel
def show(weight: Array, reference: Array, blur: Any, place: Any, seen: Any, cells: Any, shown: Array) -> None:
    """Renew the visible weights of the cells that were pulsed since they were last shown.

    ``blur`` is the std of the write noise, ``place`` = (key, event), ``seen`` = (pulses, pulses when shown)
    and ``cells`` = (first, end, stride).
    """
    pulsed, before = seen
    key, event = place
    for i in range(cells[0], cells[1], cells[2]):
        if pulsed[i] != before[i]:
            before[i] = pulsed[i]
            z = np.float32(0)
            if blur > 0:
                words = philox(np.uint32(0), event, np.uint32(i), np.uint32(3), key.low, key.high)
                z, _ = box_muller(words[0], words[1])
            shown[i] = weight[i] - reference[i] + blur * z
