"""Pulse trains: every cell of a block sees every pulse in turn, with its own cycle noise.

Work is done on tiles: a few hundred cells are copied to scratch, all pulses are applied there, and the result
is copied back. Loops over a tile vectorise because nothing in it can overlap.
"""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, kernel
from sptrack.kernels.random import normals_tile, words_tile
from sptrack.kernels.responses import DOWN, LOWER, UP, UPPER, is_linear, step_down, step_up
from sptrack.kernels.wander import after_pulse, is_still, seen_weight

Array = NDArray[Any]

TILE = 256
SHARED, PER_CELL, COIN = 0, 1, 2
"""Who decides the direction of a pulse: one program for all cells, one per cell, a fair coin per cell."""


class Noise(NamedTuple):
    """Cycle-to-cycle noise proportional to the step: std = relative * step; no draws if ``active`` is 0."""

    active: int
    relative: Any


class MixedNoise(NamedTuple):
    """Cycle-to-cycle noise with std = relative * step + additive * scale + offset + slope * |w|.

    ``scale`` is the row `UP` or `DOWN` of the law. The simulator's additive noise, and that of its
    exponential cells.
    """

    active: int
    relative: Any
    additive: Any
    offset: Any
    slope: Any


class Draws(NamedTuple):
    """Where random numbers of an operation come from: keys of noise and coin, array and event number."""

    noise: Any
    coin: Any
    array: np.uint32
    event: np.uint32


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
def _proportional(noise: Any, step: Any, scale: Any, w: Any, z: Any) -> Any:
    return step * (type(step)(1) + noise.relative * z)


@inline
def _mixed(noise: Any, step: Any, scale: Any, w: Any, z: Any) -> Any:
    std = noise.relative * step + noise.additive * scale + noise.offset + noise.slope * abs(w)
    return step + std * z


_NOISES: dict[type, Any] = {Noise: _proportional, MixedNoise: _mixed}


def noisy(noise: Any, step: Any, scale: Any, w: Any, z: Any) -> Any:
    """One pulse's step, weight units: its mean ``step`` plus its noise, ``z`` being the normal draw."""
    return _NOISES[type(noise)](noise, step, scale, w, z)


@overload(noisy)
def _noisy(noise: Any, step: Any, scale: Any, w: Any, z: Any) -> Any:
    law = _NOISES[noise.instance_class]

    def compiled(noise: Any, step: Any, scale: Any, w: Any, z: Any) -> Any:
        return law(noise, step, scale, w, z)

    return compiled


@inline
def clip(w: Any, lower: Any, upper: Any) -> Any:
    """``w`` within its bounds (comparisons in the one order that is a single vector instruction each)."""
    w = lower if lower > w else w
    return upper if upper < w else w


@inline
def rise(law: Any, noise: Any, cell: Any, i: Any, w: Any, z: Any) -> Any:
    """Weight of cell ``i`` after one up pulse, ``z`` being its normal draw."""
    moved = w + noisy(noise, step_up(law, cell, i, w), cell[UP, i], w, z)
    return clip(moved, cell[LOWER, i], cell[UPPER, i])


@inline
def fall(law: Any, noise: Any, cell: Any, i: Any, w: Any, z: Any) -> Any:
    """Weight of cell ``i`` after one down pulse, ``z`` being its normal draw."""
    moved = w - noisy(noise, step_down(law, cell, i, w), cell[DOWN, i], w, z)
    return clip(moved, cell[LOWER, i], cell[UPPER, i])


@inline
def either(law: Any, noise: Any, cell: Any, i: Any, w: Any, z: Any, up: Any) -> Any:
    """Weight of cell ``i`` after one pulse, up or down: the same numbers as `rise` and `fall`."""
    rising, falling = step_up(law, cell, i, w), step_down(law, cell, i, w)
    scale_up, scale_down = cell[UP, i], cell[DOWN, i]
    push = noisy(noise, rising if up else falling, scale_up if up else scale_down, w, z)
    moved = w + (push if up else -push)
    return clip(moved, cell[LOWER, i], cell[UPPER, i])


@inline
def rise_tile(law: Any, noise: Any, cell: Any, w: Any, z: Any, n: Any) -> None:
    """One up pulse on the first ``n`` cells of a tile."""
    for i in range(n):
        w[i] = rise(law, noise, cell, i, w[i], z[i])


@inline
def fall_tile(law: Any, noise: Any, cell: Any, w: Any, z: Any, n: Any) -> None:
    """One down pulse on the first ``n`` cells of a tile."""
    for i in range(n):
        w[i] = fall(law, noise, cell, i, w[i], z[i])


@inline
def cycle_tile(law: Any, noise: Any, cell: Any, w: Any, z: Any, n: Any) -> None:
    """Four pulses up, down, up, down on the first ``n`` cells of a tile, with the normals z[0] to z[3].

    The same numbers as `rise_tile` and `fall_tile` in turn; the weights stay in registers between pulses.
    """
    for i in range(n):
        x = rise(law, noise, cell, i, w[i], z[0, i])
        x = fall(law, noise, cell, i, x, z[1, i])
        x = rise(law, noise, cell, i, x, z[2, i])
        w[i] = fall(law, noise, cell, i, x, z[3, i])


