"""Input-aware observers: the response of a cell identified from increments asked for and reads.

Between two reads a cell was asked for increments D; with N = sum D, A = sum |D| its weight has moved by
y = N F(x) - A G(x) plus noise (eq. (2) of Xiao et al. 2026, arXiv 2602.21321). N and A are known digitally,
so F = f0 + f1 x and G = g0 + g1 x follow by recursive least squares, and with them the symmetric point
-g0/g1, free of the gradient's noise.

x is a point of the path whose error is uncorrelated with that of y: with R the variance of a read and V that
of the pulses between two, x = old + mean of the expected path + R/(2 R + V) (y - expected). Without reading
noise it follows from the old read alone, with much of it it is the midpoint of both. What the remaining error
of x, of variance R (R + V)/(2 R + V), adds to the normal equations is known and taken off. With both, the
estimate is consistent on linear cells (`sptrack.theory.observer`).

Increments are counted in pulses (over dw_min). Information is the inverse variance of what it is about, so
that sums of it add up to a posterior with the prior's.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import typeof, types
from numpy.typing import NDArray

from sptrack.kernels._jit import kernel, tile_function
from sptrack.kernels.adaptive import ROWS, expect_adaptive_tile, observe_adaptive_tile
from sptrack.kernels.observer_known import (
    SQUARES,
    collect_squares_tile,
    observe_predicted_tile,
    observe_scalar_tile,
    predict_tile,
)
from sptrack.kernels.observer_regression import collect_tile, observe_block_tile, observe_direction_tile
from sptrack.kernels.observer_rows import POINT, READ, SHARE, SIZE, SUM, VARIANCE
from sptrack.kernels.pointers import address, call
from sptrack.kernels.stretches import INFORMATION

Array = NDArray[Any]


class Limits(NamedTuple):
    """Where estimates may lie: ``low`` <= symmetric point <= ``high`` (weight units).

    g1 >= ``floor``, and F >= ``level`` where noise is reckoned from it.
    """

    low: float
    high: float
    floor: float
    level: float


class Noise(NamedTuple):
    """Variance of what a stretch of A pulses adds: 2 reading + pulse A + F^2 (relative A + C).

    In units of dw_min squared.
    C is the variance of the number of pulses by the count ``law`` (a code of `sptrack.kernels.counts`, -1
    where the number is known) with ``train`` slots, summed over the steps.
    """

    reading: float
    pulse: float
    relative: float
    law: int
    train: int


class Observer(NamedTuple):
    """An observer as data: addresses of its tile functions (`sptrack.kernels.pointers`), and its numbers.

    ``keep`` is what a stretch between reads leaves of earlier information. ``sent``: count the pulses that
    were sent instead of those asked for. ``prior`` [18], by form: `BLOCK` the upper triangle of the prior's
    information on (f0, f1, g0, g1), row by row, that matrix times the prior's mean, and its pivots (squared
    diagonal of its Cholesky factor), below which no pivot of a sum with the prior can fall; `DIRECTION` per
    direction the information on intercept and slope (three entries), that times the mean (two), the second
    pivot; `SCALAR` information on the symmetric point, and that times its mean; `ADAPTIVE` mean, then
    variance, of (g0, f0, g1, f1). ``f0`` and ``g1``: known F
    and slope of G (`SCALAR`, `PREDICTOR`).

    A predictor moves its expected weight p by D ``f0`` - |D| ``g1`` (p - symmetric point) at each increment
    D, and p by ``weight_gain`` (r - p), the symmetric point by ``point_gain`` (r - p) at each read r.
    ``weight_grid`` and ``point_grid`` above 0 are the steps of fixed-point numbers to which the two are
    rounded each time. ``variance`` is that of its symmetric point in the long run.
    """

    tell: int
    observe: int
    keep: float
    noise: Noise
    dw_min: float
    sent: int
    prior: Array
    limits: Limits
    f0: float
    g1: float
    weight_gain: float
    point_gain: float
    weight_grid: float
    point_grid: float
    variance: float


ADAPTIVE, BLOCK, DIRECTION, SCALAR, PREDICTOR = "adaptive", "block", "direction", "scalar", "predictor"
SLOTS = {
    ADAPTIVE: ROWS,
    BLOCK: INFORMATION + 14,
    DIRECTION: INFORMATION + 10,
    SCALAR: SQUARES + 1,
    PREDICTOR: READ + 1,
}
"""Rows of memory by form; a predictor keeps the expected weight where the others keep the last read."""
_TILES = {
    ADAPTIVE: (expect_adaptive_tile, observe_adaptive_tile),
    BLOCK: (collect_tile, observe_block_tile),
    DIRECTION: (collect_tile, observe_direction_tile),
    SCALAR: (collect_squares_tile, observe_scalar_tile),
    PREDICTOR: (predict_tile, observe_predicted_tile),
}
PRIOR_NUMBERS = 18

NOBODY = Observer(
    0,
    0,
    0.0,
    Noise(0.0, 0.0, 0.0, 0, 0),
    1.0,
    0,
    np.zeros(PRIOR_NUMBERS),
    Limits(0.0, 0.0, 0.0, 0.0),
    *7 * (0.0,),
)
"""No observer."""
_type_of: Any = typeof
_TELL: tuple[Any, ...] = (
    _type_of(NOBODY),
    types.float64[:, ::1],
    types.float64[::1],
    types.int32[::1],
    types.int64,
)
_OBSERVE: tuple[Any, ...] = (_type_of(NOBODY), types.float64[:, ::1], types.float64[::1], types.int64)
"""Types of the arguments of tile functions."""


def addresses(form: str) -> tuple[int, int]:
    """Addresses of the tile functions of a form, for the first fields of an `Observer`."""
    tell, observe = _TILES[form]
    return address(tell, *_TELL), address(observe, *_OBSERVE)


@tile_function
def tell_drive(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Tell of a step: increments ``wanted`` [>= n] (weight units), signed ``pulses`` sent [>= n]."""
    call(observer.tell, (observer, memory, wanted, pulses, n))


