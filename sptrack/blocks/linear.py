"""Figures of merit of linear blocks: in closed form where there is one, else from their impulse response.

Closed forms: everything of an `EMA` of any rate and order and of moving averages; group delays of all but
filters of one's own, and of chains of them. Finite impulse responses are summed as they stand, recursive
ones to where they have decayed.
"""

from __future__ import annotations

from math import ceil, comb

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincc

from sptrack.blocks.averages import EMA, LastSample, SteadyKalman
from sptrack.blocks.block import Block, LinearBlock
from sptrack.blocks.boxcars import CIC, Boxcar, boxcar_response
from sptrack.blocks.chain import Chain
from sptrack.blocks.coefficients import FIR, SOS
from sptrack.blocks.loop import TrackingLoop
from sptrack.errors import ConvergenceError, ParameterError
from sptrack.values import check_number, check_whole, real_array

Real = NDArray[np.float64]

_TAIL = 1e-12
_SHORTEST, _LONGEST = 64, 1 << 22


def parts_of(block: Block) -> tuple[LinearBlock, ...]:
    """The blocks of a chain, or the block alone, loops as sections (ParameterError if one is not linear)."""
    parts: list[LinearBlock] = []
    for part in block.blocks if isinstance(block, Chain) else (block,):
        if not isinstance(part, LinearBlock):
            raise ParameterError(f"{part} must be a linear, time-invariant block")
        _ = part.settled
        parts.append(part.sections if isinstance(part, TrackingLoop) else part)
    return tuple(parts)


def cascade_of(block: Block) -> tuple[float, int] | None:
    """Rate and order of a cascade of equal one-pole averages."""
    if isinstance(block, SteadyKalman):
        return block.gain, 1
    return (block.eta, block.order) if isinstance(block, EMA) else None


def averages_of(block: Block) -> tuple[int, int] | None:
    """Length and order of a cascade of equal moving averages."""
    if isinstance(block, Boxcar):
        return block.length, 1
    return (block.length, block.order) if isinstance(block, CIC) else None


def taps_of(part: LinearBlock) -> Real | None:
    """The finite impulse response of a block; None where it is infinite, or not known to end."""
    if isinstance(part, FIR):
        return part.taps
    if isinstance(part, LastSample):
        return np.ones(1)
    averages = averages_of(part)
    if averages is None:
        return None
    length, order = averages
    taps = np.full(length, 1 / length)
    for _ in range(order - 1):
        total = np.cumsum(np.append(taps, np.zeros(length - 1)))
        taps = (total - np.append(np.zeros(length), total[:-length])) / length
    return taps


def slowest_pole(part: LinearBlock) -> float | None:
    """Largest magnitude of a pole; None without poles."""
    known = part.zpk()
    return None if known is None or not len(known.poles) else float(np.abs(known.poles).max())


def _refuse_slow(block: Block, parts: tuple[LinearBlock, ...]) -> None:
    """Refuse poles from which the impulse response cannot decay within `_LONGEST` samples."""
    pole = max(slowest_pole(part) or 0.0 for part in parts)
    if pole >= 1 or (pole > 0 and np.log(_TAIL) / np.log(pole) > _LONGEST):
        raise ConvergenceError(
            f"{block}: the impulse response does not decay within {_LONGEST} samples, the largest pole being "
            f"{pole:.10g}"
        )


