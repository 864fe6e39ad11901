"""Choppers and what undoes them, as tile functions of a chain (`sptrack.kernels.stages`).

Signs +1 and -1 are functions of sample number and group alone. Cells i with equal i modulo ``groups`` share a
sign: 1 group for the whole array, as many as columns, or as many as cells. The first of a source's two rows
of memory holds the sign of each cell, the second the flips of four samples (telegraph).
"""

from typing import Any

import numpy as np

from sptrack.kernels._jit import tile_function
from sptrack.kernels.random import philox
from sptrack.kernels.stages import (
    COUNT,
    GROUPS,
    KEY_HIGH,
    KEY_LOW,
    PATTERN,
    PERIOD,
    ROW,
    SOURCE,
    STAGGER,
    TELEGRAPH,
    THRESHOLD,
)

SIGN_ROWS = 2


@tile_function
def _telegraph_signs(
    groups: Any, threshold: Any, key: Any, memory: Any, row: Any, k: Any, start: Any, n: Any
) -> None:
    """Bring the signs of ``n`` cells from sample ``k`` - 1 to sample ``k``."""
    sign, flips = memory[row], memory[row + 1]
    if k & 3 == 0:
        drawn = min(n, groups)
        for i in range(drawn):
            group = np.uint32((start + i) % groups)
            w0, w1, w2, w3 = philox(np.uint32(k >> 2), np.uint32(0), group, np.uint32(0), key[0], key[1])
            first = np.int64(np.int64(w0) < threshold) + 2 * np.int64(np.int64(w1) < threshold)
            flips[i] = first + 4 * np.int64(np.int64(w2) < threshold) + 8 * np.int64(np.int64(w3) < threshold)
        for i in range(drawn, n):
            flips[i] = flips[i - drawn]
    if k == 0:
        for i in range(n):
            sign[i] = 1.0
        return
    shift = k & 3
    for i in range(n):
        sign[i] = -sign[i] if (np.int64(flips[i]) >> shift) & 1 else sign[i]


@tile_function
def _pattern_signs(
    groups: Any, stagger: Any, pattern: Any, memory: Any, row: Any, k: Any, start: Any, n: Any
) -> None:
    """Signs of sample ``k``; arguments as in `telegraph_signs`."""
    sign = memory[row]
    period = pattern.shape[0]
    for i in range(n):
        ahead = (start + i) % groups * stagger
        sign[i] = pattern[(k + ahead) % period]


@tile_function
def _sign_row(code: Any, number: Any, memory: Any, row: Any, k: Any, start: Any, n: Any) -> None:
    """Bring the signs in ``row`` of the memory to those of sample ``k``."""
    if code[SOURCE] == TELEGRAPH:
        key = (np.uint32(code[KEY_LOW]), np.uint32(code[KEY_HIGH]))
        _telegraph_signs(code[GROUPS], code[THRESHOLD], key, memory, row, k, start, n)
    else:
        pattern = number[code[PATTERN] : code[PATTERN] + code[PERIOD]]
        _pattern_signs(code[GROUPS], code[STAGGER], pattern, memory, row, k, start, n)


def chop_tile(code: Any, number: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Input times sign; rows: those of the source of signs."""
    k, start, rows, n = at
    sign = memory[code[ROW]]
    for r in range(rows):
        _sign_row(code, number, memory, code[ROW], k + r, start, n)
        sample = x[r]
        for i in range(n):
            sample[i] *= sign[i]


@tile_function
def _copy_row(memory: Any, source: Any, target: Any, n: Any) -> None:
    for i in range(n):
        memory[target, i] = memory[source, i]


def flips_tile(code: Any, number: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Flips of the source of signs into ``flip``; rows: sign before, then those of the source."""
    k, start, rows, n = at
    before, sign = memory[code[ROW]], memory[code[ROW] + 1]
    for r in range(rows):
        _copy_row(memory, code[ROW] + 1, code[ROW], n)
        _sign_row(code, number, memory, code[ROW] + 1, k + r, start, n)
        flips = flip[r]
        for i in range(n):
            flips[i] = 1 if k + r > 0 and sign[i] != before[i] else 0


def demodulate_tile(code: Any, number: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Sign times input, held for ``count`` samples from each flip on; rows: output, samples still to hold,
    sign before, then those of the source of signs."""
    k, start, rows, n = at
    row, hold = code[ROW], float(code[COUNT])
    output, waiting, before, sign = memory[row], memory[row + 1], memory[row + 2], memory[row + 3]
    for r in range(rows):
        _copy_row(memory, row + 3, row + 2, n)
        _sign_row(code, number, memory, row + 3, k + r, start, n)
        sample, started = x[r], k + r > 0
        for i in range(n):
            rest = max(waiting[i] - 1.0, 0.0)
            waiting[i] = hold if started and sign[i] != before[i] else rest
            output[i] = sign[i] * sample[i] if waiting[i] == 0 else output[i]
            sample[i] = output[i]


def lock_in_tile(code: Any, number: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Mean of the demodulated input over the last two stretches between flips.

    Rows: output, mean and length of this stretch, mean of the last, whether one has ended, sign before, then
    those of the source of signs. Stretches alternate in sign, so a constant added to the input cancels in the
    mean of two, whatever their lengths.
    """
    k, start, rows, n = at
    row = code[ROW]
    output, mean, length, last, ended = (
        memory[row],
        memory[row + 1],
        memory[row + 2],
        memory[row + 3],
        memory[row + 4],
    )
    before, sign = memory[row + 5], memory[row + 6]
    for r in range(rows):
        _copy_row(memory, row + 6, row + 5, n)
        _sign_row(code, number, memory, row + 6, k + r, start, n)
        sample = x[r]
        for i in range(n):
            if k + r > 0 and sign[i] != before[i]:
                output[i] = 0.5 * (mean[i] + last[i]) if ended[i] > 0 else output[i]
                last[i], mean[i], length[i], ended[i] = mean[i], 0.0, 0.0, 1.0
            length[i] += 1.0
            mean[i] += (sign[i] * sample[i] - mean[i]) / length[i]
            sample[i] = output[i]
