"""The adaptive observer: weight, symmetric point, level and slope of each cell, noise and priors of all cells.

An extended Kalman filter of (w, s, f, g) per cell: an increment D moves the expected weight by
D f - |D| g (w - s), a read corrects all four. What the filter has to be told (variance of a read, variance of
a pulse, mean and spread of s, f and g over the array) is only where it starts: the cells that are read together
tell it better.

Noise. With S the variance of the innovation e, k the gain and h the gradient of the next read on (w, s, f, g),
an excess d of the variance of the weight before the read and an excess r of that of the read leave
E e^2 = S + r + d and, since E[e e'] = h . (P h - k E e^2), E[e e'] = h_w d - h . k (r + d). The two moments give
r and d without bias (Mehra 1970, IEEE Trans. Automat. Control 15, 175); what enters d anew between two reads is
the excess of the variance of the pulses. Each is the mean over cells and time, older reads weighing less.

Priors. Mean and variance of s, f and g over the array by the EM algorithm of a normal population (Dempster,
Laird and Rubin 1977, J. R. Stat. Soc. B 39, 1): mean of the estimates, and mean of their variance plus their
squared distance from it. An estimate is drawn to its prior as its information is forgotten, so that a cell
without excitation says what the array says.
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

ROOM, GAIN, NEWS, EXCESS, VARIED, USED_READ, USED_PULSE, PULSES, CARRIED = (
    OWN,
    OWN + 10,
    OWN + 14,
    OWN + 15,
    OWN + 16,
    OWN + 17,
    OWN + 18,
    OWN + 19,
    OWN + 20,
)
"""Upper triangle of the covariance of (w, s, f, g), row by row; then of the last read: gains, innovation, how
far its square was above its variance, that variance, those of a read and of the pulses in it, the latter as
told, and what of the excess of the weight's variance stems from the read before (0, 0, .. before the second)."""
READING, READ_WEIGHT, PULSING, PULSE_WEIGHT, READS = OWN + 21, OWN + 22, OWN + 23, OWN + 24, OWN + 25
"""Sums over the reads of a cell, older ones weighing less: variance of a read, its weights; variance of the
pulses over that told, its weights; number of reads."""
ROWS = OWN + 26
CELLS_TOLD, READS_TOLD = 4.0, 16.0
"""What is told beforehand is worth so many cells, for the priors, and so many reads, for the noise."""
_LEAST_PULSE, _MOST_PULSE, _LEAST_SPREAD, _LEAST_LEFT = 0.2, 50.0, 0.02, 0.2


@tile_function
def pooled_noise(told: Any, memory: Any, n: Any) -> Any:
    """Variance of a read, and of the pulses over that told, from what ``n`` cells have seen.

    ``told`` is the variance of a read that was told.
    """
    reading, weight, pulsing, pulse_weight, reads = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        reading += memory[READING, i]
        weight += memory[READ_WEIGHT, i]
        pulsing += memory[PULSING, i]
        pulse_weight += memory[PULSE_WEIGHT, i]
        reads += memory[READS, i]
    if reads == 0:
        return told, 1.0
    beforehand = READS_TOLD * weight / reads
    variance = max((beforehand * told + reading) / (beforehand + weight), 0.0)
    pulses = (READS_TOLD + pulsing) / (READS_TOLD + pulse_weight)
    return variance, min(max(pulses, _LEAST_PULSE), _MOST_PULSE)


@tile_function
def pooled_prior(told: Any, memory: Any, which: Any, n: Any) -> Any:
    """Mean and variance over the array of s, f or g (``which`` 0, 1, 2), told beforehand in ``told`` [6]."""
    row = POINT if which == 0 else LEVEL + which - 1
    own = ROOM + (4 if which == 0 else 7 if which == 1 else 9)
    mean, variance = told[which], told[3 + which]
    total = CELLS_TOLD * mean
    for i in range(n):
        total += memory[row, i]
    centre = total / (CELLS_TOLD + n)
    squares = CELLS_TOLD * (variance + (mean - centre) * (mean - centre))
    for i in range(n):
        away = memory[row, i] - centre
        squares += memory[own, i] + away * away
    least = _LEAST_SPREAD * _LEAST_SPREAD * variance
    return centre, max(squares / (CELLS_TOLD + n), least)


