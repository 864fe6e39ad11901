"""Input-aware observers: the response of a cell identified from increments asked for and reads.

Between two reads a cell was asked for increments D; with N = sum D, A = sum |D|, and x the midpoint of the
two reads, its weight has moved by y = N F(x) - A G(x) plus noise (eq. (2) of Xiao et al. 2026, arXiv
2602.21321). N and A are known digitally, so F = f0 + f1 x and G = g0 + g1 x follow by recursive least
squares, and with them the symmetric point -g0/g1, free of the gradient's noise. x is the midpoint of the
*same* two reads as y: their noises are then uncorrelated, with any other weight they are not and the slopes
are biased.

Increments are counted in pulses (over dw_min). Information is the inverse variance of what it is about, so
that sums of it add up to a posterior with the prior's. Row 0 of a memory is the symmetric point, rows `SUM`,
`SIZE`, `READ` hold N, A and the last read, `SEEN` whether there was one, `VARIANCE` and `SHARE` the variance
of the symmetric point and the part of the information on it that is the prior's.
"""

import math
from typing import Any, NamedTuple

from numpy.typing import NDArray

from sptrack.kernels._jit import inline

Array = NDArray[Any]

POINT, SUM, SIZE, READ, SEEN, VARIANCE, SHARE, INFORMATION = range(8)
"""Rows of the memory; the information starts at the last of them."""
BLOCK_SLOTS, DIRECTION_SLOTS, SCALAR_SLOTS = INFORMATION + 14, INFORMATION + 10, INFORMATION + 1


class Limits(NamedTuple):
    """Where estimates may lie: ``low`` <= symmetric point <= ``high`` (weight units), g1 >= ``floor``."""

    low: Any
    high: Any
    floor: Any


class BlockObserver(NamedTuple):
    """F and G by one regression on [N, N x, -A, -A x] per stretch between reads.

    ``keep`` is what a stretch leaves of earlier information. A stretch of A pulses has the variance 2 reading
    + pulse A (dw_min squared). ``prior`` [14]: the upper triangle of the prior's information on (f0, f1, g0,
    g1), row by row, then that matrix times the prior's mean. ``sent``: count the pulses that were sent
    instead of those asked for.
    """

    slots: int
    keep: Any
    reading: Any
    pulse: Any
    dw_min: Any
    sent: bool
    prior: Array
    limits: Limits


class DirectionObserver(NamedTuple):
    """Up and down response each by a regression of y/|D| on x, for cells that are read at every step.

    Fields as in `BlockObserver`; ``prior`` [10]: per direction the information on intercept and slope (three
    entries) and that times the mean (two).
    """

    slots: int
    keep: Any
    reading: Any
    pulse: Any
    dw_min: Any
    sent: bool
    prior: Array
    limits: Limits


class ScalarObserver(NamedTuple):
    """The symmetric point alone, with the same known F and slope of G for all cells.

    y = N ``f0`` - A ``g1`` (x - symmetric point): one unknown, whose information is one number. ``steady``
    above 0 is used for that number instead: two accumulators and the last read are all that is left.
    ``prior`` [2]: information on the symmetric point, and that times its mean.
    """

    slots: int
    keep: Any
    reading: Any
    pulse: Any
    dw_min: Any
    sent: bool
    prior: Array
    limits: Limits
    f0: Any
    g1: Any
    steady: Any


@inline
def _bounded(point: Any, limits: Any) -> Any:
    point = limits.low if limits.low > point else point
    return limits.high if limits.high < point else point


@inline
def _begin(observer: Any, memory: Any, i: Any, read: Any) -> Any:
    """Close the stretch that ends with ``read``: N, A (pulses), midpoint, change in pulses, its weight.

    The weight, the inverse variance of the change, is 0 where nothing can be learned.
    """
    n, a = memory[SUM, i] / observer.dw_min, memory[SIZE, i] / observer.dw_min
    middle = (read + memory[READ, i]) / 2
    change = (read - memory[READ, i]) / observer.dw_min
    variance = 2 * observer.reading + observer.pulse * a
    known = (memory[SEEN, i] != 0) & (a > 0) & (variance > 0)
    memory[SUM, i] = 0
    memory[SIZE, i] = 0
    memory[READ, i] = read
    memory[SEEN, i] = 1
    return n, a, middle, change, (1 / variance if known else 0 * a)