def _decayed(y: Real) -> bool:
    size = np.abs(y)
    return bool(np.isfinite(size).all() and size[len(y) // 2 :].max() <= _TAIL * size.max())


def impulse_response(block: Block) -> Real:
    """Outputs after a single 1, to where the rest is below 1e-12 of the largest.

    Parameters
    ----------
    block : LinearBlock or Chain of them
        At rest before.

    Returns
    -------
    ndarray of float64, shape [samples]
        Long enough that its second half holds nothing above 1e-12 of the largest output.

    Raises
    ------
    ParameterError
        A block that is not linear or changes with time.
    ConvergenceError
        No decay within 4 million samples (an integrator, a pole outside the unit circle or close to it).
    """
    _refuse_slow(block, parts_of(block))
    length = _SHORTEST + 2 * len(block.init().memory)
    y, state = block.process(np.eye(1, length)[0])
    while not _decayed(y):
        if len(y) >= _LONGEST or not np.isfinite(y).all():
            raise ConvergenceError(f"{block}: impulse response has not decayed after {len(y)} samples")
        more, state = block.process(np.zeros(len(y)), state)
        y = np.concatenate([y, more])
    return y


def step_response(block: Block, count: int) -> Real:
    """First ``count`` outputs for an input of ones, float64, shape [count].

    Raises
    ------
    ParameterError
        A block that is not linear or changes with time, or a negative count.
    """
    parts_of(block)
    check_whole("count", count, 0)
    return block.process(np.ones(count))[0]


def _response(block: Block, parts: tuple[LinearBlock, ...]) -> Real:
    """Impulse response: as it stands where it is finite, else to where it has decayed."""
    taps = [taps_of(part) for part in parts]
    if len(taps) == 1 and taps[0] is not None:
        return taps[0]
    return impulse_response(block)


def _unit(block: Block, parts: tuple[LinearBlock, ...]) -> Real:
    """Impulse response over the gain at omega = 0."""
    response = _response(block, parts)
    gain = response.sum()
    if abs(gain) <= _TAIL * np.abs(response).sum():
        raise ParameterError(f"{block} must be a low-pass, but has no gain at omega = 0")
    return np.asarray(response / gain)


def enbw(block: Block) -> float:
    """Equivalent noise bandwidth, two-sided, cycles per sample: sum of h**2 over (sum of h)**2.

    The variance of filtered white noise over that of the noise, for unit gain at omega = 0. For an EMA of
    order n, whose h is a negative binomial distribution, eta / (2 - eta)**(2 n - 1) times the sum over j < n
    of (binomial(n - 1, j) (1 - eta)**j)**2, which is eta / (2 - eta) for one; 1 / M for a moving average over
    M samples; for a CIC filter the fraction of equal sums of ``order`` numbers below M among all pairs.

    Raises
    ------
    ParameterError, ConvergenceError
        As `impulse_response`; no gain at omega = 0.
    """
    parts = parts_of(block)
    if len(parts) == 1:
        cascade, averages = cascade_of(parts[0]), averages_of(parts[0])
        if cascade is not None:
            eta, n = cascade
            total = sum((comb(n - 1, j) * (1 - eta) ** j) ** 2 for j in range(n))
            return float(eta / (2 - eta) ** (2 * n - 1) * total)
        if averages is not None:
            return _equal_sums(*averages)
    return float(np.sum(_unit(block, parts) ** 2))


def _equal_sums(length: int, order: int) -> float:
    """Fraction of pairs of ``order`` numbers below ``length`` whose sums are equal, in whole numbers.

    Mirrored, the second sum makes it a sum of twice as many numbers that is order (length - 1), counted by
    inclusion and exclusion of numbers that are too large.
    """
    numbers, total = 2 * order, order * (length - 1)
    ways = sum(
        (-1) ** j * comb(numbers, j) * comb(total - j * length + numbers - 1, numbers - 1)
        for j in range(total // length + 1)
    )
    return float(ways / length**numbers)


def settling(block: Block, tolerance: float = 0.01) -> int:
    """Samples after which the step response stays within ``tolerance`` of its final value.

    After k outputs an EMA of order n lacks the regularised incomplete beta function I_(1 - eta)(k, n), which
    is (1 - eta)**k for one; a moving average over M samples lacks 1 - k / M.

    Parameters
    ----------
    block : LinearBlock or Chain of them
        A low-pass.
    tolerance : float
        Share of the final value, 1e-9 to below 1.

    Returns
    -------
    int
        Number of outputs that may be further off; 0 when the first is within already.

    Raises
    ------
    ParameterError, ConvergenceError
        As `enbw`; a tolerance outside its range.
    """
    check_number("tolerance", tolerance, least=1e-9, below=1)
    parts = parts_of(block)
    if len(parts) == 1:
        cascade, averages = cascade_of(parts[0]), averages_of(parts[0])
        if cascade is not None:
            return _cascade_settling(*cascade, tolerance)
        if averages is not None and averages[1] == 1:
            return max(ceil(averages[0] * (1 - tolerance)) - 1, 0)
    outside = np.flatnonzero(np.abs(np.cumsum(_unit(block, parts)) - 1) > tolerance)
    return int(outside[-1]) + 1 if outside.size else 0


def _cascade_settling(eta: float, order: int, tolerance: float) -> int:
    """Largest number of outputs after which a cascade of averages lacks more than ``tolerance``."""

    def lacks(count: int) -> bool:
        return bool(betaincc(order, count, eta) > tolerance)

    low, high = 0, 1
    while lacks(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if lacks(middle) else (low, middle)
    return low


def group_delay(block: Block, omega: ArrayLike = 0.0) -> Real:
    """Group delay -d arg H / d omega at ``omega`` (rad per sample), samples, of its shape.

    With z = exp(-j omega) it is, of a polynomial sum c_n z**n, the real part of sum n c_n z**n over
    sum c_n z**n; delays of blocks in a row add up, those of denominators count negative. At omega = 0
    (1 - eta) / eta for each average of an EMA, everywhere (M - 1) / 2 for each moving average. NaN where
    H = 0.

    Raises
    ------
    ParameterError, ConvergenceError
        As `impulse_response`.
    """
    at = real_array(omega, "omega")
    return np.asarray(sum((_delay(part, at) for part in parts_of(block)), np.zeros(at.shape)))


def _delay(part: LinearBlock, omega: Real) -> Real:
    """Group delay of one block."""
    z = np.exp(-1j * omega)
    cascade, averages = cascade_of(part), averages_of(part)
    if cascade is not None:
        eta, order = cascade
        return np.asarray(order * np.real((1 - eta) * z / (eta + (1 - eta) * (1 - z))))
    if averages is not None:
        length, order = averages
        null = np.abs(boxcar_response(length, 1, omega)) <= _TAIL
        return np.where(null, np.nan, order * (length - 1) / 2)
    if isinstance(part, SOS):
        delays = (_polynomial(row[:3], z) - _polynomial(row[3:], z, least=0.0) for row in part.sos)
        return np.asarray(sum(delays, np.zeros(omega.shape)))
    return _polynomial(_response(part, (part,)), z)


def _polynomial(c: Real, z: NDArray[np.complex128], least: float = _TAIL) -> Real:
    """Group delay of the sum of c_n z**n; NaN where the sum is below ``least`` of that of abs(c_n)."""
    gain, slope = polyval(z, c), polyval(z, np.arange(c.size) * c)
    null = np.abs(gain) <= least * np.abs(c).sum()
    return np.asarray(np.where(null, np.nan, np.real(slope / np.where(null, 1.0, gain))))
