"""Sparse updates: a signed number of pulses per cell, visiting only the cells that are pulsed.

Cells to be pulsed are collected in lists of one tile, copied to scratch, pulsed there one pulse after the other (each
sees the weight left by the last and has a normal draw of its own), and written back.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, kernel
from sptrack.kernels.pulses import TILE, clip, fall, noise_std, rise
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
def pulse_list(law: Any, noise: Any, draws: Any, weight: Any, index: Any, count: Any, n: Any, scratch: Any) -> None:
    """Apply ``count[i]`` signed pulses to cell ``index[i]`` of ``weight`` for i < n <= TILE; no cell twice."""
    cell, w, z, words = scratch
    most = 0
    for i in range(n):
        most = max(most, abs(count[i]))
        w[i] = weight[index[i]]
    for row in range(cell.shape[0]):
        for i in range(n):
            cell[row, i] = law.cell[row, index[i]]
    for k in range(most):
        if noise.active and k & 1 == 0:
            if k & 3 == 0:
                words_tile(words, n, draws.noise, np.uint32(k >> 2), draws.event, index, draws.array)
            normals_tile(z, words, n, (k >> 1) & 1)
        normal = z[k & 3]
        for i in range(n):
            up = rise(law, noise, cell, i, w[i], normal[i])
            down = fall(law, noise, cell, i, w[i], normal[i])
            moved = up if count[i] > 0 else down
            w[i] = moved if abs(count[i]) > k else w[i]
    for i in range(n):
        weight[index[i]] = w[i]


@kernel
def apply_counts(law: Any, noise: Any, draws: Any, weight: Array, cells: Any, counts: Array) -> None:
    """Apply ``counts`` [cells] signed pulses (int32) in sequence to the cells cells[0] <= i < cells[1]."""
    scratch = (
        np.empty((law.cell.shape[0], TILE), law.cell.dtype),
        np.empty(TILE, weight.dtype),
        np.zeros((4, TILE), np.float32),
        np.empty((4, TILE), np.uint32),
    )
    index = np.empty(TILE, np.uint32)
    count = np.empty(TILE, np.int32)
    n = 0
    for i in range(cells[0], cells[1]):
        index[n] = np.uint32(i)
        count[n] = counts[i]
        n += 1 if counts[i] != 0 else 0
        if n == TILE:
            pulse_list(law, noise, draws, weight, index, count, n, scratch)
            n = 0
    pulse_list(law, noise, draws, weight, index, count, n, scratch)


@inline
def burst_map(scale: Any, slope: Any, w: Any, n: Any) -> Any:
    """Weight after ``n`` noise-free pulses of the linear law w <- w + scale + slope w, in closed form."""
    if slope == 0:
        return w + n * scale
    growth = math.expm1(n * math.log1p(slope))
    return w + (w + scale / slope) * growth


@kernel
def apply_burst(law: Any, noise: Any, draws: Any, weight: Array, cells: Any, counts: Array) -> None:
    """Apply ``counts`` [cells] signed pulses at once to cells of a `LinearLaw`: the mean map in closed form plus one
    normal times the noise of one step at the start times sqrt(n), clipped once.
    """
    index = np.empty(TILE, np.uint32)
    z = np.zeros((4, TILE), np.float32)
    words = np.empty((4, TILE), np.uint32)
    for start in range(cells[0], cells[1], TILE):
        n = min(TILE, cells[1] - start)
        for i in range(n):
            index[i] = np.uint32(start + i)
        if noise.active:
            words_tile(words, n, draws.noise, np.uint32(0), draws.event, index, draws.array)
            normals_tile(z, words, n, 0)
        for i in range(n):
            k = start + i
            w = weight[k]
            number = type(w)(abs(counts[k]))
            if counts[k] > 0:
                std = noise_std(noise, step_up(law, law.cell, k, w), law.cell[UP, k], w)
                moved = burst_map(law.cell[UP, k], law.cell[SLOPE_UP, k], w, number)
            else:
                std = -noise_std(noise, step_down(law, law.cell, k, w), law.cell[DOWN, k], w)
                moved = burst_map(-law.cell[DOWN, k], -law.cell[SLOPE_DOWN, k], w, number)
            moved += std * type(w)(math.sqrt(number)) * z[0, i]
            if counts[k] != 0:
                weight[k] = clip(moved, law.cell[LOWER, k], law.cell[UPPER, k])


@kernel
def draw_firing(probability: Array, key: Any, event: np.uint32, array: np.uint32, fires: Array) -> None:
    """Stochastic pulse trains: ``fires`` [lines, slots] (bool), each slot of line k on with ``probability[k]``."""
    for line in range(fires.shape[0]):
        threshold = np.uint64(min(max(probability[line], 0.0), 1.0) * 2.0**32)
        for block in range((fires.shape[1] + 3) // 4):
            words = philox(np.uint32(block), event, np.uint32(line), array, key.low, key.high)
            for k in range(min(4, fires.shape[1] - 4 * block)):
                fires[line, 4 * block + k] = np.uint64(words[k]) < threshold


@kernel
def outer_product(law: Any, noise: Any, draws: Any, weight: Array, rows: Any, lines: Any, pulsed: Array) -> None:
    """Coincidence update of rows rows[0] <= r < rows[1]: cell (r, c) gets a pulse in each slot where both lines fire.

    ``lines`` = (row lines, column lines); the direction is the product of the signs. All pulses of a cell have one
    direction, so their number decides. ``pulsed`` [cells] (uint16 or wider) is increased by the number of pulses.
    """
    row_lines, columns = lines
    width = columns.sign.shape[0]
    scratch = (
        np.empty((law.cell.shape[0], TILE), law.cell.dtype),
        np.empty(TILE, weight.dtype),
        np.zeros((4, TILE), np.float32),
        np.empty((4, TILE), np.uint32),
    )
    index = np.empty(TILE, np.uint32)
    count = np.empty(TILE, np.int32)
    hits = np.zeros(width, np.int32)
    touched = np.empty(width + 1, np.int64)
    n = 0
    for r in range(rows[0], rows[1]):
        found = 0
        for k in range(row_lines.start[r], row_lines.start[r + 1]):
            slot = row_lines.entry[k]
            for m in range(columns.start[slot], columns.start[slot + 1]):
                c = columns.entry[m]
                touched[found] = c
                found += 1 if hits[c] == 0 else 0
                hits[c] += 1
        for k in range(found):
            c = touched[k]
            index[n] = np.uint32(r * width + c)
            count[n] = hits[c] * row_lines.sign[r] * columns.sign[c]
            pulsed[r * width + c] += hits[c]
            hits[c] = 0
            n += 1
            if n == TILE:
                pulse_list(law, noise, draws, weight, index, count, n, scratch)
                n = 0
    pulse_list(law, noise, draws, weight, index, count, n, scratch)