@inline
def expect_adaptive(memory: Any, i: Any, drive: Any) -> None:
    """Move the expected weight by an increment."""
    size = abs(drive) * memory[SLOPE, i]
    move = drive * memory[LEVEL, i] - size * (memory[PREDICTED, i] - memory[POINT, i])
    memory[PREDICTED, i] += move / (1 + 0.5 * size)


@inline
def _forget(keep: Any, prior: Any, memory: Any, i: Any) -> None:
    """Draw s, f and g to the array's, as far as earlier information is forgotten."""
    p = ROOM
    (ms, vs), (mf, vf), (mg, vg) = prior
    cs = 1 / math.sqrt(keep + (1 - keep) * memory[p + 4, i] / vs)
    cf = 1 / math.sqrt(keep + (1 - keep) * memory[p + 7, i] / vf)
    cg = 1 / math.sqrt(keep + (1 - keep) * memory[p + 9, i] / vg)
    memory[p + 1, i] *= cs
    memory[p + 2, i] *= cf
    memory[p + 3, i] *= cg
    memory[p + 4, i] *= cs * cs
    memory[p + 5, i] *= cs * cf
    memory[p + 6, i] *= cs * cg
    memory[p + 7, i] *= cf * cf
    memory[p + 8, i] *= cf * cg
    memory[p + 9, i] *= cg * cg
    memory[POINT, i] += (1 - keep) * memory[p + 4, i] / vs * (ms - memory[POINT, i])
    memory[LEVEL, i] += (1 - keep) * memory[p + 7, i] / vf * (mf - memory[LEVEL, i])
    memory[SLOPE, i] += (1 - keep) * memory[p + 9, i] / vg * (mg - memory[SLOPE, i])


@inline
def _learn_noise(keep: Any, news: Any, h: Any, memory: Any, i: Any) -> None:
    """Moments of this innovation and the last: excess of the variances of read and weight at the last read."""
    carried = 0.0
    for row in range(READING, READS + 1):
        memory[row, i] *= keep
    if memory[VARIED, i] > 0 and h[0] > _LEAST_LEFT:
        gain = memory[GAIN, i]
        leaning = (
            h[0] * gain + h[1] * memory[GAIN + 1, i] + h[2] * memory[GAIN + 2, i] + h[3] * memory[GAIN + 3, i]
        )
        weight = (news * memory[NEWS, i] + leaning * memory[EXCESS, i]) / h[0]
        read = memory[EXCESS, i] - weight
        share = 1 / (memory[VARIED, i] * memory[VARIED, i])
        told = memory[PULSES, i]
        memory[READING, i] += share * (memory[USED_READ, i] + read)
        memory[READ_WEIGHT, i] += share
        memory[PULSING, i] += share * told * (memory[USED_PULSE, i] + weight - memory[CARRIED, i])
        memory[PULSE_WEIGHT, i] += share * told * told
        memory[READS, i] += 1
        carried = h[0] * h[0] * ((1 - gain) * (1 - gain) * weight + gain * gain * read)
    memory[CARRIED, i] = carried


