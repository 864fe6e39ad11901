"""Order, time constants, bandwidth, settling and delay of a low-pass: one table for any linear filter."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import numpy as np

from sptrack.blocks.block import Block, LinearBlock
from sptrack.blocks.chain import Chain
from sptrack.blocks.coefficients import SOS
from sptrack.blocks.linear import (
    averages_of,
    cascade_of,
    enbw,
    group_delay,
    parts_of,
    settling,
    slowest_pole,
    taps_of,
)

_LOWEST, _POINTS = 1e-6, 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterTimes:
    """Figures of a low-pass, per sample of its clock.

    Makers of lock-in amplifiers mean different things by a time constant: that of each of the equal RC stages
    in a row (``stage_time``; Stanford Research SR830 and SR844), or that of the whole filter, whatever its
    slope (``corner_time``; Anfatec eLockIn 203). For one stage they agree.

    Attributes
    ----------
    order : int
        Degree of the transfer function: poles of a recursive filter, longest delay of a finite one.
    stage_time : float or None
        -1 / ln|z| of the slowest pole z, samples: of each stage of an EMA. None without poles.
    corner : float or None
        Lowest omega at which half of the power passes (-3 dB), rad per sample. None if there is none.
    corner_time : float or None
        1 / corner, samples: time constant of the analog RC stage with that corner.
    enbw : float
        Equivalent noise bandwidth, two-sided, cycles per sample.
    noise_time : float
        Time constant of the single RC stage (an EMA) with that bandwidth: -1 / ln((1 - B) / (1 + B)),
        samples.
    settling : int
        Samples after which the step response stays within 1 % of its end.
    delay : float
        Group delay at omega = 0, samples.
    """

    order: int
    stage_time: float | None
    corner: float | None
    corner_time: float | None
    enbw: float
    noise_time: float
    settling: int
    delay: float


def filter_times(block: Block) -> FilterTimes:
    """Figures of a low-pass.

    Parameters
    ----------
    block : LinearBlock or Chain of them, or an estimator that settles to one
        A filter with a gain at omega = 0.

    Raises
    ------
    ParameterError
        A block that is not linear or has no gain at omega = 0.
    ConvergenceError
        A filter whose impulse response does not decay.
    """
    settled = block.settled
    parts = parts_of(settled)
    poles = [pole for part in parts if (pole := slowest_pole(part)) is not None]
    bandwidth, edge = enbw(settled), corner(settled)
    return FilterTimes(
        order=sum(_degree(part) for part in parts),
        stage_time=max(map(_time, poles)) if poles else None,
        corner=edge,
        corner_time=None if edge is None else 1 / edge,
        enbw=bandwidth,
        noise_time=_time((1 - bandwidth) / (1 + bandwidth)) if bandwidth < 1 else 0.0,
        settling=settling(settled, 0.01),
        delay=float(group_delay(settled)),
    )


def corner(low_pass: LinearBlock | Chain) -> float | None:
    """Lowest omega (rad per sample) at which the power falls to half of that at omega = 0; None if none.

    Found on a logarithmic grid of 2000 points from 1e-6 to pi, and by bisection between two of them.
    """
    half = np.abs(low_pass.frequency_response(np.zeros(1)))[0] ** 2 / 2
    grid = np.geomspace(_LOWEST, np.pi, _POINTS)
    below = np.flatnonzero(np.abs(low_pass.frequency_response(grid)) ** 2 < half)
    if below.size == 0:
        return None
    low, high = (grid[below[0] - 1] if below[0] else 0.0), grid[below[0]]
    for _ in range(50):
        middle = (low + high) / 2
        if np.abs(low_pass.frequency_response(np.array([middle])))[0] ** 2 < half:
            high = middle
        else:
            low = middle
    return float(high)


def pole_radius(block: Block) -> float:
    """Largest magnitude of the poles of a filter; 0 without poles. Errors as in `filter_times`."""
    return max((slowest_pole(part) or 0.0 for part in parts_of(block.settled)), default=0.0)


def _time(pole: float) -> float:
    if pole <= 0:
        return 0.0
    return -1 / log(pole) if pole < 1 else inf


def _degree(part: LinearBlock) -> int:
    cascade, averages = cascade_of(part), averages_of(part)
    if cascade is not None:
        return cascade[1]
    if averages is not None:
        return (averages[0] - 1) * averages[1]
    if isinstance(part, SOS):
        zeros, poles = ([_last(row[half]) for row in part.sos] for half in (slice(0, 3), slice(3, 6)))
        return max(sum(zeros), sum(poles))
    taps = taps_of(part)
    return len(part.init().memory) if taps is None else taps.size - 1


def _last(coefficients: np.ndarray) -> int:
    """Place of the last coefficient other than 0."""
    return int(np.flatnonzero(coefficients).max(initial=0))
