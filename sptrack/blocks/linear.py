"""Figures of merit of linear blocks, from their impulse response."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.blocks.block import Block, LinearBlock, whole, within
from sptrack.blocks.chain import Chain
from sptrack.errors import ConvergenceError, ParameterError

Real = NDArray[np.float64]

_TAIL = 1e-12
_SHORTEST, _LONGEST = 64, 1 << 22


def _refuse_nonlinear(block: Block) -> None:
    for part in block.blocks if isinstance(block, Chain) else (block,):
        if not isinstance(part, LinearBlock):
            raise ParameterError(f"{part}: a linear block that does not change with time wanted")


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
        No decay within 4 million samples (an integrator, a pole outside the unit circle).
    """
    _refuse_nonlinear(block)
    length = _SHORTEST + 2 * len(block.init((), np.float64).memory)
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
    _refuse_nonlinear(block)
    whole("count", count, 0)
    return block.process(np.ones(count))[0]


def _unit(block: Block) -> Real:
    """Impulse response over the gain at omega = 0."""
    response = impulse_response(block)
    gain = response.sum()
    if abs(gain) <= _TAIL * np.abs(response).sum():
        raise ParameterError(f"{block} has no gain at omega = 0: a low-pass wanted")
    return np.asarray(response / gain)


def enbw(block: Block) -> float:
    """Equivalent noise bandwidth, two-sided, cycles per sample: sum of h**2 over (sum of h)**2.

    The variance of filtered white noise over that of the noise, for unit gain at omega = 0; eta / (2 - eta)
    for an EMA, 1 / M for a moving average over M samples.

    Raises
    ------
    ParameterError, ConvergenceError
        As `impulse_response`; no gain at omega = 0.
    """
    return float(np.sum(_unit(block) ** 2))


def settling(block: Block, tolerance: float = 0.01) -> int:
    """Samples after which the step response stays within ``tolerance`` of its final value.

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
    within("tolerance", tolerance, 1e-9 <= tolerance < 1, "a number between 1e-9 and 1")
    outside = np.flatnonzero(np.abs(np.cumsum(_unit(block)) - 1) > tolerance)
    return int(outside[-1]) + 1 if outside.size else 0


def group_delay(block: Block, omega: ArrayLike = 0.0) -> Real:
    """Group delay -d arg H / d omega at ``omega`` (rad per sample), samples, of its shape.

    With h the impulse response it is the real part of sum n h_n exp(-j omega n) over sum h_n exp(-j omega n);
    (1 - eta) / eta at omega = 0 for an EMA, (M - 1) / 2 everywhere for a moving average. NaN where H = 0.

    Raises
    ------
    ParameterError, ConvergenceError
        As `impulse_response`.
    """
    response = impulse_response(block)
    z = np.exp(-1j * np.asarray(omega, np.float64))
    n = np.arange(response.size)
    gain = np.polynomial.polynomial.polyval(z, response)
    slope = np.polynomial.polynomial.polyval(z, n * response)
    null = np.abs(gain) <= _TAIL * np.abs(response).sum()
    return np.asarray(np.where(null, np.nan, np.real(slope / np.where(null, 1.0, gain))))
