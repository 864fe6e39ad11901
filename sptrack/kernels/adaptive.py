"""The adaptive observer: weight and response of each cell, noise and priors of all cells.

An extended Kalman filter of (w, g0, f0, g1, f1) per cell, with the lines F = f0 + f1 w and G = g0 + g1 w: an
increment D moves the expected weight by D F(w) - |D| G(w), a read corrects all five; the symmetric point is
-g0/g1. In these the model is linear but for products with w, which the reads tell: with the symmetric point
as a state instead, its product with g1 lets a filter settle far from the truth.
What the filter is told (variance of a read, variance of a pulse, mean and spread of the response over the
array) is only where it starts: the cells that are read together tell it better.

Noise. With S the variance of the innovation e, k the gain and h the gradient of the next read on the state,
an excess d of the variance of the weight before the read and an excess r of that of the read leave
E e^2 = S + r + d and, since E[e e'] = h . (P h - k E e^2), E[e e'] = h_w d - h . k (r + d). The two moments
give r and d without bias (Mehra 1970, IEEE Trans. Automat. Control 15, 175); what enters d anew between two
reads is the excess of the variance of the pulses. Each is the mean over cells and time, older reads weighing
less, and those less whose innovation was expected to be large.

Priors. Mean and variance of g0, f0, g1 and f1 over the array by the EM algorithm of a normal population
(Dempster, Laird and Rubin 1977, J. R. Stat. Soc. B 39, 1): mean of the estimates, and mean of their variance
plus their squared distance from it. An estimate is drawn to its prior as its information is forgotten, so
that a cell without excitation says what the array says.
"""

import math
from typing import Any

from sptrack.kernels._jit import inline, tile_function
from sptrack.kernels.observer_rows import (
    COUNT,
    LEVEL,
    OWN,
    POINT,
    PREDICTED,
    SEEN,
    SHARE,
    SIZE,
    SLOPE,
    SUM,
    VARIANCE,
)
from sptrack.kernels.stretches import collect, drive_of, pulse_variance

LINES, PATH, COVARIANCE, GAIN = OWN, OWN + 4, OWN + 6, OWN + 21
"""g0, f0, g1, f1; sums over the steps since the last read of |D| w and of D w; upper triangle of the
covariance of weight and lines, row by row; gains of the last read."""
NEWS, EXCESS, VARIED, USED_READ, USED_PULSE, PULSES, CARRIED = range(GAIN + 5, GAIN + 12)
"""Of the last read: innovation, how far its square was above its variance, that variance, those of a read
and of the pulses in it, the latter as told, and what of the excess of the weight's variance stems from the
read before."""
READING, READ_WEIGHT, PULSING, PULSE_WEIGHT = range(GAIN + 12, GAIN + 16)
"""Sums over the reads of a cell, older ones weighing less: variance of a read, its weights; variance of the
pulses over that told, its weights."""
PRIOR = PULSE_WEIGHT + 1
"""Mean and then variance of g0, f0, g1, f1 over the array, as they stand in the estimate now."""
SCRATCH, AGED = PRIOR + 8, PRIOR + 13
"""Scratch, and sums over the reads of their weights as they are forgotten, and of the squares of these."""
ROWS = AGED + 2
CELLS_TOLD, READS_TOLD = 4.0, 4.0
"""What is told is worth so many cells, for the priors, and so many reads of each cell, for the noise."""
READ_DOUBT = 15.0
"""Pulses that are added to the std of a read that is told: with too little at first a response is learned
from noise, with too much it is learned a few reads later."""
_LEAST_PULSE, _MAX_PULSE, _LEAST_SPREAD, _LEAST_LEFT, _LEAST_FACTOR = 0.2, 50.0, 0.02, 0.2, 1e-3


def entry(j: int, k: int) -> int:
    """Row of the covariance's entry (j, k), j <= k, counted from `COVARIANCE`."""
    return 5 * j - j * (j - 1) // 2 + k - j


_entry: Any = inline(entry)


@tile_function
def pooled_noise(told: Any, memory: Any, n: Any) -> Any:
    """Variance of a read, and of the pulses over that told, from what ``n`` cells have seen.

    ``told`` is the variance of a read that was told.
    """
    beforehand = READS_TOLD * n
    weight, pulse_weight = beforehand / (told * told), beforehand
    reading, pulsing = weight * told, pulse_weight
    for i in range(n):
        reading += memory[READING, i]
        weight += memory[READ_WEIGHT, i]
        pulsing += memory[PULSING, i]
        pulse_weight += memory[PULSE_WEIGHT, i]
    variance, pulses = max(reading / weight, 0.0), pulsing / pulse_weight
    return variance, min(max(pulses, _LEAST_PULSE), _MAX_PULSE)