@tile_function
def observe(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """One more read of each of ``n`` cells, ``reads`` [>= n]; row `POINT` of ``memory`` is the reference."""
    call(observer.observe, (observer, memory, reads, n))


@kernel
def tell_cells(observer: Any, memory: Array, wanted: Array, pulses: Array) -> None:
    """`tell_drive` of all cells."""
    tell_drive(observer, memory, wanted, pulses, wanted.shape[0])


def tell_counts(observer: Observer, memory: Array, up: Array, down: Array) -> None:
    """Tell a scalar observer of ``up`` and ``down`` pulses [cells] that came in any order, one at a time."""
    total = observer.dw_min * (up + down)
    memory[SUM] += observer.dw_min * (up - down)
    memory[SIZE] += total
    memory[SQUARES] += observer.dw_min * total


@kernel
def observe_cells(observer: Any, memory: Array, reads: Array) -> None:
    """`observe` of all cells."""
    observe(observer, memory, reads, reads.shape[0])


@kernel
def run_observer(
    observer: Any, memory: Array, drive: Array, pulses: Array, clock: Any, reads: Array, out: Array
) -> None:
    """References, variances and prior shares ``out`` [3, reads, cells] along increments ``drive``.

    ``drive`` (weight units) and ``pulses`` (signed, sent) are [steps, cells], ``clock`` = (number of the
    first step, steps between reads): the cells are read after every so many steps, the next row of ``reads``
    [reads, cells]. ``memory`` [slots, cells] is updated in place. All float64, but for the pulses (int32).
    """
    first, every = clock
    cells, taken = drive.shape[1], 0
    for k in range(drive.shape[0]):
        tell_drive(observer, memory, drive[k], pulses[k], cells)
        if (first + k + 1) % every == 0:
            observe(observer, memory, reads[taken], cells)
            for i in range(cells):
                out[0, taken, i] = memory[POINT, i]
                out[1, taken, i] = memory[VARIANCE, i]
                out[2, taken, i] = memory[SHARE, i]
            taken += 1
