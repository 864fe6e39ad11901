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

import math
from typing import Any, NamedTuple

import numpy as np
from numba import typeof, types
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, inline_optimised, kernel, tile_function
from sptrack.kernels.adaptive import ROWS, expect_adaptive, observe_adaptive_tile
from sptrack.kernels.counts import BINOMIAL, POISSON, ROUNDED
from sptrack.kernels.observer_rows import (
    COUNT,
    LEVEL,
    OWN,
    POINT,
    PREDICTED,
    READ,
    SEEN,
    SHARE,
    SIZE,
    SLOPE,
    SUM,
    VARIANCE,
)
from sptrack.kernels.pointers import address, call

Array = NDArray[Any]

LEVER, SQUARED, NOISY, INFORMATION = OWN, OWN + 1, OWN + 2, OWN + 3
"""Further rows of a regression: weight of the last change, variance of the sum of all, information taken off;
then the information itself."""
SQUARES = INFORMATION + 1
"""Row of a scalar observer: sum of the squares of the increments, weight units squared."""


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


@inline
def _bounded(point: Any, limits: Any) -> Any:
    point = limits.low if limits.low > point else point
    return limits.high if limits.high < point else point


@inline
def _path(decay: Any) -> Any:
    """A relaxation by exp(-decay): its displacement and its mean way from the start, per initial slope."""
    if decay < 0.01:
        return 1 - decay / 2, 0.5 + decay / 12
    left = math.exp(-decay)
    return (1 - left) / decay, 1 / (1 - left) - 1 / decay


@inline
def _begin(observer: Any, memory: Any, i: Any, read: Any) -> Any:
    """Close the stretch that ends with ``read``: N, A (pulses), x, y (pulses), weight, variance of x.

    The weight, the inverse variance of the residual, is 0 where nothing can be learned.
    """
    noise, dw, old = observer.noise, observer.dw_min, memory[READ, i]
    n, a, level = memory[SUM, i] / dw, memory[SIZE, i] / dw, memory[LEVEL, i]
    change = (read - old) / dw
    pulses = noise.pulse * a + level * level * (noise.relative * a + memory[COUNT, i])
    variance = 2 * noise.reading + pulses
    known = (memory[SEEN, i] != 0) & (a > 0) & (variance > 0)
    steep = a * memory[SLOPE, i]
    displaced, middle = _path(steep * dw)
    expected = (n * level - steep * (old - memory[POINT, i])) * displaced
    fraction = noise.reading / variance if known else 0 * a
    x = old + dw * (middle * expected + fraction * (change - expected))
    excess = noise.reading * (1 - fraction) * dw * dw
    memory[SUM, i] = 0
    memory[SIZE, i] = 0
    memory[COUNT, i] = 0
    memory[READ, i] = read
    memory[SEEN, i] = 1
    return n, a, x, change, (1 / (variance + steep * steep * excess) if known else 0 * a), excess


@inline
def _scale(memory: Any, i: Any, first: Any, count: Any, factor: Any) -> None:
    for k in range(first, first + count):
        memory[k, i] *= factor


@inline
def _age(observer: Any, memory: Any, i: Any, weight: Any, lever: Any, noisy: Any) -> None:
    """Variance of the sum of the changes, each times its ``lever``, of which age takes its share.

    The error of a read enters two changes with opposite signs: levers that change little all but cancel it.
    """
    keep, reading = observer.keep, observer.noise.reading
    step = lever - keep * memory[LEVER, i]
    own = 1 / weight - 2 * reading if weight > 0 else 0 * weight
    memory[SQUARED, i] = keep * keep * memory[SQUARED, i] + own * lever * lever + reading * step * step
    memory[NOISY, i] = keep * memory[NOISY, i] + noisy
    memory[LEVER, i] = lever


@inline_optimised
def _observe_block(observer: Any, memory: Any, i: Any, read: Any) -> None:
    """F and G by one regression on [N, N x, -A, -A x] per stretch between reads."""
    n, a, x, y, weight, excess = _begin(observer, memory, i, read)
    base = INFORMATION
    _scale(memory, i, base, 14, observer.keep)
    _age(observer, memory, i, weight, weight * a, weight * a * a * excess)
    if weight > 0:
        p0, p1, p2, p3 = n, n * x, -a, -a * x
        memory[base, i] += weight * p0 * p0
        memory[base + 1, i] += weight * p0 * p1
        memory[base + 2, i] += weight * p0 * p2
        memory[base + 3, i] += weight * p0 * p3
        memory[base + 4, i] += weight * (p1 * p1 - n * n * excess)
        memory[base + 5, i] += weight * p1 * p2
        memory[base + 6, i] += weight * (p1 * p3 + n * a * excess)
        memory[base + 7, i] += weight * p2 * p2
        memory[base + 8, i] += weight * p2 * p3
        memory[base + 9, i] += weight * (p3 * p3 - a * a * excess)
        memory[base + 10, i] += weight * p0 * y
        memory[base + 11, i] += weight * p1 * y
        memory[base + 12, i] += weight * p2 * y
        memory[base + 13, i] += weight * p3 * y
    _solve_block(observer, memory, i)