@tile_function
def pooled_prior(told: Any, memory: Any, which: Any, n: Any) -> Any:
    """Mean and variance over the array of a line's number (``which`` 0 to 3), told beforehand in ``told``."""
    row, own = LINES + which, COVARIANCE + _entry(which + 1, which + 1)
    mean, variance = told[which], told[4 + which]
    total = CELLS_TOLD * mean
    for i in range(n):
        total += memory[row, i]
    centre = total / (CELLS_TOLD + n)
    squares = CELLS_TOLD * (variance + (mean - centre) * (mean - centre))
    for i in range(n):
        away = memory[row, i] - centre
        squares += memory[own, i] + away * away
    least = _LEAST_SPREAD * _LEAST_SPREAD * variance
    return centre, min(max(squares / (CELLS_TOLD + n), least), variance)


@inline
def _expect(limits: Any, memory: Any, i: Any, drive: Any) -> None:
    """Move the expected weight by an increment, no further than its ``limits``."""
    size, w = abs(drive), memory[PREDICTED, i]
    steep = size * memory[LINES + 2, i] - drive * memory[LINES + 3, i]
    move = (drive * memory[LINES + 1, i] - size * memory[LINES, i] - steep * w) / (1 + 0.5 * max(steep, 0.0))
    after = min(max(w + move, limits.low), limits.high)
    memory[PREDICTED, i] = after
    memory[PATH, i] += 0.5 * size * (w + after)
    memory[PATH + 1, i] += 0.5 * drive * (w + after)


@inline
def _renew(keep: Any, prior: Any, memory: Any, i: Any) -> None:
    """Forget a share of what was learned, and put the array's prior in the place of the one before.

    The information becomes ``keep`` times itself, less that of the old prior, plus that of the new one:
    number by number, a change of rank one each. It never falls below the prior's.
    """
    for row in range(COVARIANCE, COVARIANCE + 15):
        memory[row, i] /= keep
    for j in range(1, 5):
        mean, variance = prior[j - 1]
        old_mean, old = memory[PRIOR + j - 1, i], memory[PRIOR + j + 3, i]
        own = memory[COVARIANCE + _entry(j, j), i]
        change = 1 / variance - keep / old
        factor = max(1 + change * own, _LEAST_FACTOR)
        news = (mean / variance - keep * old_mean / old - change * memory[LINES + j - 1, i]) / factor
        for k in range(5):
            memory[SCRATCH + k, i] = memory[COVARIANCE + _entry(min(j, k), max(j, k)), i]
        for k in range(5):
            memory[PREDICTED if k == 0 else LINES + k - 1, i] += memory[SCRATCH + k, i] * news
            for m in range(k, 5):
                crossed = memory[SCRATCH + k, i] * memory[SCRATCH + m, i]
                memory[COVARIANCE + _entry(k, m), i] -= crossed * change / factor
        memory[PRIOR + j - 1, i], memory[PRIOR + j + 3, i] = mean, variance


@inline
def _learn_noise(keep: Any, news: Any, h: Any, memory: Any, i: Any) -> None:
    """Excess of the variances of read and weight at the last read, by moments of that innovation and this."""
    carried = 0.0
    for row in range(READING, PULSE_WEIGHT + 1):
        memory[row, i] *= keep
    if memory[VARIED, i] > 0 and h[0] > _LEAST_LEFT:
        gain, leaning = memory[GAIN, i], 0.0
        for j in range(5):
            leaning += h[j] * memory[GAIN + j, i]
        weight = (news * memory[NEWS, i] + leaning * memory[EXCESS, i]) / h[0]
        read = memory[EXCESS, i] - weight
        fraction = 1 / (memory[VARIED, i] * memory[VARIED, i])
        told = memory[PULSES, i]
        memory[READING, i] += fraction * (memory[USED_READ, i] + read)
        memory[READ_WEIGHT, i] += fraction
        memory[PULSING, i] += fraction * told * (memory[USED_PULSE, i] + weight - memory[CARRIED, i])
        memory[PULSE_WEIGHT, i] += fraction * told * told
        carried = h[0] * h[0] * ((1 - gain) * (1 - gain) * weight + gain * gain * read)
    memory[CARRIED, i] = carried


