"""Observers by regression: F and G of a cell as straight lines, together or by the direction of its pulses.

The laws are those of `sptrack.kernels.observers`.
"""

import math
from typing import Any

from sptrack.kernels._jit import inline, inline_optimised
from sptrack.kernels.observer_rows import (
    COUNT,
    LEVEL,
    POINT,
    READ,
    SEEN,
    SHARE,
    SIZE,
    SLOPE,
    SUM,
    VARIANCE,
)
from sptrack.kernels.stretches import (
    INFORMATION,
    NOISY,
    age,
    bounded,
    close_stretch,
    collect,
    path,
    pulse_variance,
    squared,
)


@inline
def _begin(observer: Any, memory: Any, i: Any, read: Any) -> Any:
    """Close the stretch that ends with ``read``: N, A (pulses), x, y (pulses), weight, variance of x.

    The weight, the inverse variance of the residual, is 0 where nothing can be learned.
    """
    noise, dw, old = observer.noise, observer.dw_min, memory[READ, i]
    n, a, level = memory[SUM, i] / dw, memory[SIZE, i] / dw, memory[LEVEL, i]
    change = (read - old) / dw
    pulses = pulse_variance(noise, a, level, memory[COUNT, i])
    variance = 2 * noise.reading + pulses
    known = (memory[SEEN, i] != 0) & (a > 0) & (variance > 0)
    steep = a * memory[SLOPE, i]
    displaced, middle = path(steep * dw)
    expected = (n * level - steep * (old - memory[POINT, i])) * displaced
    fraction = noise.reading / variance if known else 0 * a
    x = old + dw * (middle * expected + fraction * (change - expected))
    excess = noise.reading * (1 - fraction) * dw * dw
    close_stretch(memory, i, read)
    return n, a, x, change, (1 / (variance + steep * steep * excess) if known else 0 * a), excess


@inline
def _scale(memory: Any, i: Any, first: Any, count: Any, factor: Any) -> None:
    for k in range(first, first + count):
        memory[k, i] *= factor


@inline
def _age(observer: Any, memory: Any, i: Any, weight: Any, lever: Any, noisy: Any) -> None:
    """Age the changes' sum by a change of that ``weight``, and what was taken off the information."""
    own = 1 / weight - 2 * observer.noise.reading if weight > 0 else 0 * weight
    age(observer, memory, i, own, lever, 1.0)
    memory[NOISY, i] = observer.keep * memory[NOISY, i] + noisy


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
    point = bounded(centre - (g0 + g1 * centre) / slope, limits)
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
def _uncertainty(observer: Any, memory: Any, i: Any, spread: Any, own: Any, found: Any) -> None:
    """Variance and prior's share; ``spread`` is that of slope times the point if nothing were forgotten.

    The changes' part of it is as much larger or smaller as the variance of their sum is than the information
    that they left (`sptrack.theory.observer`). ``found`` = (how the point leans on what was taken off,
    information on G, slope of G).
    """
    leaning, information, slope = found
    aged = squared(observer, memory, i) / information if information > 0 else 1.0
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
    point = bounded(centre - drift / slope, limits)
    u0, u1 = ua + ub * point, ub + uc * point
    d0, d1 = da + db * point, db + dc * point
    own = _prior_part(p, 0, u0, u1) + _prior_part(p, 6, d0, d1)
    memory[POINT, i] = point
    memory[LEVEL, i] = max((up0 + down0 + (up1 + down1) * point) / 2, limits.level)
    memory[SLOPE, i] = slope
    spread = u0 + u1 * point + d0 + d1 * point
    _uncertainty(observer, memory, i, spread, own, (math.hypot(u1, d1), information, 2 * slope))


def collect_tile(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Add a step's increments to N and A of the first n cells."""
    collect(observer, memory, wanted, pulses, n)


def observe_block_tile(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """One more read of each of ``n`` cells, by one regression."""
    for i in range(n):
        _observe_block(observer, memory, i, reads[i])


def observe_direction_tile(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """The same by a regression per direction."""
    for i in range(n):
        _observe_direction(observer, memory, i, reads[i])
