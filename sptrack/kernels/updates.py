"""Sparse updates: a signed number of pulses per cell, one after the other or in closed form.

Cells to be pulsed are sorted by their number of pulses: falls first, the fewest pulses first, then rises, the
most first. Those that still have pulses left are then one run of the list, split in two at a fixed place, and
every pulse is two plain loops over as many cells as it moves. The list is copied to scratch and back.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import allocating, inline, kernel, tile_function
from sptrack.kernels.pulses import PROPORTIONAL, clip, pulse_tile, with_noise
from sptrack.kernels.random import TILE, draw_normals, draw_words, philox, renew_normals
from sptrack.kernels.responses import DOWN, LOWER, SLOPE_DOWN, SLOPE_UP, STEP_ROWS, UP, UPPER

Array = NDArray[Any]

SLOTS = 32
"""Slots in a word of a pulse train."""
WINDOW = 8
"""Pulses for which one sorting lasts; a multiple of the four that share a counter."""
_ROUND = 31
"""Random numbers are drawn for whole vectors: a run of the list is widened to multiples of 32 cells."""


class Lines(NamedTuple):
    """Pulse trains of one side of the array.

    ``slots`` [words, lines] (uint32) has a bit for each of 32 slots in which a line fires; ``sign`` [lines]
    is +1 or -1, the direction in which a line pulls.
    """

    slots: Array
    sign: Array


class Scratch(NamedTuple):
    """Room for the sorted list of one tile.

    Parameters ``cell``, weights ``w``, their places ``at`` in the tile and numbers ``index`` in the array,
    ``step`` of `mean_steps`, normals ``z`` and ``words``; sorting ``key`` of each cell, the ``first`` entry
    of each key and the ``next`` one to be filled; two rows ``sums`` for bursts.
    """

    cell: Array
    w: Array
    step: Array
    z: Array
    words: Array
    at: Array
    index: Array
    key: Array
    first: Array
    next: Array
    sums: Array


@allocating
def pulse_scratch(law: Any, weight: Any) -> Any:
    """Scratch of `sequence_tile` for cells of ``law`` and weights like ``weight``."""
    return Scratch(
        np.empty((law.cell.shape[0], TILE), law.cell.dtype),
        np.empty(TILE, weight.dtype),
        np.empty((STEP_ROWS, TILE), weight.dtype),
        np.zeros((4, TILE), np.float32),
        np.zeros((4, TILE), np.uint32),
        np.zeros(TILE, np.uint32),
        np.zeros(TILE, np.uint32),
        np.zeros(TILE, np.uint32),
        np.zeros(2 * WINDOW + 1, np.uint32),
        np.zeros(2 * WINDOW + 1, np.uint32),
        np.empty((2, TILE), weight.dtype),
    )


@inline
def scratch_views(real: Any, whole: Any, rows: Any) -> Any:
    """`Scratch` for cells of so many rows within two arrays of tiles, see `scratch_arrays`."""
    after = rows + 1 + STEP_ROWS
    return Scratch(
        real[:rows],
        real[rows],
        real[rows + 1 : after],
        real[after : after + 4],
        whole[:4],
        whole[4],
        whole[5],
        whole[6],
        whole[7, : 2 * WINDOW + 1],
        whole[8, : 2 * WINDOW + 1],
        real[after + 4 : after + 6],
    )


def scratch_arrays(rows: int) -> tuple[Array, Array]:
    """Room for `scratch_views` of cells of up to so many rows, in float32."""
    return np.zeros((rows + 7 + STEP_ROWS, TILE), np.float32), np.zeros((9, TILE), np.uint32)


@tile_function
def _sort(count: Any, index: Any, origin: Any, first: Any, stop: Any, past: Any, s: Any) -> Any:
    """Sort the cells first <= i < stop by their next pulses, those after the first ``past`` of each.

    Returns how many have some, and whether any has more than `WINDOW`.
    """
    none = 2 * WINDOW
    most = np.int32(0)
    n = np.uint64(stop - first)
    begin = np.uint64(first)
    for i in range(n):
        number = count[begin + i]
        left = np.int32(abs(number)) - np.int32(past)
        most = max(most, left)
        left = max(min(left, np.int32(WINDOW)), np.int32(0))
        key = left - np.int32(1) if number < 0 else np.int32(none) - left
        s.key[i] = np.uint32(key if left > 0 else none)
    for k in range(s.next.shape[0]):
        s.next[k] = 0
    for i in range(n):
        s.next[s.key[i]] += np.uint32(1)
    total = np.uint32(0)
    for k in range(none + 1):
        number = s.next[k]
        s.first[k] = total
        s.next[k] = total
        total += number
    for i in range(n):
        key = s.key[i]
        place = s.next[key]
        s.next[key] = place + np.uint32(1)
        s.index[place] = index[begin + i]
        s.at[place] = index[begin + i] - origin
    return np.int64(s.first[none]), most > WINDOW


@tile_function
def _gather(source: Any, at: Any, n: Any, out: Any) -> None:
    for row in range(out.shape[0]):
        for i in range(np.uint64(0), np.uint64(n)):
            out[row, i] = source[row, at[i]]


@tile_function
def pulse_cells(
    law: Any,
    noise: Any,
    draws: Any,
    cell: Any,
    w: Any,
    index: Any,
    origin: Any,
    count: Any,
    n: Any,
    scratch: Any,
) -> None:
    """Apply ``count[i]`` signed pulses, one after the other, to cell ``index[i]`` for all i < n, none twice.

    ``cell`` [rows, cells] and ``w`` [cells] hold the cells of the array from number ``origin`` on. Pulse k
    takes normal k of the event.
    """
    s = scratch
    for first in range(0, n, TILE):
        stop = min(first + TILE, n)
        past, more = 0, True
        while more:
            found, more = _sort(count, index, origin, first, stop, past, s)
            _gather(cell, s.at, found, s.cell)
            for i in range(np.uint64(found)):
                s.w[i] = w[s.at[i]]
            middle = np.int64(s.first[WINDOW])
            for k in range(WINDOW):
                begin, end = np.int64(s.first[k]), np.int64(s.first[2 * WINDOW - k])
                if begin == end:
                    break
                low, high = begin & ~_ROUND, (end + _ROUND) & ~_ROUND
                if noise.active and k & 3 == 0:
                    block = np.uint32((past + k) >> 2)
                    draw_words(s.words, low, high, draws.noise, block, draws.event, s.index, draws.array)
                if noise.active and k & 1 == 0:
                    draw_normals(s.z, s.words, low, high, (k >> 1) & 1)
                normal = s.z[k & 3]
                if begin < middle:
                    pulse_tile(law, noise, False, s.cell, s.w, normal, begin, middle, s.step)
                if middle < end:
                    pulse_tile(law, noise, True, s.cell, s.w, normal, middle, end, s.step)
            for i in range(np.uint64(found)):
                w[s.at[i]] = s.w[i]
            past += WINDOW


@inline
def sequence_tile(
    law: Any, noise: Any, draws: Any, cell: Any, w: Any, index: Any, count: Any, scratch: Any
) -> None:
    """Apply ``count[i]`` signed pulses to ``w[i]``, one after the other, for all i < len(count).

    ``index`` are numbers of neighbours in the array, ``scratch`` is a `Scratch`.
    """
    pulse_cells(law, noise, draws, cell, w, index, index[0], count, len(count), scratch)


@tile_function
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


@tile_function
def _burst_cells(
    law: Any, noise: Any, draws: Any, weight: Any, index: Any, count: Any, n: Any, s: Any
) -> None:
    """A burst of ``count[i]`` signed pulses on cell ``index[i]`` of ``weight`` for all i < n, none twice."""
    for first in range(0, n, TILE):
        found = min(TILE, n - first)
        for i in range(found):
            s.index[i] = index[first + i]
            s.w[i] = weight[s.index[i]]
        _gather(law.cell, s.index, found, s.cell)
        row = event_normals(s.z, s.words, found, draws, s.index)
        burst_tile(law, noise, s.cell, s.w, s.z[row], count[first : first + found], (s.sums[0], s.sums[1]))
        for i in range(found):
            weight[s.index[i]] = s.w[i]


@tile_function
def _append(counts: Any, first: Any, index: Any, count: Any, n: Any) -> Any:
    """Append the cells with pulses to the list of ``n``; counts[0] is that of cell ``first``. New length."""
    length = np.uint64(n)
    for i in range(np.uint64(counts.shape[0])):
        index[length] = np.uint32(first + np.uint32(i))
        count[length] = counts[i]
        length += np.uint64(counts[i] != 0)
    return np.int64(length)


@inline
def _keep_rest(index: Any, count: Any, n: Any) -> Any:
    """Move what does not fill a tile to the front of a list of ``n`` cells; their number."""
    rest = n % TILE
    for i in range(rest):
        index[i] = index[n - rest + i]
        count[i] = count[n - rest + i]
    return rest


@kernel
def apply_counts(
    law: Any, noise: Any, draws: Any, weight: Array, cells: Any, counts: Array, burst: bool
) -> None:
    """Apply signed ``counts`` [cells] (int32) to cells[0] <= i < cells[1], in sequence or as a burst."""
    scratch = pulse_scratch(law, weight)
    index, count = np.empty(5 * TILE, np.uint32), np.empty(5 * TILE, np.int32)
    n = 0
    for start in range(cells[0], cells[1], 4 * TILE):
        stop = min(start + 4 * TILE, cells[1])
        n = _append(counts[start:stop], np.uint32(start), index, count, n)
        whole = n if stop == cells[1] else n - n % TILE
        if burst:
            _burst_cells(law, noise, draws, weight, index, count, whole, scratch)
        else:
            pulse_cells(law, noise, draws, law.cell, weight, index, np.uint32(0), count, whole, scratch)
        n = _keep_rest(index, count, n)


@kernel
def draw_firing(
    probability: Array, key: Any, event: np.uint32, array: np.uint32, length: int, slots: Array
) -> None:
    """Stochastic pulse trains of ``length`` slots: bits of ``slots`` [words, lines], line k on with
    ``probability[k]``.
    """
    for line in range(slots.shape[1]):
        threshold = np.uint64(min(max(probability[line], 0.0), 1.0) * 2.0**32)
        for word in range(slots.shape[0]):
            bits = np.uint32(0)
            for block in range(8 * word, min(8 * word + 8, (length + 3) // 4)):
                drawn = philox(np.uint32(block), event, np.uint32(line), array, key.low, key.high)
                for k in range(4):
                    slot = 4 * block + k
                    fires = slot < length and np.uint64(drawn[k]) < threshold
                    bits = np.uint32(bits | np.uint32(np.uint32(fires) << np.uint32(slot & 31)))
            slots[word, line] = bits


@inline
def _ones(word: Any) -> Any:
    """Number of bits set in a uint32."""
    word = np.uint32(word - (np.uint32(word >> 1) & np.uint32(0x55555555)))
    pairs = np.uint32(np.uint32(word >> 2) & np.uint32(0x33333333))
    word = np.uint32(np.uint32(word & np.uint32(0x33333333)) + pairs)
    word = np.uint32(np.uint32(word + np.uint32(word >> 4)) & np.uint32(0x0F0F0F0F))
    return np.int32(np.uint32(word * np.uint32(0x01010101)) >> 24)


@tile_function
def _coincidences(row: Any, columns: Any, sign: Any, hits: Any, pulsed: Any) -> None:
    """Signed pulses of one row into ``hits`` [columns]; their numbers are added to ``pulsed`` [columns]."""
    n = np.uint64(hits.shape[0])
    for c in range(n):
        hits[c] = 0
    for word in range(row.shape[0]):
        mine, theirs = row[word], columns.slots[word]
        for c in range(n):
            hits[c] += _ones(np.uint32(mine & theirs[c]))
    for c in range(n):
        pulsed[c] += hits[c]
    for c in range(n):
        hits[c] *= sign * columns.sign[c]


@kernel
def outer_product(
    law: Any, noise: Any, draws: Any, weight: Array, rows: Any, lines: Any, pulsed: Array
) -> None:
    """Coincidence update of rows rows[0] <= r < rows[1]: a pulse in each slot where both lines fire.

    ``lines`` = (row lines, column lines); the direction is the product of the signs. All pulses of a cell
    have one direction, so their number decides. ``pulsed`` [cells] (int32) is increased by the number of
    pulses.
    """
    own, columns = lines
    width, words = columns.sign.shape[0], own.slots.shape[0]
    scratch = pulse_scratch(law, weight)
    index, count = np.empty(width + TILE, np.uint32), np.empty(width + TILE, np.int32)
    hits, row = np.zeros(width, np.int32), np.empty(words, np.uint32)
    n = 0
    for r in range(rows[0], rows[1]):
        for word in range(words):
            row[word] = own.slots[word, r]
        cells = pulsed[r * width : (r + 1) * width]
        _coincidences(row, columns, own.sign[r], hits, cells)
        n = _append(hits, np.uint32(r * width), index, count, n)
        whole = n if r == rows[1] - 1 else n - n % TILE
        pulse_cells(law, noise, draws, law.cell, weight, index, np.uint32(0), count, whole, scratch)
        n = _keep_rest(index, count, n)