@inline
def _correct(observer: Any, noises: Any, prior: Any, memory: Any, i: Any, read: Any) -> None:
    """One more read of a cell that has been read before."""
    reading, scale = noises
    noise, dw = observer.noise, observer.dw_min
    a, n, level = memory[SIZE, i], memory[SUM, i], memory[LEVEL, i]
    steep = max(a * memory[LINES + 2, i] - n * memory[LINES + 3, i], 0.0)
    left = math.exp(-steep)
    displaced = (1 - left) / steep if steep > 0.01 else 1 - steep / 2
    h = (left, -a * displaced, n * displaced, -memory[PATH, i] * displaced, memory[PATH + 1, i] * displaced)
    number = a / dw
    told = dw * dw * pulse_variance(noise, number, level, memory[COUNT, i])
    told *= (1 - left * left) / (2 * steep) if steep > 0.01 else 1 - steep
    pulses = scale * told
    news = read - memory[PREDICTED, i]
    _learn_noise(observer.keep, news, h, memory, i)
    variance = pulses
    for j in range(5):
        crossed = 0.0
        for k in range(5):
            crossed += memory[COVARIANCE + _entry(min(j, k), max(j, k)), i] * h[k]
        memory[GAIN + j, i] = crossed
        variance += crossed * h[j]
    total = variance + reading
    memory[VARIED, i] = total
    memory[AGED, i] = observer.keep * memory[AGED, i] + 1
    memory[AGED + 1, i] = observer.keep * observer.keep * memory[AGED + 1, i] + 1
    if total > 0:
        memory[GAIN, i] = variance
        rest = reading / total
        memory[COVARIANCE, i] = variance * rest
        for j in range(1, 5):
            memory[COVARIANCE + j, i] = memory[GAIN + j, i] * rest
            for k in range(j, 5):
                memory[COVARIANCE + _entry(j, k), i] -= memory[GAIN + j, i] * memory[GAIN + k, i] / total
        for j in range(5):
            memory[GAIN + j, i] /= total
        memory[PREDICTED, i] += memory[GAIN, i] * news
        for j in range(1, 5):
            memory[LINES + j - 1, i] += memory[GAIN + j, i] * news
        memory[NEWS, i], memory[EXCESS, i] = news, news * news - total
        memory[USED_READ, i], memory[USED_PULSE, i], memory[PULSES, i] = reading, pulses, told
    _renew(observer.keep, prior, memory, i)
    _point(observer.limits, prior, memory, i)


@inline
def _point(limits: Any, prior: Any, memory: Any, i: Any) -> None:
    """Symmetric point from the lines, F and slope there.

    The mean square of g0 + g1 x, uncertain as g0 and g1 are, is least at x = -E[g0 g1]/E[g1^2]: an estimate
    of which little is known lies nearer the middle.
    Information that weighs w_k leaves the variance sum w_k^2/(sum w_k)^2, of which the covariance of a filter
    that forgets is 1/sum w_k.
    """
    g0, f0, g1, f1 = memory[LINES, i], memory[LINES + 1, i], memory[LINES + 2, i], memory[LINES + 3, i]
    slope = max(g1, limits.floor)
    p00, p02 = memory[COVARIANCE + _entry(1, 1), i], memory[COVARIANCE + _entry(1, 3), i]
    p22 = memory[COVARIANCE + _entry(3, 3), i]
    point = min(max(-(g0 * g1 + p02) / (g1 * g1 + p22), limits.low), limits.high)
    spread = p00 + 2 * point * p02 + point * point * p22
    memory[POINT, i], memory[SLOPE, i], memory[LEVEL, i] = point, slope, max(f0 + f1 * point, limits.level)
    fraction = min(max(spread, 0.0) / (prior[0][1] + point * point * prior[2][1]), 1.0)
    aged = memory[AGED + 1, i] / memory[AGED, i]
    memory[VARIANCE, i] = max(spread, 0.0) * (fraction + (1 - fraction) * aged) / (slope * slope)
    memory[SHARE, i] = fraction


def expect_adaptive_tile(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Move the expected weights of an adaptive observer by a step's increments, and add these up."""
    collect(observer, memory, wanted, pulses, n)
    for i in range(n):
        _expect(observer.limits, memory, i, drive_of(observer, wanted, pulses, i))


def observe_adaptive_tile(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """One more read of each of ``n`` cells, which share what they tell of noise and priors."""
    std = (math.sqrt(observer.noise.reading) + READ_DOUBT) * observer.dw_min
    told = std * std
    noises = pooled_noise(told, memory, n)
    prior = (
        pooled_prior(observer.prior, memory, 0, n),
        pooled_prior(observer.prior, memory, 1, n),
        pooled_prior(observer.prior, memory, 2, n),
        pooled_prior(observer.prior, memory, 3, n),
    )
    for i in range(n):
        if memory[SEEN, i] == 0:
            memory[SEEN, i], memory[PREDICTED, i], memory[COVARIANCE, i] = 1, reads[i], told
        else:
            _correct(observer, noises, prior, memory, i, reads[i])
        for row in (SUM, SIZE, COUNT, PATH, PATH + 1):
            memory[row, i] = 0
