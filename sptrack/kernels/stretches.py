"""A stretch between two reads, as observers of every form sum it up, and what the errors of reads leave."""

import math
from typing import Any

from sptrack.kernels._jit import inline
from sptrack.kernels.counts import BINOMIAL, POISSON, ROUNDED
from sptrack.kernels.observer_rows import COUNT, OWN, READ, SEEN, SIZE, SUM

LEVER, SQUARED, NOISY, INFORMATION = range(OWN, OWN + 4)
"""Rows of a regression and of a scalar observer: weight of the last change, variance of the sum of all,
information taken off; then the information itself."""


@inline
def drive_of(observer: Any, wanted: Any, pulses: Any, i: Any) -> Any:
    """Increment of a cell in a step (weight units): what its ``pulses`` sent make, or what was ``wanted``."""
    return observer.dw_min * pulses[i] if observer.sent != 0 else wanted[i]


@inline
def collect(observer: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Add a step's increments ``wanted`` or ``pulses`` sent to N and A of the first n cells."""
    noise = observer.noise
    for i in range(n):
        drive = drive_of(observer, wanted, pulses, i)
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


@inline
def bounded(point: Any, limits: Any) -> Any:
    """A symmetric point within its limits."""
    point = limits.low if limits.low > point else point
    return limits.high if limits.high < point else point


@inline
def path(decay: Any) -> Any:
    """A relaxation by exp(-decay): its displacement and its mean way from the start, per initial slope."""
    if decay < 0.01:
        return 1 - decay / 2, 0.5 + decay / 12
    left = math.exp(-decay)
    return (1 - left) / decay, 1 / (1 - left) - 1 / decay


@inline
def pulse_variance(noise: Any, a: Any, level: Any, counted: Any) -> Any:
    """Variance of what A pulses add at F = ``level``; ``counted``: that of their number."""
    return noise.pulse * a + level * level * (noise.relative * a + counted)


@inline
def close_stretch(memory: Any, i: Any, read: Any) -> None:
    """Begin the next stretch at a read."""
    memory[SUM, i] = 0
    memory[SIZE, i] = 0
    memory[COUNT, i] = 0
    memory[READ, i] = read
    memory[SEEN, i] = 1


@inline
def age(observer: Any, memory: Any, i: Any, own: Any, lever: Any, left: Any) -> None:
    """Variance of the sum of the changes, each times its ``lever``, of which age takes its share.

    The error of a read enters two changes with opposite signs, the later one by the fraction ``left``: levers
    that change little all but cancel it. ``own`` is the variance of the new change without reading noise.
    """
    keep, reading = observer.keep, observer.noise.reading
    step = lever * left - keep * memory[LEVER, i]
    memory[SQUARED, i] = keep * keep * memory[SQUARED, i] + own * lever * lever + reading * step * step
    memory[LEVER, i] = lever


@inline
def squared(observer: Any, memory: Any, i: Any) -> Any:
    """Variance of the sum of the changes; the last read has entered one of them only."""
    return memory[SQUARED, i] + observer.noise.reading * memory[LEVER, i] * memory[LEVER, i]
