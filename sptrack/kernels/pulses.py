"""Pulse trains: every cell of a block sees every pulse in turn, with its own cycle noise.

Work is done on tiles: a few hundred cells are copied to scratch, all pulses are applied there, and the result
is copied back. What kind of law, noise and drift there is, is decided once per tile and pulse. Linear steps
with proportional noise keep the weights in registers; all others take two passes, one for the mean steps and
one for noise and bounds.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, inline, kernel
from sptrack.kernels.drift import move_by_pulses
from sptrack.kernels.random import TILE, draw_normals, draw_words
from sptrack.kernels.responses import (
    DOWN,
    LINEAR,
    LOWER,
    SLOPE_DOWN,
    SLOPE_UP,
    STEP_ROWS,
    UP,
    UPPER,
    mean_steps,
)

Array = NDArray[Any]

SHARED, PER_CELL, COIN = 0, 1, 2
"""Who decides the direction of a pulse: one program for all cells, one per cell, a fair coin per cell."""
PROPORTIONAL, MIXED = 0, 1
"""Kinds of cycle noise."""


class Noise(NamedTuple):
    """Cycle-to-cycle noise of a step; no normals are drawn if ``active`` is 0.

    `PROPORTIONAL`: std = relative * step. `MIXED`: std = relative * step + additive * scale + offset + slope
    * |w|, where ``scale`` is the row `UP` or `DOWN` of the law: the reference simulator's additive noise, and
    that of its exponential cells.
    """

    kind: int
    active: int
    relative: Any
    additive: Any
    offset: Any
    slope: Any


class Program(NamedTuple):
    """Directions of ``length`` pulses, the first of which is number ``first`` of its train.

    ``source`` is `SHARED` (``directions`` [length, 1]), `PER_CELL` ([length, cells]) or `COIN` (ignored);
    +1, -1 or 0 each.
    """

    source: int
    directions: Array
    first: int
    length: int


@inline
def clip(w: Any, lower: Any, upper: Any) -> Any:
    """``w`` within its bounds (comparisons in the one order that is a single vector instruction each)."""
    w = lower if lower > w else w
    return upper if upper < w else w


@inline
def with_noise(noise: Any, step: Any, scale: Any, w: Any, z: Any) -> Any:
    """A step with noise of kind `MIXED`, weight units: ``z`` is the normal draw."""
    std = noise.relative * step + noise.additive * scale + noise.offset + noise.slope * abs(w)
    return step + std * z


@inline
def is_plain(law: Any, noise: Any) -> Any:
    """Whether a pulse is a few multiply-adds: linear steps with proportional noise."""
    return law.kind == LINEAR and noise.kind == PROPORTIONAL


@inline
def _rise(cell: Any, relative: Any, i: Any, w: Any, z: Any) -> Any:
    step = cell[UP, i] + cell[SLOPE_UP, i] * w
    return clip(w + step * (type(step)(1) + relative * z), cell[LOWER, i], cell[UPPER, i])


@inline
def _fall(cell: Any, relative: Any, i: Any, w: Any, z: Any) -> Any:
    step = cell[DOWN, i] + cell[SLOPE_DOWN, i] * w
    return clip(w - step * (type(step)(1) + relative * z), cell[LOWER, i], cell[UPPER, i])


@disjoint_tile
def _plain_rises(cell: Any, relative: Any, w: Any, z: Any, n: Any) -> None:
    for i in range(np.uint64(n)):
        w[i] = _rise(cell, relative, i, w[i], z[i])


@disjoint_tile
def _plain_falls(cell: Any, relative: Any, w: Any, z: Any, n: Any) -> None:
    for i in range(np.uint64(n)):
        w[i] = _fall(cell, relative, i, w[i], z[i])


@disjoint_tile
def cycle_tile(cell: Any, relative: Any, w: Any, z: Any, n: Any) -> None:
    """Four pulses up, down, up, down on the first ``n`` cells of a tile, with the normals z[0] to z[3].

    For linear steps with proportional noise; the weights stay in registers between pulses.
    """
    for i in range(np.uint64(n)):
        x = _rise(cell, relative, i, w[i], z[0, i])
        x = _fall(cell, relative, i, x, z[1, i])
        x = _rise(cell, relative, i, x, z[2, i])
        w[i] = _fall(cell, relative, i, x, z[3, i])


@disjoint_tile
def move_tile(noise: Any, up: Any, cell: Any, w: Any, step: Any, z: Any, n: Any) -> None:
    """Move the first ``n`` weights by the mean steps ``step`` [>= n], with noise, within bounds."""
    lower, upper = cell[LOWER], cell[UPPER]
    scale = cell[UP] if up else cell[DOWN]
    sign = w.dtype.type(1 if up else -1)
    if noise.kind == PROPORTIONAL:
        one = w.dtype.type(1)
        for i in range(np.uint64(n)):
            moved = w[i] + (sign * step[i]) * (one + noise.relative * z[i])
            w[i] = clip(moved, lower[i], upper[i])
    else:
        for i in range(np.uint64(n)):
            moved = w[i] + sign * with_noise(noise, step[i], scale[i], w[i], z[i])
            w[i] = clip(moved, lower[i], upper[i])


@inline
def pulse_tile(law: Any, noise: Any, up: Any, cell: Any, w: Any, z: Any, n: Any, step: Any) -> None:
    """One pulse up or down on the first ``n`` cells of a tile; ``step`` is scratch (`mean_steps`)."""
    if is_plain(law, noise):
        if up:
            _plain_rises(cell, noise.relative, w, z, n)
        else:
            _plain_falls(cell, noise.relative, w, z, n)
    else:
        mean_steps(law, up, cell, w, step, n)
        move_tile(noise, up, cell, w, step[0], z, n)


@disjoint_tile
def _plain_signed(cell: Any, relative: Any, w: Any, z: Any, pulses: Any, n: Any) -> None:
    count, past = pulses
    up, down, slope_up, slope_down = cell[UP], cell[DOWN], cell[SLOPE_UP], cell[SLOPE_DOWN]
    lower, upper = cell[LOWER], cell[UPPER]
    for i in range(np.uint64(n)):
        rises = count[i] > 0
        scale = up[i] if rises else -down[i]
        slope = slope_up[i] if rises else -slope_down[i]
        step = scale + slope * w[i]
        push = step * (type(step)(1) + relative * z[i])
        left = count[i] if rises else type(past)(-count[i])
        w[i] = clip(w[i] + (push if left > past else type(step)(0)), lower[i], upper[i])


@disjoint_tile
def _move_signed(noise: Any, cell: Any, w: Any, z: Any, pulses: Any, n: Any, up: Any, down: Any) -> None:
    """Move the weights by the mean steps ``up`` or ``down`` [>= n], with noise, within bounds."""
    count, past = pulses
    lower, upper = cell[LOWER], cell[UPPER]
    scale_up, scale_down = cell[UP], cell[DOWN]
    if noise.kind == PROPORTIONAL:
        for i in range(np.uint64(n)):
            rises = count[i] > 0
            step = up[i] if rises else -down[i]
            push = step * (type(step)(1) + noise.relative * z[i])
            left = count[i] if rises else type(past)(-count[i])
            w[i] = clip(w[i] + (push if left > past else type(step)(0)), lower[i], upper[i])
    else:
        for i in range(np.uint64(n)):
            rises = count[i] > 0
            step = up[i] if rises else down[i]
            push = with_noise(noise, step, scale_up[i] if rises else scale_down[i], w[i], z[i])
            push = push if rises else -push
            left = count[i] if rises else type(past)(-count[i])
            w[i] = clip(w[i] + (push if left > past else type(step)(0)), lower[i], upper[i])


@inline
def signed_tile(law: Any, noise: Any, cell: Any, w: Any, z: Any, pulses: Any, n: Any, step: Any) -> None:
    """One pulse on those of the first ``n`` cells of a tile that get more pulses than are past.

    ``pulses`` = (signed numbers, past ones, of the same type); ``step`` [2 `STEP_ROWS`, >= n] is scratch.
    """
    if is_plain(law, noise):
        _plain_signed(cell, noise.relative, w, z, pulses, n)
    else:
        rises = step[STEP_ROWS:]
        mean_steps(law, True, cell, w, rises, n)
        mean_steps(law, False, cell, w, step, n)
        _move_signed(noise, cell, w, z, pulses, n, rises[0], step[0])


@disjoint_tile
def coin_tile(sign: Any, words: Any, pulse: Any, n: Any) -> None:
    """Fair signs of pulse number ``pulse`` from the 128 bits per cell in ``words`` [4, >= n]."""
    row = (pulse >> 5) & 3
    bit = np.uint32(pulse & 31)
    for i in range(n):
        sign[i] = np.int8(1) - np.int8(np.int8(np.uint32(words[row, i] >> bit) & np.uint32(1)) << 1)


@inline
def load_tile(law: Any, weight: Any, start: Any, n: Any, cell: Any, w: Any, index: Any) -> None:
    """Copy ``n`` cells from ``start`` on to scratch: ``cell`` parameters, weights ``w``, ``index``."""
    for row in range(cell.shape[0]):
        for i in range(n):
            cell[row, i] = law.cell[row, start + i]
    for i in range(n):
        w[i] = weight[start + i]
        index[i] = np.uint32(start + i)


@inline
def _train_normals(z: Any, words: Any, n: Any, draws: Any, number: Any, index: Any) -> None:
    """Normals of the four pulses of a train that share a counter with pulse ``number``."""
    block, high = np.uint32(number >> 2), np.uint32(number >> 34)
    draw_words(words, 0, n, draws.noise, block, high, index, draws.array)
    draw_normals(z, words, 0, n, 0)
    draw_normals(z, words, 0, n, 1)


@kernel
def train(law: Any, noise: Any, draws: Any, weight: Array, cells: Any, program: Any, record: Array) -> None:
    """Apply a train that all cells share to the cells ``cells[0]`` to ``cells[1]`` of ``weight`` [cells].

    ``record`` [samples, cells] receives the weights after every (length // samples)-th pulse; no rows, no
    record. For curves that stay where they are.
    """
    samples, direction = record.shape[0], program.directions
    every = program.length // samples if samples > 0 else program.length + 1
    cell = np.empty((law.cell.shape[0], TILE), law.cell.dtype)
    w = np.empty(TILE, weight.dtype)
    step = np.empty((STEP_ROWS, TILE), weight.dtype)
    z = np.zeros((4, TILE), np.float32)
    words = np.empty((4, TILE), np.uint32)
    index = np.empty(TILE, np.uint32)
    plain = is_plain(law, noise)
    for start in range(cells[0], cells[1], TILE):
        n = min(TILE, cells[1] - start)
        load_tile(law, weight, start, n, cell, w, index)
        k = 0
        while k < program.length:
            number = program.first + k
            if noise.active and (k == 0 or number & 3 == 0):
                _train_normals(z, words, n, draws, number, index)
            sent, d = 1, direction[k : k + 4, 0]
            cycle = plain and number & 3 == 0 and len(d) == 4 and k % every + 4 <= every
            if cycle and d[0] > 0 > d[1] and d[2] > 0 > d[3]:
                cycle_tile(cell, noise.relative, w, z, n)
                sent = 4
            elif d[0] != 0:
                pulse_tile(law, noise, d[0] > 0, cell, w, z[number & 3], n, step)
            k += sent
            if k % every == 0:
                for i in range(n):
                    record[k // every - 1, start + i] = w[i]
        for i in range(n):
            weight[start + i] = w[i]


@inline
def _own_signs(program: Any, draws: Any, k: Any, start: Any, scratch: Any, sign: Any, n: Any) -> None:
    """Directions of pulse ``k`` of the ``n`` cells from ``start`` on.

    ``scratch`` = (coin words [4, tile], cell numbers): 128 coins a cell last for as many pulses.
    """
    coins, index = scratch
    number = program.first + k
    if program.source == COIN:
        if k == 0 or number & 127 == 0:
            block, high = np.uint32(number >> 7), np.uint32(number >> 34)
            draw_words(coins, 0, n, draws.coin, block, high, index, draws.array)
        coin_tile(sign, coins, number, n)
        return
    shared = program.source == SHARED
    for i in range(n):
        sign[i] = program.directions[k, 0 if shared else start + i]


@kernel
def train_apart(
    law: Any,
    noise: Any,
    draws: Any,
    weight: Array,
    cells: Any,
    program: Any,
    record: Array,
    curves: Any,
) -> None:
    """Apply a train of any program to cells whose curves may drift; arguments as in `train`.

    ``curves`` = (`Drift`, `Moved`) of `sptrack.kernels.drift`; they move with every pulse.
    """
    drift, moved = curves
    samples = record.shape[0]
    every = program.length // samples if samples > 0 else program.length + 1
    cell = np.empty((law.cell.shape[0], TILE), law.cell.dtype)
    w = np.empty(TILE, weight.dtype)
    step = np.empty((2 * STEP_ROWS, TILE), weight.dtype)
    z = np.zeros((4, TILE), np.float32)
    words = np.empty((4, TILE), np.uint32)
    coins = np.empty((4, TILE), np.uint32)
    sign = np.empty(TILE, np.int8)
    index = np.empty(TILE, np.uint32)
    for start in range(cells[0], cells[1], TILE):
        n = min(TILE, cells[1] - start)
        load_tile(law, weight, start, n, cell, w, index)
        for k in range(program.length):
            number = program.first + k
            if noise.active and (k == 0 or number & 3 == 0):
                _train_normals(z, words, n, draws, number, index)
            _own_signs(program, draws, k, start, (coins, index), sign, n)
            if program.source != SHARED:
                signed_tile(law, noise, cell, w, z[number & 3], (sign, np.int8(0)), n, step)
            elif sign[0] != 0:
                pulse_tile(law, noise, sign[0] > 0, cell, w, z[number & 3], n, step)
            if drift.active:
                side = (w, moved.offset[start:], moved.point[start:], moved.due[start:])
                move_by_pulses(drift, cell, sign, start, n, side)
            if (k + 1) % every == 0:
                row = (k + 1) // every - 1
                for i in range(n):
                    record[row, start + i] = w[i]
                if drift.active:
                    for i in range(n):
                        record[row, start + i] -= moved.offset[start + i]
        for i in range(n):
            weight[start + i] = w[i]
