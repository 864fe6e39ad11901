"""Sparse updates: a signed number of pulses per cell, visiting only the cells that are pulsed.

Cells to be pulsed are collected in lists of one tile, copied to scratch, pulsed there one pulse after the
other (each sees the weight left by the last and has a normal draw of its own), and written back.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import allocating, inline, kernel
from sptrack.kernels.pulses import TILE, clip, either, noisy
from sptrack.kernels.random import normals_tile, philox, words_tile
from sptrack.kernels.responses import DOWN, LOWER, SLOPE_DOWN, SLOPE_UP, UP, UPPER, step_down, step_up

Array = NDArray[Any]


class Lines(NamedTuple):
    """Which lines of one side of the array fire in which slots, as lists.

    ``start`` [lists + 1] cuts ``entry`` into lists: the slots of each row, or the columns of each slot.
    ``sign`` [lines] is +1 or -1, the direction in which a line pulls.
    """

    start: Array
    entry: Array
    sign: Array


@inline
def sequence_tile(
    law: Any, noise: Any, draws: Any, cell: Any, w: Any, index: Any, count: Any, scratch: Any
) -> None:
    """Apply ``count[i]`` signed pulses to ``w[i]``, one after the other, for all i < len(count).

    ``scratch`` = (normals [4, tile], words [4, tile]); pulse k takes normal k of the event.
    """
    z, words = scratch
    n = len(count)
    most = 0
    for i in range(n):
        most = max(most, abs(count[i]))
    for k in range(most):
        if noise.active and k & 1 == 0:
            if k & 3 == 0:
                words_tile(words, n, draws.noise, np.uint32(k >> 2), draws.event, index, draws.array)
            normals_tile(z, words, n, (k >> 1) & 1)
        normal = z[k & 3]
        for i in range(n):
            moved = either(law, noise, cell, i, w[i], normal[i], count[i] > 0)
            w[i] = moved if abs(count[i]) > k else w[i]


@inline
def burst_tile(law: Any, noise: Any, cell: Any, w: Any, z: Any, count: Any, sums: Any) -> None:
    """Apply ``count[i]`` signed pulses to ``w[i]`` at once, in closed form: cells of a `LinearLaw`.

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
        rising, falling = step_up(law, cell, i, w[i]), step_down(law, cell, i, w[i])
        scale_up, scale_down = cell[UP, i], cell[DOWN, i]
        step, scale = (rising if up else falling), (scale_up if up else scale_down)
        root = type(step)(math.sqrt(type(step)(abs(count[i]))))
        push = step * total[i] + (noisy(noise, step, scale, w[i], root * z[i]) - step)
        moved = w[i] + (push if up else -push)
        moved = clip(moved, cell[LOWER, i], cell[UPPER, i])
        w[i] = moved if count[i] != 0 else w[i]


@inline
def event_normals(z: Any, words: Any, n: Any, draws: Any, index: Any) -> Any:
    """The one normal per cell that a burst takes, and those of the three events around it, into ``z``.

    Events share counters in fours; the row of this event is returned.
    """
    words_tile(words, n, draws.noise, np.uint32(draws.event >> 2), np.uint32(0), index, draws.array)
    normals_tile(z, words, n, 0)
    normals_tile(z, words, n, 1)
    return draws.event & 3


@inline
def pulse_list(
    law: Any, noise: Any, draws: Any, weight: Any, index: Any, count: Any, scratch: Any, burst: Any
) -> None:
    """Apply ``count[i]`` signed pulses to cell ``index[i]`` of ``weight``: up to `TILE` cells, none twice."""
    cell, w, z, words, total, power = scratch
    n = len(count)
    for i in range(n):
        w[i] = weight[index[i]]
    for row in range(cell.shape[0]):
        for i in range(n):
            cell[row, i] = law.cell[row, index[i]]
    if burst:
        row = event_normals(z, words, n, draws, index)
        burst_tile(law, noise, cell, w, z[row], count, (total, power))
    else:
        sequence_tile(law, noise, draws, cell, w, index, count, (z, words))
    for i in range(n):
        weight[index[i]] = w[i]


@allocating
def list_scratch(law: Any, weight: Any) -> Any:
    """Room for one tile: parameters, weights, normals, words, and two rows for bursts."""
    return (
        np.empty((law.cell.shape[0], TILE), law.cell.dtype),
        np.empty(TILE, weight.dtype),
        np.zeros((4, TILE), np.float32),
        np.empty((4, TILE), np.uint32),
        np.empty(TILE, weight.dtype),
        np.empty(TILE, weight.dtype),
    )


@kernel
def apply_counts(
    law: Any, noise: Any, draws: Any, weight: Array, cells: Any, counts: Array, burst: bool
) -> None:
    """Apply signed ``counts`` [cells] (int32) to cells[0] <= i < cells[1], in sequence or as a burst."""
    scratch = list_scratch(law, weight)
    index = np.empty(TILE, np.uint32)
    count = np.empty(TILE, np.int32)
    n = 0
    for i in range(cells[0], cells[1]):
        index[n] = np.uint32(i)
        count[n] = counts[i]
        n += 1 if counts[i] != 0 else 0
        if n == TILE:
            pulse_list(law, noise, draws, weight, index, count, scratch, burst)
            n = 0
    pulse_list(law, noise, draws, weight, index[:n], count[:n], scratch, burst)


@kernel
def draw_firing(probability: Array, key: Any, event: np.uint32, array: np.uint32, fires: Array) -> None:
    """Stochastic pulse trains: ``fires`` [lines, slots] (bool), line k on with ``probability[k]``."""
    for line in range(fires.shape[0]):
        threshold = np.uint64(min(max(probability[line], 0.0), 1.0) * 2.0**32)
        for block in range((fires.shape[1] + 3) // 4):
            words = philox(np.uint32(block), event, np.uint32(line), array, key.low, key.high)
            for k in range(min(4, fires.shape[1] - 4 * block)):
                fires[line, 4 * block + k] = np.uint64(words[k]) < threshold


@kernel
def outer_product(
    law: Any, noise: Any, draws: Any, weight: Array, rows: Any, lines: Any, pulsed: Array
) -> None:
    """Coincidence update of rows rows[0] <= r < rows[1]: a pulse in each slot where both lines fire.

    ``lines`` = (row lines, column lines); the direction is the product of the signs. All pulses of a cell
    have one direction, so their number decides. ``pulsed`` [cells] (uint16 or wider) is increased by the
    number of pulses.
    """
    row_lines, columns = lines
    width = columns.sign.shape[0]
    scratch = list_scratch(law, weight)
    index = np.empty(TILE, np.uint32)
    count = np.empty(TILE, np.int32)
    hits = np.zeros(width, np.int32)
    touched = np.empty(width + 1, np.uint32)
    n = 0
    for r in range(rows[0], rows[1]):
        found = np.uint32(0)
        for k in range(row_lines.start[r], row_lines.start[r + 1]):
            slot = row_lines.entry[k]
            for c in columns.entry[columns.start[slot] : columns.start[slot + 1]]:
                before = hits[c]
                touched[found] = c
                found += np.uint32(before == 0)
                hits[c] = before + 1
        first, sign = np.uint32(r * width), row_lines.sign[r]
        for c in touched[:found]:
            hit = hits[c]
            hits[c] = 0
            index[n] = first + c
            count[n] = hit * sign * columns.sign[c]
            pulsed[first + c] += hit
            n += 1
            if n == TILE:
                pulse_list(law, noise, draws, weight, index, count, scratch, False)
                n = 0
    pulse_list(law, noise, draws, weight, index[:n], count[:n], scratch, False)
