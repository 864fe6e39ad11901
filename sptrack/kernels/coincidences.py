"""Rank-1 updates of a mini-batch, sample by sample: only cells where both lines fire are visited.

Trains are planned per sample as `sptrack.crossbar.outer.plan_trains` does. Slots follow each other: a pulse
sees the weight that the last one left, with a noise of its own. Cells that are pulsed in one slot differ, so
they are gathered to a tile, pulsed there and put back.
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


class Side(NamedTuple):
    """Scratch of the lines of one side of an array: open ones, their thresholds and words; those that fire."""

    lines: Array
    thresholds: Array
    words: Array
    fired: Array
    bits: Array


@kernel
def update_batch(
    law: Any, noise: Any, place: Any, arrays: Any, batch: Any, lr: float, rule: Any, s: Any
) -> None:
    """Rank-1 updates w <- w - lr d x^T of each sample in turn.

    ``arrays`` = (weights [cells], pulses, up minus down pulses (both [cells], int32, counted on; the last may
    be empty: not counted)); ``batch`` = (x [n, C], d [n, R]);
    ``place`` = (key, event): sample k has the event number ``event`` + k.
    """
    key, event = place
    x, d = batch
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
    own, minus = np.empty(columns, np.uint32), np.empty(columns, np.bool_)
    for k in range(x.shape[0]):
        now = np.uint32(event + k)
        length, factor_x, factor_d = _plan(x[k], d[k], lr, rule)
        if length == 0:
            continue
        open_d = _open_lines(d[k], factor_d, side_d.lines, side_d.thresholds)
        open_x = _open_lines(x[k], factor_x, side_x.lines, side_x.thresholds)
        tile = np.uint32(0)
        for first in range(0, length, 4):
            block = np.uint32(first // 4)
            fired_d = _firing(side_d, open_d, (key, block, now, np.uint32(1)))
            if fired_d == 0:
                continue
            fired_x = _firing(side_x, open_x, (key, block, now, np.uint32(0)))
            for slot in range(min(4, length - first)):
                m = 0
                for i in range(fired_x):
                    line = side_x.fired[i]
                    own[m] = line
                    minus[m] = x[k, line] < 0
                    m += (side_x.bits[i] >> slot) & 1
                n = 0
                for j in range(fired_d):
                    if not (side_d.bits[j] >> slot) & 1:
                        continue
                    line = side_d.fired[j]
                    start, falls = np.uint32(line * columns), d[k, line] > 0
                    i = 0
                    while i < m:
                        taken = min(m - i, TILE - n)
                        for t in range(taken):
                            s.at[n + t] = start + own[i + t]
                            s.sign[n + t] = np.int8(1) if falls == minus[i + t] else np.int8(-1)
                        n += taken
                        i += taken
                        if n == TILE:
                            _pulse_tile(law, noise, (key, tile, now), arrays, n, s)
                            tile += np.uint32(1)
                            n = 0
                if n > 0:
                    _pulse_tile(law, noise, (key, tile, now), arrays, n, s)
                    tile += np.uint32(1)


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