@inline
def _scale(memory: Any, i: Any, first: Any, count: Any, factor: Any) -> None:
    for k in range(first, first + count):
        memory[k, i] *= factor


@inline
def observe_block(observer: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    """One more read of a `BlockObserver`; returns the symmetric point."""
    n, a, x, y, weight = _begin(observer, memory, i, read)
    base = INFORMATION
    _scale(memory, i, base, 14, observer.keep)
    if weight > 0:
        p0, p1, p2, p3 = n, n * x, -a, -a * x
        memory[base, i] += weight * p0 * p0
        memory[base + 1, i] += weight * p0 * p1
        memory[base + 2, i] += weight * p0 * p2
        memory[base + 3, i] += weight * p0 * p3
        memory[base + 4, i] += weight * p1 * p1
        memory[base + 5, i] += weight * p1 * p2
        memory[base + 6, i] += weight * p1 * p3
        memory[base + 7, i] += weight * p2 * p2
        memory[base + 8, i] += weight * p2 * p3
        memory[base + 9, i] += weight * p3 * p3
        memory[base + 10, i] += weight * p0 * y
        memory[base + 11, i] += weight * p1 * y
        memory[base + 12, i] += weight * p2 * y
        memory[base + 13, i] += weight * p3 * y
    return _solve_block(observer, memory, i)


@inline
def _solve_block(observer: Any, memory: Any, i: Any) -> Any:
    """Symmetric point, its variance and the prior's share from the information, by Cholesky in float64."""
    p, base, limits = observer.prior, INFORMATION, observer.limits
    l00 = math.sqrt(float(memory[base, i]) + p[0])
    l10 = (float(memory[base + 1, i]) + p[1]) / l00
    l20 = (float(memory[base + 2, i]) + p[2]) / l00
    l30 = (float(memory[base + 3, i]) + p[3]) / l00
    l11 = math.sqrt(float(memory[base + 4, i]) + p[4] - l10 * l10)
    l21 = (float(memory[base + 5, i]) + p[5] - l20 * l10) / l11
    l31 = (float(memory[base + 6, i]) + p[6] - l30 * l10) / l11
    l22 = math.sqrt(float(memory[base + 7, i]) + p[7] - l20 * l20 - l21 * l21)
    l32 = (float(memory[base + 8, i]) + p[8] - l30 * l20 - l31 * l21) / l22
    l33 = math.sqrt(float(memory[base + 9, i]) + p[9] - l30 * l30 - l31 * l31 - l32 * l32)
    z0 = (float(memory[base + 10, i]) + p[10]) / l00
    z1 = (float(memory[base + 11, i]) + p[11] - l10 * z0) / l11
    z2 = (float(memory[base + 12, i]) + p[12] - l20 * z0 - l21 * z1) / l22
    z3 = (float(memory[base + 13, i]) + p[13] - l30 * z0 - l31 * z1 - l32 * z2) / l33
    g1 = z3 / l33
    g0 = (z2 - l32 * g1) / l22
    slope = max(g1, float(limits.floor))
    point = _bounded(-g0 / slope, limits)
    # the symmetric point moves with (g0, g1) as -(1, point)/slope: d = covariance times (0, 0, 1, point)
    u2 = 1 / l22
    u3 = (point - l32 * u2) / l33
    d3 = u3 / l33
    d2 = (u2 - l32 * d3) / l22
    d1 = -(l21 * d2 + l31 * d3) / l11
    d0 = -(l10 * d1 + l20 * d2 + l30 * d3) / l00
    spread = u2 * u2 + u3 * u3
    crossed = d0 * (p[1] * d1 + p[2] * d2 + p[3] * d3) + d1 * (p[5] * d2 + p[6] * d3) + p[8] * d2 * d3
    own = p[0] * d0 * d0 + p[4] * d1 * d1 + p[7] * d2 * d2 + p[9] * d3 * d3
    memory[POINT, i] = point
    memory[VARIANCE, i] = spread / (slope * slope)
    memory[SHARE, i] = (own + 2 * crossed) / spread
    return memory[POINT, i]


@inline
def observe_direction(observer: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    """One more read of a `DirectionObserver`; returns the symmetric point.

    A stretch in which a cell was asked to move both ways tells nothing of either direction alone.
    """
    n, a, x, y, weight = _begin(observer, memory, i, read)
    _scale(memory, i, INFORMATION, 10, observer.keep)
    if (weight > 0) & (abs(n) == a):
        base = INFORMATION if n > 0 else INFORMATION + 5
        change = y / a if n > 0 else -y / a
        weight = weight * a * a
        memory[base, i] += weight
        memory[base + 1, i] += weight * x
        memory[base + 2, i] += weight * x * x
        memory[base + 3, i] += weight * change
        memory[base + 4, i] += weight * x * change
    return _solve_direction(observer, memory, i)


@inline
def _line(memory: Any, i: Any, base: Any, prior: Any, first: Any) -> Any:
    """Intercept and slope of one direction with the entries (a, b, c) of their covariance."""
    s0 = float(memory[base, i]) + prior[first]
    s1 = float(memory[base + 1, i]) + prior[first + 1]
    s2 = float(memory[base + 2, i]) + prior[first + 2]
    y0 = float(memory[base + 3, i]) + prior[first + 3]
    y1 = float(memory[base + 4, i]) + prior[first + 4]
    determinant = s0 * s2 - s1 * s1
    a, b, c = s2 / determinant, -s1 / determinant, s0 / determinant
    return a * y0 + b * y1, b * y0 + c * y1, a, b, c


@inline
def _prior_part(prior: Any, first: Any, d0: Any, d1: Any) -> Any:
    return prior[first] * d0 * d0 + 2 * prior[first + 1] * d0 * d1 + prior[first + 2] * d1 * d1


@inline
def _solve_direction(observer: Any, memory: Any, i: Any) -> Any:
    p, limits = observer.prior, observer.limits
    up0, up1, ua, ub, uc = _line(memory, i, INFORMATION, p, 0)
    down0, down1, da, db, dc = _line(memory, i, INFORMATION + 5, p, 5)
    slope = max((down1 - up1) / 2, float(limits.floor))
    point = _bounded((up0 - down0) / (2 * slope), limits)
    u0, u1 = ua + ub * point, ub + uc * point
    d0, d1 = da + db * point, db + dc * point
    spread = u0 + u1 * point + d0 + d1 * point
    memory[POINT, i] = point
    memory[VARIANCE, i] = spread / (4 * slope * slope)
    memory[SHARE, i] = (_prior_part(p, 0, u0, u1) + _prior_part(p, 5, d0, d1)) / spread
    return memory[POINT, i]


@inline
def observe_scalar(observer: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    """One more read of a `ScalarObserver`; returns the symmetric point.

    The point moves by the share of the new information times what the new stretch says beyond the old one.
    """
    n, a, x, y, weight = _begin(observer, memory, i, read)
    prior, point = observer.prior[0], memory[POINT, i]
    fresh = weight * a * a * observer.g1 * observer.g1
    info = memory[INFORMATION, i] * observer.keep + fresh
    total = info + prior if observer.steady == 0 else observer.steady
    news = x + (y - n * observer.f0) / (a * observer.g1) - point if weight > 0 else 0 * x
    pull = (1 - observer.keep) * (observer.prior[1] - prior * point)
    memory[POINT, i] = _bounded(point + (fresh * news + pull) / total, observer.limits)
    memory[INFORMATION, i] = info
    memory[VARIANCE, i] = 1 / total
    memory[SHARE, i] = prior / total
    return memory[POINT, i]


@inline
def collect(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Add a step's increments ``wanted`` or ``pulses`` sent to N and A of the first n cells."""
    for i in range(n):
        drive = observer.dw_min * pulses[i] if observer.sent else wanted[i]
        memory[SUM, i] += drive
        memory[SIZE, i] += abs(drive)