@inline
def _root(pivot: Any, least: Any) -> Any:
    return math.sqrt(max(pivot, least))


@inline
def _solve_block(observer: Any, memory: Any, i: Any) -> None:
    """Symmetric point, its variance and the prior's share from the information, by Cholesky in float64."""
    p, base, limits = observer.prior, INFORMATION, observer.limits
    l00 = _root(memory[base, i] + p[0], p[14])
    l10 = (memory[base + 1, i] + p[1]) / l00
    l20 = (memory[base + 2, i] + p[2]) / l00
    l30 = (memory[base + 3, i] + p[3]) / l00
    l11 = _root(memory[base + 4, i] + p[4] - l10 * l10, p[15])
    l21 = (memory[base + 5, i] + p[5] - l20 * l10) / l11
    l31 = (memory[base + 6, i] + p[6] - l30 * l10) / l11
    l22 = _root(memory[base + 7, i] + p[7] - l20 * l20 - l21 * l21, p[16])
    l32 = (memory[base + 8, i] + p[8] - l30 * l20 - l31 * l21) / l22
    l33 = _root(memory[base + 9, i] + p[9] - l30 * l30 - l31 * l31 - l32 * l32, p[17])
    z0 = (memory[base + 10, i] + p[10]) / l00
    z1 = (memory[base + 11, i] + p[11] - l10 * z0) / l11
    z2 = (memory[base + 12, i] + p[12] - l20 * z0 - l21 * z1) / l22
    z3 = (memory[base + 13, i] + p[13] - l30 * z0 - l31 * z1 - l32 * z2) / l33
    g1 = z3 / l33
    g0 = (z2 - l32 * g1) / l22
    f1 = (z1 - l21 * g0 - l31 * g1) / l11
    f0 = (z0 - l10 * f1 - l20 * g0 - l30 * g1) / l00
    slope = max(g1, limits.floor)
    centre = (memory[base + 8, i] + p[8]) / (memory[base + 7, i] + p[7])
    point = _bounded(centre - (g0 + g1 * centre) / slope, limits)
    # the symmetric point moves with (g0, g1) as -(1, point)/slope: d = covariance times (0, 0, 1, point)
    u2 = 1 / l22
    u3 = (point - l32 * u2) / l33
    d3 = u3 / l33
    d2 = (u2 - l32 * d3) / l22
    d1 = -(l21 * d2 + l31 * d3) / l11
    d0 = -(l10 * d1 + l20 * d2 + l30 * d3) / l00
    crossed = d0 * (p[1] * d1 + p[2] * d2 + p[3] * d3) + d1 * (p[5] * d2 + p[6] * d3) + p[8] * d2 * d3
    own = p[0] * d0 * d0 + p[4] * d1 * d1 + p[7] * d2 * d2 + p[9] * d3 * d3 + 2 * crossed
    memory[POINT, i] = point
    memory[LEVEL, i] = max(f0 + f1 * point, limits.level)
    memory[SLOPE, i] = slope
    _uncertainty(observer, memory, i, u2 * u2 + u3 * u3, own, (d3, memory[base + 7, i], slope))


@inline
def _squared(observer: Any, memory: Any, i: Any) -> Any:
    """Variance of the sum of the changes; the last read has entered one of them only."""
    return memory[SQUARED, i] + observer.noise.reading * memory[LEVER, i] * memory[LEVER, i]


@inline
def _uncertainty(observer: Any, memory: Any, i: Any, spread: Any, own: Any, found: Any) -> None:
    """Variance and prior's share; ``spread`` is that of slope times the point if nothing were forgotten.

    The changes' part of it is as much larger or smaller as the variance of their sum is than the information
    that they left (`sptrack.theory.observer`). ``found`` = (how the point leans on what was taken off,
    information on G, slope of G).
    """
    leaning, information, slope = found
    aged = _squared(observer, memory, i) / information if information > 0 else 1.0
    fresh = max(spread - own, 0.0) + memory[NOISY, i] * leaning * leaning
    memory[VARIANCE, i] = (own + aged * fresh) / (slope * slope)
    memory[SHARE, i] = min(own / spread, 1.0)


