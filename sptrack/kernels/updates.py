"""Sparse updates: a signed number of pulses per cell, one after the other or in closed form.

Cells are pulsed a tile at a time, in pairs of pulses. Where most cells of a tile have pulses, the tile is
taken as it is; where few have, these cells are collected in a list until they fill a tile. Cells differ in
their number of pulses: when no more than half of a tile has some left, the others go back to their places and
those that are left move together.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, inline, kernel
from sptrack.kernels.pointers import address, call
from sptrack.kernels.pulses import PROPORTIONAL, clip, signed_tile, with_noise
from sptrack.kernels.random import draw_normals, draw_words, renew_normals
from sptrack.kernels.responses import DOWN, LOWER, SLOPE_DOWN, SLOPE_UP, STEP_ROWS, UP, UPPER

Array = NDArray[Any]

SLOTS = 32
"""Slots in a word of a pulse train."""
TILE = 512
"""Cells that are pulsed together: so many that the few of them with many pulses fill a vector."""
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
    """Room for one tile, and a list of cells that wait for others.

    Parameters ``cell``, weights ``w``, their places ``at`` in the block of cells and ``number`` in the array,
    ``step`` of `mean_steps`, normals ``z`` and ``words``, ``signed`` pulses of each cell; two rows ``sums``
    for bursts. Places ``waiting`` [twice a tile], ``length`` [1] of them. ``pulse``: address of what applies
    the pulses of a tile (`sptrack.kernels.pointers`).
    """

    cell: Array
    w: Array
    step: Array
    z: Array
    words: Array
    at: Array
    number: Array
    signed: Array
    sums: Array
    waiting: Array
    length: Array
    pulse: int


def pulse_scratch(law: Any, noise: Any, draws: Any, weight: Array) -> Scratch:
    """Scratch for pulses on ``weight`` [cells], with the address for records of these types."""
    made = Scratch(
        np.zeros((law.cell.shape[0], TILE), law.cell.dtype),
        np.zeros(TILE, weight.dtype),
        np.zeros((2 * STEP_ROWS, TILE), weight.dtype),
        np.zeros((4, TILE), np.float32),
        np.zeros((4, TILE), np.uint32),
        np.zeros(TILE, np.uint32),
        np.zeros(TILE, np.uint32),
        np.zeros(TILE, np.int32),
        np.zeros((2, TILE), weight.dtype),
        np.zeros(2 * TILE, np.uint32),
        np.zeros(1, np.int64),
        0,
    )
    pulse = address(_pulse_tile, law, noise, draws, law.cell, weight, (0, True, True), made)
    return made._replace(pulse=pulse)


@inline
def scratch_views(real: Any, unsigned: Any, signed: Any, length: Any, rows: Any, pulse: Any) -> Any:
    """`Scratch` for so many parameters within the arrays of `scratch_arrays`; ``pulse``: its address."""
    step, z = rows + 1, rows + 1 + 2 * STEP_ROWS
    return Scratch(
        real[:rows],
        real[rows],
        real[step:z],
        real[z : z + 4],
        unsigned[:4],
        unsigned[4],
        unsigned[5],
        signed,
        real[z + 4 : z + 6],
        unsigned[6],
        length,
        pulse,
    )


def scratch_arrays(rows: int) -> tuple[Array, Array, Array, Array]:
    """Room for `scratch_views` of cells of up to so many rows, in float32."""
    return (
        np.zeros((rows + 7 + 2 * STEP_ROWS, TILE), np.float32),
        np.zeros((7, 2 * TILE), np.uint32),
        np.zeros(TILE, np.int32),
        np.zeros(1, np.int64),
    )


@disjoint_tile
def _gather(cell: Any, w: Any, n: Any, s: Any) -> None:
    """Copy the ``n`` cells at the places ``s.at`` to scratch."""
    at = s.at
    for row in range(cell.shape[0]):
        for i in range(np.uint64(n)):
            s.cell[row, i] = cell[row, at[i]]
    for i in range(np.uint64(n)):
        s.w[i] = w[at[i]]


@disjoint_tile
def _put_back(w: Any, n: Any, together: Any, s: Any) -> None:
    """Copy the weights of the ``n`` cells in scratch to their places, which may be neighbours."""
    at = s.at
    if together:
        first = np.uint64(at[0])
        for i in range(np.uint64(n)):
            w[first + i] = s.w[i]
    else:
        for i in range(np.uint64(n)):
            w[at[i]] = s.w[i]


@disjoint_tile
def _left(signed: Any, past: Any, n: Any) -> Any:
    """Cells of the first ``n`` that have more pulses than are past."""
    number = np.int32(0)
    for i in range(np.uint64(n)):
        number += np.int32(abs(signed[i]) > past)
    return number


@disjoint_tile
def _keep(n: Any, past: Any, s: Any) -> None:
    """Move the cells of the first ``n`` that have more pulses than are past together."""
    kept, signed = s.words[0], s.signed
    found = np.uint64(0)
    for i in range(np.uint64(n)):
        kept[found] = np.uint32(i)
        found += np.uint64(abs(signed[i]) > past)
    for i in range(found):
        s.at[i] = s.at[kept[i]]
        s.number[i] = s.number[kept[i]]
        signed[i] = signed[kept[i]]


@disjoint_tile
def _two_pulses(law: Any, noise: Any, draws: Any, past: Any, n: Any, renew: Any, s: Any) -> None:
    """Pulses number ``past`` (even) and the next of each of the ``n`` cells in scratch that has them."""
    if noise.active:
        if renew:
            block = np.uint32(past >> 2)
            draw_words(s.words, 0, n, draws.noise, block, draws.event, s.number, draws.array)
        draw_normals(s.z, s.words, 0, n, (past >> 1) & 1)
    for k in range(past, past + 2):
        signed_tile(law, noise, s.cell, s.w, s.z[k & 3], (s.signed, np.int32(k)), n, s.step)


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
def _pulse_tile(law: Any, noise: Any, draws: Any, cell: Any, w: Any, tile: Any, s: Any) -> None:
    """Apply the pulses of the cells in scratch and copy their weights to their places in ``w``.

    ``tile`` = (number of cells, whether their places are neighbours, whether as a burst).
    """
    n, together, burst = tile
    if burst:
        row = np.int64(draws.event & 3)
        if noise.active:
            block = np.uint32(draws.event >> 2)
            draw_words(s.words, 0, n, draws.noise, block, np.uint32(0), s.number, draws.array)
            draw_normals(s.z, s.words, 0, n, row >> 1)
        burst_tile(law, noise, s.cell, s.w, s.z[row], s.signed[:n], (s.sums[0], s.sums[1]))
        _put_back(w, n, together, s)
        return
    past, left, renew = np.int64(0), n, True
    while left > 0:
        if 8 * left <= n or (past & 3 == 0 and 2 * left <= n):
            _put_back(w, n, together, s)
            _keep(n, np.int32(past), s)
            n, together, renew = left, False, True
            _gather(cell, w, n, s)
        # those that have no pulse left stay where they are
        _two_pulses(law, noise, draws, past, (n + _ROUND) & ~_ROUND, renew or past & 3 == 0, s)
        past += 2
        renew = False
        left = np.int64(_left(s.signed, np.int32(past), n))
    _put_back(w, n, together, s)


@disjoint_tile
def _append(first: Any, count: Any, n: Any, s: Any) -> None:
    """Append the places of the cells that have pulses to the list."""
    waiting = s.waiting
    length = np.uint64(s.length[0])
    for i in range(np.uint64(n)):
        waiting[length] = np.uint32(first + i)
        length += np.uint64(count[first + i] != 0)
    s.length[0] = np.int64(length)


@disjoint_tile
def _take_off(n: Any, s: Any) -> None:
    """Move the first ``n`` places from the list to the tile."""
    left = s.length[0] - n
    for i in range(np.uint64(n)):
        s.at[i] = s.waiting[i]
    for i in range(np.uint64(left)):
        s.waiting[i] = s.waiting[np.uint64(n) + i]
    s.length[0] = left


@disjoint_tile
def _name(origin: Any, count: Any, n: Any, s: Any) -> None:
    """Numbers and pulses of the ``n`` cells at the places ``s.at``."""
    for i in range(np.uint64(n)):
        s.number[i] = np.uint32(s.at[i] + origin)
        s.signed[i] = count[s.at[i]]


@inline
def _work_off(work: Any, burst: Any, s: Any) -> None:
    """Pulse the first tile of the list."""
    law, noise, draws, cell, w, count, origin = work
    n = min(np.int64(TILE), s.length[0])
    _take_off(n, s)
    _name(origin, count, n, s)
    _gather(cell, w, n, s)
    call(s.pulse, (law, noise, draws, cell, w, (n, False, bool(burst)), s))


@disjoint_tile
def _add_tile(work: Any, first: Any, n: Any, burst: Any, s: Any) -> None:
    """Apply the pulses of the ``n`` cells from ``first`` on, now or when the list is worked off."""
    law, noise, draws, cell, w, count, origin = work
    start = np.uint64(first)
    pulsed = np.int32(0)
    for i in range(np.uint64(n)):
        pulsed = np.int32(pulsed + np.int32(count[start + i] != 0))
    if 8 * pulsed < 5 * n:
        _append(start, count, n, s)
        if s.length[0] >= TILE:
            _work_off(work, burst, s)
        return
    for i in range(np.uint64(n)):
        s.at[i] = np.uint32(start + i)
        s.number[i] = np.uint32(np.uint32(start + i) + origin)
        s.signed[i] = count[start + i]
    for row in range(cell.shape[0]):
        for i in range(np.uint64(n)):
            s.cell[row, i] = cell[row, start + i]
    for i in range(np.uint64(n)):
        s.w[i] = w[start + i]
    call(s.pulse, (law, noise, draws, cell, w, (np.int64(n), True, bool(burst)), s))


@inline
def pulse_cells(work: Any, cells: Any, burst: Any, s: Any) -> None:
    """Apply pulses to the cells at the places cells[0] <= i < cells[1], see `apply_counts`.

    ``work`` = (law, noise, draws, parameters, weights, signed numbers of pulses (int32), origin): place i of
    the arrays is cell i + ``origin``. Pulse k takes normal k of the event.
    """
    for first in range(cells[0], cells[1], TILE):
        _add_tile(work, first, min(TILE, cells[1] - first), burst, s)
    while s.length[0] > 0:
        _work_off(work, burst, s)


@disjoint_tile
def _count_pulses(pulsed: Any, count: Any, cells: Any) -> None:
    for i in range(np.uint64(cells[0]), np.uint64(cells[1])):
        pulsed[i] += np.int64(abs(count[i]))


@kernel
def apply_counts(
    law: Any, noise: Any, draws: Any, arrays: Any, cells: Any, counts: Array, burst: bool, scratch: Scratch
) -> None:
    """Apply signed ``counts`` [cells] (int32) to cells[0] <= i < cells[1], in sequence or as a burst.

    ``arrays`` = (weights [cells], pulses so far [cells] (int64), counted on).
    """
    weight, pulsed = arrays
    _count_pulses(pulsed, counts, cells)
    pulse_cells((law, noise, draws, law.cell, weight, counts, np.uint32(0)), cells, burst, scratch)


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
    words, index, threshold = (
        np.empty((4, lines), np.uint32),
        np.empty(lines, np.uint32),
        np.empty(lines, np.uint64),
    )
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
    return np.int32(np.uint32(np.uint64(word) * np.uint64(0x01010101)) >> 24)


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
