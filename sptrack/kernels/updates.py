"""Sparse updates: a signed number of pulses per cell, one after the other or in closed form.

Where most cells of a tile have pulses, the first two of each are applied to the whole tile at once; where few
have, these cells are collected in a list that is treated like a tile when it is full. Pulses from the third
on are rare or many, and cells differ in their number: cells that are left are collected in a second list and
sorted by what is left, the most first, so that those that still have pulses are always the first of the list.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, inline, kernel
from sptrack.kernels.pointers import address, call
from sptrack.kernels.pulses import PROPORTIONAL, clip, signed_tile, with_noise
from sptrack.kernels.random import TILE, draw_normals, draw_words, philox, renew_normals
from sptrack.kernels.responses import DOWN, LOWER, SLOPE_DOWN, SLOPE_UP, STEP_ROWS, UP, UPPER

Array = NDArray[Any]

SLOTS = 32
"""Slots in a word of a pulse train."""
WINDOW = 8
"""Pulses for which one sorting lasts; a multiple of the four that share a counter."""
_ROUND = 31
"""Random numbers are drawn for whole vectors: the number of cells is rounded up to a multiple of 32."""


class Lines(NamedTuple):
    """Pulse trains of one side of the array.

    ``slots`` [words, lines] (uint32) has a bit for each of 32 slots in which a line fires; ``sign`` [lines]
    is +1 or -1, the direction in which a line pulls.
    """

    slots: Array
    sign: Array


class Scratch(NamedTuple):
    """Room for one tile, and lists of cells.

    Parameters ``cell``, weights ``w``, their places ``at`` in the tile and ``number`` in the array, ``step``
    of `mean_steps`, normals ``z`` and ``words``; ``signed`` pulses and sorting ``key`` of each cell,
    the ``first`` entry of each key and the ``next`` one to be filled; two rows ``sums`` for bursts. Lists of
    cells, numbers ``cells`` and pulses ``counts`` [2, twice a tile] of ``length`` [2]: untouched ones, and
    those of which two pulses are done. ``begin`` and ``rest``: addresses of what applies the first pulses of
    a tile, and those that are left (`sptrack.kernels.pointers`).
    """

    cell: Array
    w: Array
    step: Array
    z: Array
    words: Array
    at: Array
    number: Array
    signed: Array
    key: Array
    first: Array
    next: Array
    sums: Array
    cells: Array
    counts: Array
    length: Array
    begin: int
    rest: int


def pulse_scratch(law: Any, noise: Any, draws: Any, weight: Array) -> Scratch:
    """Scratch for pulses on ``weight`` [cells], with the addresses for records of these types."""
    made = Scratch(
        np.zeros((law.cell.shape[0], TILE), law.cell.dtype),
        np.zeros(TILE, weight.dtype),
        np.zeros((2 * STEP_ROWS, TILE), weight.dtype),
        np.zeros((4, TILE), np.float32),
        np.zeros((4, TILE), np.uint32),
        np.zeros(TILE, np.uint32),
        np.zeros(TILE, np.uint32),
        np.zeros(TILE, np.int32),
        np.zeros(TILE, np.uint32),
        np.zeros(WINDOW + 1, np.uint32),
        np.zeros(WINDOW + 1, np.uint32),
        np.empty((2, TILE), weight.dtype),
        np.empty((2, 2 * TILE), np.uint32),
        np.empty((2, 2 * TILE), np.int32),
        np.zeros(2, np.int64),
        0,
        0,
    )
    whole, many = types.int64, types.uint32
    begin = address(_apply_tile, law, noise, draws, made.number, made.signed, whole, types.boolean, made)
    rest = address(_sorted_pulses, law, noise, draws, law.cell, weight, many, whole, made)
    return made._replace(begin=begin, rest=rest)


@inline
def scratch_views(real: Any, unsigned: Any, signed: Any, length: Any, rows: Any, places: Any) -> Any:
    """`Scratch` for so many parameters within the arrays of `scratch_arrays`; ``places``: its addresses."""
    step, z = rows + 1, rows + 1 + 2 * STEP_ROWS
    return Scratch(
        real[:rows],
        real[rows],
        real[step:z],
        real[z : z + 4],
        unsigned[:4],
        unsigned[4],
        unsigned[5],
        signed[0],
        unsigned[6],
        unsigned[7, : WINDOW + 1],
        unsigned[8, : WINDOW + 1],
        real[z + 4 : z + 6],
        unsigned[9:11],
        signed[1:3],
        length,
        places[0],
        places[1],
    )


def scratch_arrays(rows: int) -> tuple[Array, Array, Array, Array]:
    """Room for `scratch_views` of cells of up to so many rows, in float32."""
    return (
        np.zeros((rows + 7 + 2 * STEP_ROWS, TILE), np.float32),
        np.zeros((11, 2 * TILE), np.uint32),
        np.zeros((3, 2 * TILE), np.int32),
        np.zeros(2, np.int64),
    )


@disjoint_tile
def _sort(cells: Any, counts: Any, n: Any, origin: Any, past: Any, s: Any) -> Any:
    """Sort the first ``n`` cells of a list by their next pulses, most first, after ``past`` of each.

    Returns how many have some, and whether any has more than `WINDOW`.
    """
    most = np.int32(0)
    for i in range(np.uint64(n)):
        left = np.int32(abs(counts[i])) - np.int32(past)
        most = np.int32(left) if left > most else most
        soon = left if left < WINDOW else WINDOW
        s.key[i] = np.uint32(WINDOW - soon if soon > 0 else WINDOW)
    for k in range(WINDOW + 1):
        s.next[k] = 0
    for i in range(np.uint64(n)):
        s.next[s.key[i]] += np.uint32(1)
    total = np.uint32(0)
    for k in range(WINDOW + 1):
        number = s.next[k]
        s.first[k] = total
        s.next[k] = total
        total += number
    for i in range(np.uint64(n)):
        key = s.key[i]
        place = s.next[key]
        s.next[key] = place + np.uint32(1)
        s.number[place] = cells[i]
        s.at[place] = cells[i] - origin
        s.signed[place] = counts[i]
    return np.int64(s.first[WINDOW]), most > WINDOW


@disjoint_tile
def _gather(cell: Any, w: Any, at: Any, n: Any, s: Any) -> None:
    """Copy the ``n`` cells at the places ``at`` to scratch."""
    for row in range(cell.shape[0]):
        for i in range(np.uint64(n)):
            s.cell[row, i] = cell[row, at[i]]
    for i in range(np.uint64(n)):
        s.w[i] = w[at[i]]


@disjoint_tile
def _sorted_pulses(
    law: Any, noise: Any, draws: Any, cell: Any, w: Any, origin: Any, past: Any, s: Any
) -> None:
    """Apply the pulses from number ``past`` on (even) of the cells of the second list."""
    n = min(np.int64(TILE), s.length[1])
    more = True
    while more:
        found, more = _sort(s.cells[1], s.counts[1], n, origin, past, s)
        _gather(cell, w, s.at, found, s)
        for k in range(WINDOW):
            active, pulse = np.int64(s.first[WINDOW - k]), past + k
            if active == 0:
                break
            drawn = (active + _ROUND) & ~_ROUND  # those that have no pulse left stay where they are
            if noise.active and (k == 0 or pulse & 3 == 0):
                block = np.uint32(pulse >> 2)
                draw_words(s.words, 0, drawn, draws.noise, block, draws.event, s.number, draws.array)
            if noise.active and pulse & 1 == 0:
                draw_normals(s.z, s.words, 0, drawn, (pulse >> 1) & 1)
            signed_tile(law, noise, s.cell, s.w, s.z[pulse & 3], (s.signed, np.int32(pulse)), drawn, s.step)
        for i in range(np.uint64(found)):
            w[s.at[i]] = s.w[i]
        past += WINDOW


@disjoint_tile
def burst_tile(law: Any, noise: Any, cell: Any, w: Any, z: Any, count: Any, sums: Any) -> None:
    """Apply ``count[i]`` signed pulses to ``w[i]`` at once, in closed form: cells of a `LINEAR` law.

    n pulses move the mean by step(w) S_n, S_n = ((1 + s)^n - 1)/s with the signed slope s per pulse. S_n
    is built from the bits of n: S_(a+b) = S_a + (1 + s S_a) S_b. The noise is one normal times sqrt(n)
    times the noise of the first step, ``z`` [>= n] being the normal; the result is clipped once. ``sums``
    are two rows of scratch.
    """
    total, power = sums
    n = len(count)
    most = 0
    for i in range(n):
        most = max(most, abs(count[i]))
    if most == 0:
        return
    for i in range(n):
        total[i] = 0
        power[i] = 1
    bit = 0
    while most >> bit:
        for i in range(n):
            slope = cell[SLOPE_UP, i] if count[i] > 0 else -cell[SLOPE_DOWN, i]
            grown = total[i] + (type(slope)(1) + slope * total[i]) * power[i]
            total[i] = grown if (abs(count[i]) >> bit) & 1 else total[i]
            power[i] = power[i] * (type(slope)(2) + slope * power[i])
        bit += 1
    for i in range(n):
        up = count[i] > 0
        rising, falling = cell[UP, i] + cell[SLOPE_UP, i] * w[i], cell[DOWN, i] + cell[SLOPE_DOWN, i] * w[i]
        scale_up, scale_down = cell[UP, i], cell[DOWN, i]
        step, scale = (rising if up else falling), (scale_up if up else scale_down)
        root = type(step)(math.sqrt(type(step)(abs(count[i]))))
        if noise.kind == PROPORTIONAL:
            noisy = step * (type(step)(1) + noise.relative * (root * z[i]))
        else:
            noisy = with_noise(noise, step, scale, w[i], root * z[i])
        push = step * total[i] + (noisy - step)
        moved = w[i] + (push if up else -push)
        moved = clip(moved, cell[LOWER, i], cell[UPPER, i])
        w[i] = moved if count[i] != 0 else w[i]


@inline
def event_normals(z: Any, words: Any, n: Any, draws: Any, index: Any) -> Any:
    """The one normal per cell that a burst takes, and those of the three events around it, into ``z``.

    Events share counters in fours; the row of this event is returned.
    """
    renew_normals(z, words, n, draws.noise, draws.event, index, draws.array)
    return draws.event & 3


@disjoint_tile
def _apply_tile(law: Any, noise: Any, draws: Any, index: Any, count: Any, n: Any, burst: Any, s: Any) -> None:
    """Apply the first two pulses of each of ``n`` cells in scratch, or a burst of all."""
    if burst:
        row = np.int64(draws.event & 3)
        if noise.active:
            block = np.uint32(draws.event >> 2)
            draw_words(s.words, 0, n, draws.noise, block, np.uint32(0), index, draws.array)
            draw_normals(s.z, s.words, 0, n, row >> 1)
        burst_tile(law, noise, s.cell, s.w, s.z[row], count[:n], (s.sums[0], s.sums[1]))
        return
    if noise.active:
        draw_words(s.words, 0, n, draws.noise, np.uint32(0), draws.event, index, draws.array)
        draw_normals(s.z, s.words, 0, n, 0)
    for k in range(2):
        signed_tile(law, noise, s.cell, s.w, s.z[k], (count, np.int32(k)), n, s.step)


@disjoint_tile
def _append(which: Any, index: Any, count: Any, n: Any, past: Any, s: Any) -> None:
    """Append the cells that have more than ``past`` pulses to a list."""
    cells, counts = s.cells[which], s.counts[which]
    length = np.uint64(s.length[which])
    for i in range(np.uint64(n)):
        cells[length] = index[i]
        counts[length] = count[i]
        length += np.uint64(abs(count[i]) > np.int32(past))
    s.length[which] = np.int64(length)


@disjoint_tile
def _take_off(which: Any, s: Any) -> None:
    """Take the first tile off a list."""
    cells, counts = s.cells[which], s.counts[which]
    left = max(s.length[which] - TILE, 0)
    for i in range(left):
        cells[i] = cells[TILE + i]
        counts[i] = counts[TILE + i]
    s.length[which] = left


@inline
def _finish_later(index: Any, count: Any, n: Any, work: Any, s: Any) -> None:
    """Append what has more than two pulses to the second list, and work off a tile of it that is full."""
    law, noise, draws, cell, w, origin = work
    _append(1, index, count, n, 2, s)
    if s.length[1] >= TILE:
        call(s.rest, (law, noise, draws, cell, w, np.uint32(origin), np.int64(2), s))
        _take_off(1, s)


@disjoint_tile
def _work_off(work: Any, burst: Any, s: Any) -> None:
    """Pulse the first tile of the list of untouched cells."""
    law, noise, draws, cell, w, origin = work
    n = min(np.int64(TILE), s.length[0])
    index, count = s.cells[0], s.counts[0]
    for i in range(np.uint64(n)):
        s.at[i] = index[i] - origin
    _gather(cell, w, s.at, n, s)
    call(s.begin, (law, noise, draws, index, count, np.int64(n), bool(burst), s))
    for i in range(np.uint64(n)):
        w[s.at[i]] = s.w[i]
    if not burst:
        _finish_later(index, count, n, work, s)
    _take_off(0, s)


@disjoint_tile
def add_tile(work: Any, start: Any, count: Any, n: Any, burst: Any, s: Any) -> None:
    """Apply ``count[i]`` signed pulses to the cells ``start`` + i for i < n, now or when `finish` is called.

    ``work`` = (law, noise, draws, parameters, weights, origin): the first cell of parameters and weights is
    number ``origin`` of the array. Pulse k takes normal k of the event.
    """
    law, noise, draws, cell, w, origin = work
    pulsed = np.int32(0)
    for i in range(np.uint64(n)):
        s.number[i] = np.uint32(start + np.uint32(i))
    for i in range(np.uint64(n)):
        pulsed = np.int32(pulsed + np.int32(count[i] != 0))
    if 8 * pulsed < 5 * n:
        _append(0, s.number, count, n, 0, s)
        if s.length[0] >= TILE:
            _work_off(work, burst, s)
        return
    first = np.uint64(start) - np.uint64(origin)
    for row in range(cell.shape[0]):
        for i in range(np.uint64(n)):
            s.cell[row, i] = cell[row, first + i]
    for i in range(np.uint64(n)):
        s.w[i] = w[first + i]
    call(s.begin, (law, noise, draws, s.number, count, np.int64(n), bool(burst), s))
    for i in range(np.uint64(n)):
        w[first + i] = s.w[i]
    if not burst:
        _finish_later(s.number, count, n, work, s)


@disjoint_tile
def finish(work: Any, burst: Any, s: Any) -> None:
    """Apply the pulses that are still on the lists."""
    if s.length[0] > 0:
        _work_off(work, burst, s)
    law, noise, draws, cell, w, origin = work
    while s.length[1] > 0:
        call(s.rest, (law, noise, draws, cell, w, np.uint32(origin), np.int64(2), s))
        _take_off(1, s)


@inline
def sequence_tile(
    law: Any, noise: Any, draws: Any, cell: Any, w: Any, index: Any, count: Any, scratch: Any
) -> None:
    """Apply ``count[i]`` signed pulses to ``w[i]``, one after the other, for all i < len(count).

    ``index`` are numbers of neighbours in the array, ``scratch`` is a `Scratch`.
    """
    work = (law, noise, draws, cell, w, index[0])
    for first in range(0, len(count), TILE):
        n = min(TILE, len(count) - first)
        add_tile(work, index[first], count[first:], n, False, scratch)
    finish(work, False, scratch)


@disjoint_tile
def _count_pulses(pulsed: Any, count: Any, n: Any) -> None:
    for i in range(np.uint64(n)):
        pulsed[i] += np.int64(abs(count[i]))


@kernel
def apply_counts(
    law: Any, noise: Any, draws: Any, arrays: Any, cells: Any, counts: Array, burst: bool, scratch: Scratch
) -> None:
    """Apply signed ``counts`` [cells] (int32) to cells[0] <= i < cells[1], in sequence or as a burst.

    ``arrays`` = (weights [cells], pulses so far [cells] (int64), counted on).
    """
    weight, pulsed = arrays
    work = (law, noise, draws, law.cell, weight, np.uint32(0))
    for start in range(cells[0], cells[1], TILE):
        n = min(TILE, cells[1] - start)
        _count_pulses(pulsed[start:], counts[start:], n)
        add_tile(work, np.uint32(start), counts[start:], n, burst, scratch)
    finish(work, burst, scratch)


@disjoint_tile
def _fire(words: Any, threshold: Any, slots: Any, slot: Any, n: Any) -> None:
    """Bits of the slots from ``slot`` on of ``n`` lines, one for each row of ``words``."""
    for k in range(words.shape[0]):
        place = np.uint32((slot + k) & (SLOTS - 1))
        for i in range(np.uint64(n)):
            slots[i] |= np.uint32(np.uint64(words[k, i]) < threshold[i]) << place


@kernel
def draw_firing(
    probability: Array, key: Any, event: np.uint32, array: np.uint32, length: int, slots: Array
) -> None:
    """Stochastic pulse trains of ``length`` slots as bits of ``slots`` [words, lines].

    Line k fires in a slot with ``probability[k]``.
    """
    lines = slots.shape[1]
    words, index, threshold = np.empty((4, lines), np.uint32), np.empty(lines, np.uint32), np.empty(lines, np.uint64)
    for line in range(lines):
        index[line] = np.uint32(line)
        threshold[line] = np.uint64(min(max(probability[line], 0.0), 1.0) * 2.0**32)
    slots[:] = np.uint32(0)
    for slot in range(0, length, 4):
        draw_words(words, 0, lines, key, np.uint32(slot // 4), event, index, array)
        _fire(words[: length - slot], threshold, slots[slot // SLOTS], slot, lines)


@inline
def _ones(word: Any) -> Any:
    """Number of bits set in a uint32."""
    word = np.uint32(word - (np.uint32(word >> 1) & np.uint32(0x55555555)))
    pairs = np.uint32(np.uint32(word >> 2) & np.uint32(0x33333333))
    word = np.uint32(np.uint32(word & np.uint32(0x33333333)) + pairs)
    word = np.uint32(np.uint32(word + np.uint32(word >> 4)) & np.uint32(0x0F0F0F0F))
    return np.int32(np.uint32(word * np.uint32(0x01010101)) >> 24)


@disjoint_tile
def _coincidences(row: Any, columns: Any, sign: Any, counts: Any) -> None:
    """Signed pulses of one row into ``counts`` [columns]."""
    n = np.uint64(counts.shape[0])
    for c in range(n):
        counts[c] = 0
    for word in range(row.shape[0]):
        mine, theirs = row[word], columns.slots[word]
        for c in range(n):
            counts[c] += _ones(np.uint32(mine & theirs[c]))
    for c in range(n):
        counts[c] *= sign * columns.sign[c]


@kernel
def outer_product(rows: Any, lines: Any, counts: Array) -> None:
    """Signed pulses of a coincidence update, rows rows[0] <= r < rows[1]: one in each slot where lines meet.

    ``lines`` = (row lines, column lines); the direction is the product of the signs. All pulses of a cell
    have one direction, so their number decides: ``counts`` [cells] (int32).
    """
    own, columns = lines
    width, words = columns.sign.shape[0], own.slots.shape[0]
    row = np.empty(words, np.uint32)
    for r in range(rows[0], rows[1]):
        for word in range(words):
            row[word] = own.slots[word, r]
        _coincidences(row, columns, own.sign[r], counts[r * width : (r + 1) * width])