@inline_optimised
def _observe_direction(observer: Any, memory: Any, i: Any, read: Any) -> None:
    """Up and down response each by a regression of y/|D| on x, for cells that are read at every step.

    A stretch in which a cell was asked to move both ways tells nothing of either direction alone.
    """
    n, a, x, y, weight, excess = _begin(observer, memory, i, read)
    weight = weight if abs(n) == a else 0 * weight
    _scale(memory, i, INFORMATION, 10, observer.keep)
    _age(observer, memory, i, weight, weight * a, weight * a * a * excess)
    weight *= a * a
    if weight > 0:
        base = INFORMATION if n > 0 else INFORMATION + 5
        change = y / a if n > 0 else -y / a
        memory[base, i] += weight
        memory[base + 1, i] += weight * x
        memory[base + 2, i] += weight * (x * x - excess)
        memory[base + 3, i] += weight * change
        memory[base + 4, i] += weight * x * change
    _solve_direction(observer, memory, i)


@inline
def _line(memory: Any, i: Any, base: Any, prior: Any, first: Any) -> Any:
    """Intercept and slope of one direction with the entries (a, b, c) of their covariance."""
    s0 = memory[base, i] + prior[first]
    s1 = memory[base + 1, i] + prior[first + 1]
    s2 = memory[base + 2, i] + prior[first + 2]
    y0 = memory[base + 3, i] + prior[first + 3]
    y1 = memory[base + 4, i] + prior[first + 4]
    mean = s1 / s0
    c = 1 / max(s2 - s1 * mean, prior[first + 5])
    slope = c * (y1 - mean * y0)
    return y0 / s0 - mean * slope, slope, 1 / s0 + mean * mean * c, -mean * c, c


@inline
def _prior_part(prior: Any, first: Any, d0: Any, d1: Any) -> Any:
    return prior[first] * d0 * d0 + 2 * prior[first + 1] * d0 * d1 + prior[first + 2] * d1 * d1


@inline
def _solve_direction(observer: Any, memory: Any, i: Any) -> None:
    p, base, limits = observer.prior, INFORMATION, observer.limits
    up0, up1, ua, ub, uc = _line(memory, i, base, p, 0)
    down0, down1, da, db, dc = _line(memory, i, base + 5, p, 6)
    slope = max((down1 - up1) / 2, limits.floor)
    information = memory[base, i] + memory[base + 5, i]
    moment = memory[base + 1, i] + memory[base + 6, i]
    centre = (moment + p[1] + p[7]) / (information + p[0] + p[6])
    drift = (down0 - up0 + (down1 - up1) * centre) / 2
    point = _bounded(centre - drift / slope, limits)
    u0, u1 = ua + ub * point, ub + uc * point
    d0, d1 = da + db * point, db + dc * point
    own = _prior_part(p, 0, u0, u1) + _prior_part(p, 6, d0, d1)
    memory[POINT, i] = point
    memory[LEVEL, i] = max((up0 + down0 + (up1 + down1) * point) / 2, limits.level)
    memory[SLOPE, i] = slope
    spread = u0 + u1 * point + d0 + d1 * point
    _uncertainty(observer, memory, i, spread, own, (math.hypot(u1, d1), information, 2 * slope))


@inline_optimised
def _observe_scalar(observer: Any, memory: Any, i: Any, read: Any) -> None:
    """The symmetric point alone, with f0 and g1 known: exact on linear cells, however long the stretch.

    With d = A g1 dw and e = exp(-d) the mean of the new weight is e old + (1 - e) (symmetric point +
    N f0/(A g1)). Pulses add the fraction q = (1 - e^2)/2d of their variance, their order that of sums of
    increments weighted by age: f0^2 sum D^2 (1 - (N/A)^2) (q - ((1 - e)/d)^2). The error of the old read
    enters the change as -e of it.
    """
    noise, dw, keep, prior = observer.noise, observer.dw_min, observer.keep, observer.prior[0]
    old, n, a = memory[READ, i], memory[SUM, i] / dw, memory[SIZE, i] / dw
    level = memory[LEVEL, i]
    decay = a * observer.g1 * dw
    lasting, _ = _path(decay)
    pulses = noise.pulse * a + level * level * (noise.relative * a + memory[COUNT, i])
    spent = _path(2 * decay)[0]
    alike = (n / a) ** 2 if a > 0 else 1.0
    order = memory[SQUARES, i] * (1 - alike) * max(spent - lasting * lasting, 0.0) / (dw * dw)
    pulses = pulses * spent + level * level * order
    lever, left = a * observer.g1 * lasting, 1 - decay * lasting
    variance = noise.reading * (1 + left * left) + pulses
    known = (memory[SEEN, i] != 0) & (a > 0) & (variance > 0)
    lever = lever / variance if known else 0 * a
    step = lever * left - keep * memory[LEVER, i]
    memory[SQUARED, i] = (
        keep * keep * memory[SQUARED, i] + pulses * lever * lever + noise.reading * step * step
    )
    memory[LEVER, i] = lever
    memory[SUM, i], memory[SIZE, i], memory[COUNT, i], memory[SQUARES, i] = 0, 0, 0, 0
    memory[READ, i], memory[SEEN, i] = read, 1
    fresh = variance * lever * lever
    info = memory[INFORMATION, i] * keep + fresh
    total, point = info + prior, memory[POINT, i]
    beyond = lever * ((read - old) / dw - n * observer.f0 * lasting) + fresh * (old - point)
    pull = (1 - keep) * (observer.prior[1] - prior * point)
    memory[POINT, i] = _bounded(point + (beyond + pull) / total, observer.limits)
    memory[INFORMATION, i] = info
    memory[VARIANCE, i] = (_squared(observer, memory, i) + prior) / (total * total)
    memory[SHARE, i] = prior / total