@inline
def _correct(observer: Any, noises: Any, prior: Any, memory: Any, i: Any, read: Any) -> None:
    """One more read of a cell."""
    reading, scale = noises
    p, noise, dw = ROOM, observer.noise, observer.dw_min
    a, n = memory[SIZE, i], memory[SUM, i]
    s, f, g, expected = memory[POINT, i], memory[LEVEL, i], memory[SLOPE, i], memory[PREDICTED, i]
    steep = a * g
    left = math.exp(-steep)
    displaced = (1 - left) / steep if steep > 0.01 else 1 - steep / 2
    bend = (left * (1 + steep) - 1) / (steep * steep) if steep > 0.01 else steep / 3 - 0.5
    moved = n * displaced
    hg = a * (s + moved * f - expected + n * f * bend)
    h = (left, 1 - left, moved, hg)
    number = a / dw
    told = dw * dw * (noise.pulse * number + f * f * (noise.relative * number + memory[COUNT, i]))
    told *= (1 - left * left) / (2 * steep) if steep > 0.01 else 1 - steep
    pulses = scale * told
    _forget(observer.keep, prior, memory, i)
    ww, ws, wf, wg = memory[p, i], memory[p + 1, i], memory[p + 2, i], memory[p + 3, i]
    ss, sf, sg = memory[p + 4, i], memory[p + 5, i], memory[p + 6, i]
    ff, fg, gg = memory[p + 7, i], memory[p + 8, i], memory[p + 9, i]
    first = h[0] * ww + h[1] * ws + h[2] * wf + h[3] * wg
    ws = h[0] * ws + h[1] * ss + h[2] * sf + h[3] * sg
    wf = h[0] * wf + h[1] * sf + h[2] * ff + h[3] * fg
    wg = h[0] * wg + h[1] * sg + h[2] * fg + h[3] * gg
    ww = h[0] * first + h[1] * ws + h[2] * wf + h[3] * wg + pulses
    total = ww + reading
    news = read - expected
    _learn_noise(observer.keep, news, h, memory, i)
    if total > 0:
        kw, ks, kf, kg = ww / total, ws / total, wf / total, wg / total
        memory[p, i], memory[p + 1, i], memory[p + 2, i] = ww - kw * ww, ws - kw * ws, wf - kw * wf
        memory[p + 3, i], memory[p + 4, i], memory[p + 5, i] = wg - kw * wg, ss - ks * ws, sf - ks * wf
        memory[p + 6, i], memory[p + 7, i], memory[p + 8, i] = sg - ks * wg, ff - kf * wf, fg - kf * wg
        memory[p + 9, i] = gg - kg * wg
        limits = observer.limits
        memory[PREDICTED, i] = expected + kw * news
        memory[POINT, i] = min(max(memory[POINT, i] + ks * news, limits.low), limits.high)
        memory[LEVEL, i] = max(memory[LEVEL, i] + kf * news, limits.level)
        memory[SLOPE, i] = max(memory[SLOPE, i] + kg * news, limits.floor)
        memory[GAIN, i], memory[GAIN + 1, i], memory[GAIN + 2, i], memory[GAIN + 3, i] = kw, ks, kf, kg
        memory[NEWS, i], memory[EXCESS, i], memory[VARIED, i] = news, news * news - total, total
        memory[USED_READ, i], memory[USED_PULSE, i], memory[PULSES, i] = reading, pulses, told
    memory[VARIANCE, i] = memory[p + 4, i]
    memory[SHARE, i] = min(memory[p + 4, i] / prior[0][1], 1.0)


def observe_adaptive_tile(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """One more read of each of ``n`` cells, which share what they tell of noise and priors."""
    told = observer.noise.reading * observer.dw_min * observer.dw_min
    noises = pooled_noise(told, memory, n)
    prior = (
        pooled_prior(observer.prior, memory, 0, n),
        pooled_prior(observer.prior, memory, 1, n),
        pooled_prior(observer.prior, memory, 2, n),
    )
    for i in range(n):
        if memory[SEEN, i] == 0:
            memory[SEEN, i], memory[PREDICTED, i], memory[ROOM, i] = 1, reads[i], told
        else:
            _correct(observer, noises, prior, memory, i, reads[i])
        memory[SUM, i] = 0
        memory[SIZE, i] = 0
        memory[COUNT, i] = 0
