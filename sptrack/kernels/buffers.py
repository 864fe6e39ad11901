"""Digital buffer between the two arrays of a tile: what reads hold beyond their reference, and pulses due."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import kernel

Array = NDArray[Any]


class BufferRule(NamedTuple):
    """Most pulses at once, and what stays after a pulse: a share ``momentum`` of the level, or of the pulses.

    Levels that stay are limited to +-``most`` ``cap`` where ``cap`` > 0 and the level is not forgotten.
    """

    most: float
    momentum: float
    forget: bool
    cap: float


@kernel
def collect(read: Array, reference: Array, gains: Any, rule: Any, level: Array, beyond: Array) -> bool:
    """Add what ``read`` [R] holds beyond ``reference`` [R] to ``level`` [R] (pulses, all float64).

    ``gains`` = (sign of the column, rate, weight units of a pulse). ``beyond`` [2, R] becomes what is beyond,
    with its sign, and the whole pulses that were taken out. Returns whether there are any.
    """
    sign, gain, unit = gains
    found = False
    for i in range(len(level)):
        beyond[0, i] = sign * (read[i] - reference[i])
        now = level[i] + gain * beyond[0, i] / unit
        number = min(max(np.trunc(now), -rule.most), rule.most)
        beyond[1, i] = number
        if number != 0:
            found = True
            if rule.forget:
                now = rule.momentum * now
            else:
                now -= (1.0 - rule.momentum) * number
                if rule.cap > 0:
                    now = min(max(now, -rule.most * rule.cap), rule.most * rule.cap)
        level[i] = now
    return found
