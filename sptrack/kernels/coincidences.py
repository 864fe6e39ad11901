"""Rank-1 updates of a mini-batch, sample by sample: only cells where both lines fire are visited.

Trains are planned per sample as `sptrack.crossbar.outer.plan_trains` does; the probability of a line is a
multiple of 2**-24. A pulse sees the weight that the last one left, with a noise that is a function of the
cell and of how many pulses it had. Pulses wait in a queue across slots and samples; in its round r stands
the pulse number r of every cell. Cells of a round differ, so they are gathered to tiles, pulsed there and put
back, round by round.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, inline, kernel
from sptrack.kernels.converters import largest_size
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
    """Scratch of one tile: numbers ``at`` and ``sign`` of its cells, copies, normals ``z`` and ``words``.

    ``cells`` [cells, rows] holds the parameters of the law cell by cell: those of one lie together.
    """

    cells: Array
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
"""Pulses that wait at the most, unless a row may ask for more at once."""
_SLOTS = 5
"""Slots that one counter serves, by 24 bits each: the high ones of its four words, then the low ones."""


def pulse_queue(shape: tuple[int, int]) -> Queue:
    """Empty queue of an array of ``shape``."""
    most = max(_QUEUED, _SLOTS * shape[1])
    return Queue(
        np.empty(most, np.uint32),
        np.empty(most, np.int8),
        np.empty(most, np.uint32),
        np.empty(most, np.uint32),
        np.empty(most, np.int8),
        np.zeros(most + 1, np.int64),
        np.zeros(shape[0] * shape[1], np.uint32),
    )


def tile_scratch(law: Any, weight: Array) -> Tile:
    """Scratch for cells of ``law``."""
    return Tile(
        np.ascontiguousarray(law.cell.T),
        np.zeros(TILE, np.uint32),
        np.zeros(TILE, np.int8),
        np.empty((law.cell.shape[0], TILE), law.cell.dtype),
        np.empty(TILE, weight.dtype),
        np.empty((2 * STEP_ROWS, TILE), weight.dtype),
        np.zeros(TILE, np.float32),
        np.empty((2, TILE), np.uint32),
        np.empty(TILE, np.uint32),
    )


@disjoint_tile
def _copy_in(cell: Any, weight: Any, at: Any, n: Any, own: Any, w: Any) -> None:
    for row in range(np.uint64(cell.shape[1])):
        for i in range(np.uint64(n)):
            own[row, i] = cell[at[i], row]
    for i in range(np.uint64(n)):
        w[i] = weight[at[i]]


@disjoint_tile
def _draw_noise(z: Any, words: Any, number: Any, pulsed: Any, at: Any, n: Any, key: Any) -> None:
    """Normals of the next pulse of each of the ``n`` cells ``at``, of cell and number of the pulse alone."""
    for i in range(np.uint64(n)):
        number[i] = np.uint32(pulsed[at[i]])
    for i in range(np.uint64(n)):
        a, b, _, _ = philox(number[i], np.uint32(0), at[i], np.uint32(2), key.low, key.high)
        words[0, i] = a
        words[1, i] = b
    for i in range(np.uint64(n)):
        z[i], _ = box_muller(words[0, i], words[1, i])


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
def _pulse_tile(law: Any, noise: Any, key: Any, arrays: Any, n: Any, s: Any) -> None:
    """One pulse on each of the ``n`` cells ``s.at`` in the direction ``s.sign``."""
    weight, pulsed, net = arrays
    _copy_in(s.cells, weight, s.at, n, s.cell, s.w)
    if noise.active:
        _draw_noise(s.z, s.words, s.number, pulsed, s.at, n, key)
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
    zeros, found = np.int32(0), 0
    for i in range(np.uint64(len(values))):
        lines[i] = np.uint32(i)
        zeros += np.int32(not abs(values[i]) > 0)
    if zeros > 0:
        for i in range(np.uint64(len(values))):
            lines[found] = np.uint32(i)
            found += abs(values[i]) > 0
    else:
        found = len(values)
    for i in range(np.uint64(found)):
        p = abs(np.float64(values[lines[i]])) * factor
        thresholds[i] = np.uint32(np.rint(min(p, 1.0) * 2.0**24))
    return found


@disjoint_tile
def _fire(words: Any, thresholds: Any, n: Any, used: Any, bits: Any) -> None:
    """Slots in which each of ``n`` open lines fires, of the first ``used`` of a counter, as ``bits``."""
    mask, eight, low = np.uint32((1 << used) - 1), np.uint32(8), np.uint32(0xFF)
    for i in range(np.uint64(n)):
        a, b, c, d, threshold = words[0, i], words[1, i], words[2, i], words[3, i], thresholds[i]
        rest = (a & low) | ((b & low) << eight) | ((c & low) << np.uint32(16))
        slots = np.uint32(np.uint32(a >> eight) < threshold)
        slots |= np.uint32(np.uint32(b >> eight) < threshold) << np.uint32(1)
        slots |= np.uint32(np.uint32(c >> eight) < threshold) << np.uint32(2)
        slots |= np.uint32(np.uint32(d >> eight) < threshold) << np.uint32(3)
        slots |= np.uint32(np.uint32(rest) < threshold) << np.uint32(4)
        bits[i] = np.uint8(slots & mask)


@disjoint_tile
def _firing_lines(side: Any, n: Any, values: Any, signs: Any) -> Any:
    """Those of ``n`` open lines that fire, counted: line, slots as bits, sign of the value times its own."""
    found = 0
    for i in range(np.uint64(n)):
        line, slots = side.lines[i], side.bits[i]
        side.fired[found] = line
        side.slots[found] = slots
        side.sign[found] = -signs[line] if values[line] < 0 else signs[line]
        found += slots != 0
    return found


@inline
def _fires(side: Any, n: Any, values: Any, signs: Any, used: Any, place: Any) -> Any:
    """Lines of a `Side` that fire in the ``used`` slots of a counter, of ``n`` open ones."""
    key, block, event, array = place
    draw_words(side.words, 0, n, key, block, event, side.lines, array)
    _fire(side.words, side.thresholds, n, used, side.bits)
    return _firing_lines(side, n, values, signs)


@disjoint_tile
def _enqueue(q: Any, n: Any, start: Any, slots: Any, sign: Any, side: Any, fired: Any) -> Any:
    """Put the pulses of a row behind the ``n`` that wait; returns how many wait then.

    The row has its first cell at ``start`` and fires in ``slots``; of ``side``, the columns, ``fired`` lines
    fire.
    """
    found = 0
    for i in range(np.uint64(fired)):
        both = side.slots[i] & slots
        side.met[found] = np.uint32(i)
        side.common[found] = both
        found += both != 0
    place = np.uint64(n)
    for k in range(np.uint64(found)):
        i, both = side.met[k], side.common[k]
        cell = np.uint32(start + side.fired[i])
        turn = q.waiting[cell]
        while both != 0:
            q.at[place] = cell
            q.sign[place] = sign * side.sign[i]
            q.turn[place] = turn
            place += np.uint64(1)
            turn += np.uint32(1)
            both = np.uint8(both & np.uint8(both - np.uint8(1)))
        q.waiting[cell] = turn
    return np.int64(place)


@disjoint_tile
def _sort(q: Any, n: Any) -> Any:
    """Sort the ``n`` pulses that wait by rounds, whose ends are in ``q.ends``; returns their number."""
    rounds = np.int64(0)
    for i in range(np.uint64(n)):
        turn = np.int64(q.turn[i])
        q.ends[turn] += 1
        rounds = max(rounds, turn + 1)
    begin = np.int64(0)
    for k in range(rounds):
        begin, q.ends[k] = begin + q.ends[k], begin
    for i in range(np.uint64(n)):
        turn = np.int64(q.turn[i])
        place = np.uint64(q.ends[turn])
        q.ends[turn] += 1
        q.sorted_at[place] = q.at[i]
        q.sorted_sign[place] = q.sign[i]
        q.waiting[q.at[i]] = np.uint32(0)
    return rounds


@inline
def _empty(law: Any, noise: Any, key: Any, arrays: Any, q: Any, n: Any, s: Any) -> None:
    """Send the ``n`` pulses that wait."""
    begin = 0
    for turn in range(_sort(q, n)):
        end = q.ends[turn]
        while begin < end:
            m = min(TILE, end - begin)
            for i in range(m):
                s.at[i] = q.sorted_at[begin + i]
                s.sign[i] = q.sorted_sign[begin + i]
            _pulse_tile(law, noise, key, arrays, m, s)
            begin += m
        q.ends[turn] = 0


class Side(NamedTuple):
    """Scratch of the lines of one side: open ones, their thresholds, words and bits; those that fire.

    Of these number, slots as bits and sign of the value; the places and slots of those that meet another.
    """

    lines: Array
    thresholds: Array
    words: Array
    bits: Array
    fired: Array
    slots: Array
    sign: Array
    met: Array
    common: Array


def line_scratch(lines: int) -> Side:
    """Scratch of ``lines`` lines."""
    return Side(
        np.empty(lines, np.uint32),
        np.empty(lines, np.uint32),
        np.empty((4, lines), np.uint32),
        np.empty(lines, np.uint8),
        np.empty(lines, np.uint32),
        np.empty(lines, np.uint8),
        np.empty(lines, np.int8),
        np.empty(lines, np.uint32),
        np.empty(lines, np.uint8),
    )


@kernel
def update_batch(
    law: Any, noise: Any, place: Any, arrays: Any, batch: Any, lr: float, rule: Any, scratch: Any
) -> None:
    """Rank-1 updates w <- w - lr d x^T of each sample in turn.

    ``arrays`` = (weights [cells], pulses, up minus down pulses (both [cells], int32, counted on; the last may
    be empty: not counted)); ``batch`` = (x [n, C], d [n, R], signs +-1 of the columns and of the rows (int8),
    by which x and d are multiplied); ``place`` = (key, event): sample k has the event number ``event`` + k;
    ``scratch`` = (`Tile`, `Queue`, `Side` of the columns, of the rows).
    """
    key, event = place
    x, d, signs_x, signs_d = batch
    s, q, side_x, side_d = scratch
    columns = x.shape[1]
    queued = 0
    for k in range(x.shape[0]):
        now = np.uint32(event + k)
        length, factor_x, factor_d = _plan(x[k], d[k], lr, rule)
        if length == 0:
            continue
        open_d = _open_lines(d[k], factor_d, side_d.lines, side_d.thresholds)
        open_x = -1
        for first in range(0, length, _SLOTS):
            block, used = np.uint32(first // _SLOTS), min(_SLOTS, length - first)
            fired_d = _fires(side_d, open_d, d[k], signs_d, used, (key, block, now, np.uint32(1)))
            if fired_d == 0:
                continue
            if open_x < 0:
                open_x = _open_lines(x[k], factor_x, side_x.lines, side_x.thresholds)
            fired_x = _fires(side_x, open_x, x[k], signs_x, used, (key, block, now, np.uint32(0)))
            for j in range(fired_d):
                if queued + _SLOTS * fired_x > len(q.at):
                    _empty(law, noise, key, arrays, q, queued, s)
                    queued = 0
                start, sign = np.uint32(side_d.fired[j] * columns), np.int8(-side_d.sign[j])
                queued = _enqueue(q, queued, start, side_d.slots[j], sign, side_x, fired_x)
    if queued > 0:
        _empty(law, noise, key, arrays, q, queued, s)


@kernel
def pulse_cells(law: Any, noise: Any, key: Any, arrays: Any, sent: Any, s: Any) -> None:
    """Send ``sent`` = (cells [n], signed numbers [n]) pulses, each cell at most once in the list."""
    cells, numbers = sent
    most = 0
    for i in range(len(numbers)):
        most = max(most, abs(numbers[i]))
    for past in range(most):
        n = 0
        for i in range(len(cells)):
            if abs(numbers[i]) > past:
                s.at[n] = cells[i]
                s.sign[n] = np.int8(1) if numbers[i] > 0 else np.int8(-1)
                n += 1
            if n == TILE or (n > 0 and i == len(cells) - 1):
                _pulse_tile(law, noise, key, arrays, n, s)
                n = 0


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