@inline
def is_cycle(program: Any, k: Any) -> Any:
    """Whether pulses k to k + 3 of a shared program are up, down, up, down."""
    d = program.directions
    return k + 4 <= program.length and d[k, 0] > 0 > d[k + 1, 0] and d[k + 2, 0] > 0 > d[k + 3, 0]


@inline
def signed_tile(law: Any, noise: Any, cell: Any, w: Any, z: Any, sign: Any, n: Any) -> None:
    """One pulse in direction ``sign[i]`` (+1, -1, or 0: none) on each of the first ``n`` cells of a tile."""
    for i in range(n):
        moved = either(law, noise, cell, i, w[i], z[i], sign[i] > 0)
        w[i] = moved if sign[i] != 0 else w[i]


@inline
def coin_tile(sign: Any, words: Any, step: Any, n: Any) -> None:
    """Fair signs of pulse ``step`` from the 128 bits per cell in ``words`` [4, >= n]."""
    row = (step >> 5) & 3
    bit = np.uint32(step & 31)
    for i in range(n):
        sign[i] = np.int8(1) - np.int8(np.int8(np.uint32(words[row, i] >> bit) & np.uint32(1)) << 1)


@inline
def own_signs(program: Any, draws: Any, k: Any, start: Any, scratch: Any, sign: Any, n: Any) -> None:
    """Directions of pulse ``k`` of the ``n`` cells from ``start`` on, from their own programs or their coins.

    ``scratch`` = (coin words [4, tile], cell numbers): 128 coins a cell last for as many pulses.
    """
    if program.source == PER_CELL:
        for i in range(n):
            sign[i] = program.directions[k, start + i]
        return
    coins, index = scratch
    step = program.first + k
    if k == 0 or step & 127 == 0:
        block, high = np.uint32(step >> 7), np.uint32(step >> 34)
        words_tile(coins, n, draws.coin, block, high, index, draws.array)
    coin_tile(sign, coins, step, n)


@inline
def load_tile(law: Any, weight: Any, start: Any, n: Any, cell: Any, w: Any, index: Any) -> None:
    """Copy ``n`` cells from ``start`` on to scratch: ``cell`` parameters, weights ``w``, ``index``."""
    for row in range(cell.shape[0]):
        for i in range(n):
            cell[row, i] = law.cell[row, start + i]
    for i in range(n):
        w[i] = weight[start + i]
        index[i] = np.uint32(start + i)


@kernel
def train(
    law: Any, noise: Any, draws: Any, weight: Array, cells: Any, program: Any, record: Array, curves: Any
) -> None:
    """Apply a pulse train to the cells ``cells[0]`` to ``cells[1]`` of ``weight`` [cells], in place.

    ``record`` [samples, cells] receives the weights after every (length // samples)-th pulse; no rows, no
    record. ``curves`` (`sptrack.kernels.wander`) move with every pulse, or are `Still`.
    """
    samples = record.shape[0]
    every = program.length // samples if samples > 0 else program.length + 1
    cell = np.empty((law.cell.shape[0], TILE), law.cell.dtype)
    w = np.empty(TILE, weight.dtype)
    z = np.zeros((4, TILE), np.float32)
    words = np.empty((4, TILE), np.uint32)
    coins = np.empty((4, TILE), np.uint32)
    sign = np.empty(TILE, np.int8)
    index = np.empty(TILE, np.uint32)
    for start in range(cells[0], cells[1], TILE):
        n = min(TILE, cells[1] - start)
        load_tile(law, weight, start, n, cell, w, index)
        k = 0
        while k < program.length:
            step = program.first + k
            high = np.uint32(step >> 34)
            if noise.active and (k == 0 or step & 3 == 0):
                words_tile(words, n, draws.noise, np.uint32(step >> 2), high, index, draws.array)
                normals_tile(z, words, n, 0)
                normals_tile(z, words, n, 1)
            sent = 1
            if program.source == SHARED:
                in_fours = is_linear(law) and is_still(curves)
                if in_fours and step & 3 == 0 and k % every + 4 <= every and is_cycle(program, k):
                    cycle_tile(law, noise, cell, w, z, n)
                    sent = 4
                elif program.directions[k, 0] > 0:
                    rise_tile(law, noise, cell, w, z[step & 3], n)
                elif program.directions[k, 0] < 0:
                    fall_tile(law, noise, cell, w, z[step & 3], n)
            else:
                own_signs(program, draws, k, start, (coins, index), sign, n)
                signed_tile(law, noise, cell, w, z[step & 3], sign, n)
            if not is_still(curves):
                if program.source == SHARED:
                    for i in range(n):
                        sign[i] = program.directions[k, 0]
                after_pulse(curves, cell, w, sign, start, n)
            k += sent
            if k % every == 0:
                for i in range(n):
                    record[k // every - 1, start + i] = seen_weight(curves, start + i, w[i])
        for i in range(n):
            weight[start + i] = w[i]