@inline
def _rounded(value: Any, grid: Any) -> Any:
    return math.floor(value / grid + 0.5) * grid if grid > 0 else value


@inline_optimised
def _observe_predicted(observer: Any, memory: Any, i: Any, read: Any) -> None:
    """Expected weight and symmetric point by fixed gains: a Kalman filter in its steady state."""
    surprise = read - memory[PREDICTED, i]
    if memory[SEEN, i] == 0:
        memory[PREDICTED, i] = _rounded(read, observer.weight_grid)
    else:
        known = memory[PREDICTED, i] + observer.weight_gain * surprise
        memory[PREDICTED, i] = _rounded(known, observer.weight_grid)
        point = _bounded(memory[POINT, i] + observer.point_gain * surprise, observer.limits)
        memory[POINT, i] = _rounded(point, observer.point_grid)
    memory[SEEN, i] = 1
    memory[VARIANCE, i] = observer.variance


@inline
def _collect(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Add a step's increments ``wanted`` or ``pulses`` sent to N and A of the first n cells."""
    noise = observer.noise
    for i in range(n):
        drive = observer.dw_min * pulses[i] if observer.sent != 0 else wanted[i]
        memory[SUM, i] += drive
        memory[SIZE, i] += abs(drive)
    if noise.law == ROUNDED:
        for i in range(n):
            number = abs(wanted[i]) / observer.dw_min
            part = number - math.floor(number)
            memory[COUNT, i] += part * (1 - part)
    elif noise.law == BINOMIAL:
        for i in range(n):
            number = abs(wanted[i]) / observer.dw_min
            memory[COUNT, i] += max(number - number * number / noise.train, 0 * number)
    elif noise.law == POISSON:
        for i in range(n):
            memory[COUNT, i] += abs(wanted[i]) / observer.dw_min


def collect_tile(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Add a step's increments to N and A of the first n cells."""
    _collect(observer, memory, wanted, pulses, n)


def collect_squares_tile(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Add a step's increments to N, A and the sum of squares of the first n cells."""
    _collect(observer, memory, wanted, pulses, n)
    for i in range(n):
        drive = observer.dw_min * pulses[i] if observer.sent != 0 else wanted[i]
        memory[SQUARES, i] += drive * drive


def expect_tile(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Move the expected weights of an adaptive observer by a step's increments, and add these up."""
    _collect(observer, memory, wanted, pulses, n)
    for i in range(n):
        expect_adaptive(
            observer.limits, memory, i, observer.dw_min * pulses[i] if observer.sent != 0 else wanted[i]
        )


def predict_tile(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Move the expected weights of a predictor by a step's increments."""
    for i in range(n):
        drive = observer.dw_min * pulses[i] if observer.sent != 0 else wanted[i]
        away = memory[PREDICTED, i] - memory[POINT, i]
        expected = memory[PREDICTED, i] + drive * observer.f0 - abs(drive) * observer.g1 * away
        memory[PREDICTED, i] = _rounded(expected, observer.weight_grid)


def observe_block_tile(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """One more read of each of ``n`` cells, by one regression."""
    for i in range(n):
        _observe_block(observer, memory, i, reads[i])


def observe_direction_tile(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """The same by a regression per direction."""
    for i in range(n):
        _observe_direction(observer, memory, i, reads[i])


def observe_scalar_tile(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """The same with known level and slope."""
    for i in range(n):
        _observe_scalar(observer, memory, i, reads[i])


def observe_predicted_tile(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """The same with fixed gains."""
    for i in range(n):
        _observe_predicted(observer, memory, i, reads[i])


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
    ADAPTIVE: (expect_tile, observe_adaptive_tile),
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
