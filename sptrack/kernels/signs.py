"""Choppers and what undoes them, as tile functions of a chain (`sptrack.kernels.stages`)."""

from typing import Any

from sptrack.kernels._jit import tile_function
from sptrack.kernels.stages import COUNT, GROUPS, ROW, SIGN


@tile_function
def _spread(code: Any, sign: Any, row: Any, start: Any, n: Any, out: Any) -> None:
    """Signs of the cells in ``row`` into ``out`` [>= n]."""
    groups, first = code[GROUPS], code[SIGN]
    if groups == 1:
        for i in range(n):
            out[i] = sign[row, first]
    else:
        for i in range(n):
            out[i] = sign[row, first + (start + i) % groups]


def chop_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Input times sign; one row of scratch."""
    _, start, rows, n, place = at
    now = memory[code[ROW]]
    for r in range(rows):
        _spread(code, sign, place + r + 1, start, n, now)
        sample = x[r]
        for i in range(n):
            sample[i] *= now[i]


def flips_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Flips of the chopper into ``flip``; two rows of scratch."""
    _, start, rows, n, place = at
    before, now = memory[code[ROW]], memory[code[ROW] + 1]
    for r in range(rows):
        _spread(code, sign, place + r, start, n, before)
        _spread(code, sign, place + r + 1, start, n, now)
        flips = flip[r]
        for i in range(n):
            flips[i] = 1 if now[i] != before[i] else 0


def demodulate_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Sign times input, held for ``count`` samples from each flip on.

    Rows: output, samples still to hold, two of scratch.
    """
    _, start, rows, n, place = at
    row, hold = code[ROW], float(code[COUNT])
    output, waiting, before, now = memory[row], memory[row + 1], memory[row + 2], memory[row + 3]
    for r in range(rows):
        _spread(code, sign, place + r, start, n, before)
        _spread(code, sign, place + r + 1, start, n, now)
        sample = x[r]
        for i in range(n):
            rest = max(waiting[i] - 1.0, 0.0)
            waiting[i] = hold if now[i] != before[i] else rest
            output[i] = now[i] * sample[i] if waiting[i] == 0 else output[i]
            sample[i] = output[i]


def lock_in_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Mean of the demodulated input over the last two stretches between flips.

    Rows: output, mean and length of this stretch, mean of the last, whether one has ended, two of scratch.
    Stretches alternate in sign, so a constant added to the input cancels in the mean of two, whatever their
    lengths.
    """
    _, start, rows, n, place = at
    row = code[ROW]
    output, mean, length = memory[row], memory[row + 1], memory[row + 2]
    last, ended, before, now = memory[row + 3], memory[row + 4], memory[row + 5], memory[row + 6]
    for r in range(rows):
        _spread(code, sign, place + r, start, n, before)
        _spread(code, sign, place + r + 1, start, n, now)
        sample = x[r]
        for i in range(n):
            if now[i] != before[i]:
                output[i] = 0.5 * (mean[i] + last[i]) if ended[i] > 0 else output[i]
                last[i], mean[i], length[i], ended[i] = mean[i], 0.0, 0.0, 1.0
            length[i] += 1.0
            mean[i] += (now[i] * sample[i] - mean[i]) / length[i]
            sample[i] = output[i]
