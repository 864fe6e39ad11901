"""Observers with a known response: the symmetric point alone, by its information or by fixed gains.

F and the slope of G are told; the laws are those of `sptrack.kernels.observers`.
"""

import math
from typing import Any

from sptrack.kernels._jit import inline, inline_optimised
from sptrack.kernels.observer_rows import (
    COUNT,
    LEVEL,
    POINT,
    PREDICTED,
    READ,
    SEEN,
    SHARE,
    SIZE,
    SUM,
    VARIANCE,
)
from sptrack.kernels.stretches import (
    INFORMATION,
    age,
    bounded,
    close_stretch,
    collect,
    drive_of,
    path,
    pulse_variance,
    squared,
)

SQUARES = INFORMATION + 1
"""Row of a scalar observer: sum of the squares of the increments, weight units squared."""


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
    lasting, _ = path(decay)
    pulses = pulse_variance(noise, a, level, memory[COUNT, i])
    spent = path(2 * decay)[0]
    alike = (n / a) ** 2 if a > 0 else 1.0
    order = memory[SQUARES, i] * (1 - alike) * max(spent - lasting * lasting, 0.0) / (dw * dw)
    pulses = pulses * spent + level * level * order
    lever, left = a * observer.g1 * lasting, 1 - decay * lasting
    variance = noise.reading * (1 + left * left) + pulses
    known = (memory[SEEN, i] != 0) & (a > 0) & (variance > 0)
    lever = lever / variance if known else 0 * a
    age(observer, memory, i, pulses, lever, left)
    close_stretch(memory, i, read)
    memory[SQUARES, i] = 0
    fresh = variance * lever * lever
    info = memory[INFORMATION, i] * keep + fresh
    total, point = info + prior, memory[POINT, i]
    beyond = lever * ((read - old) / dw - n * observer.f0 * lasting) + fresh * (old - point)
    pull = (1 - keep) * (observer.prior[1] - prior * point)
    memory[POINT, i] = bounded(point + (beyond + pull) / total, observer.limits)
    memory[INFORMATION, i] = info
    memory[VARIANCE, i] = (squared(observer, memory, i) + prior) / (total * total)
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
        point = bounded(memory[POINT, i] + observer.point_gain * surprise, observer.limits)
        memory[POINT, i] = _rounded(point, observer.point_grid)
    memory[SEEN, i] = 1
    memory[VARIANCE, i] = observer.variance


def collect_squares_tile(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Add a step's increments to N, A and the sum of squares of the first n cells."""
    collect(observer, memory, wanted, pulses, n)
    for i in range(n):
        drive = drive_of(observer, wanted, pulses, i)
        memory[SQUARES, i] += drive * drive


def predict_tile(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Move the expected weights of a predictor by a step's increments."""
    for i in range(n):
        drive = drive_of(observer, wanted, pulses, i)
        away = memory[PREDICTED, i] - memory[POINT, i]
        expected = memory[PREDICTED, i] + drive * observer.f0 - abs(drive) * observer.g1 * away
        memory[PREDICTED, i] = _rounded(expected, observer.weight_grid)


def observe_scalar_tile(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """One more read of each of ``n`` cells, with known level and slope."""
    for i in range(n):
        _observe_scalar(observer, memory, i, reads[i])


def observe_predicted_tile(observer: Any, memory: Any, reads: Any, n: Any) -> None:
    """One more read of each of ``n`` cells, with fixed gains."""
    for i in range(n):
        _observe_predicted(observer, memory, i, reads[i])
