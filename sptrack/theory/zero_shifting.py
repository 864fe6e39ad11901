"""Zero-shifting on linear devices: exact error of every cell and of the array after any number of pulses.

Zero-shifting (Xiao et al. 2026, arXiv 2602.21321, eq. (7)) sends single pulses whose directions are fair
coins (stochastic) or alternate up, down, up, ... (cyclic) and takes the last state of a cell as its
symmetric point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sptrack.errors import ParameterError
from sptrack.theory.moments import Array, MomentMap, Moments, coin_map, down_map, program_map, up_map

if TYPE_CHECKING:
    from sptrack.devices.cells import Cells

Mode = Literal["cyclic", "stochastic"]
Criterion = Literal["rms", "mean", "std"]

_MAX_DOUBLINGS = 48


class ArrayOffset(NamedTuple):
    """Error of a whole array of symmetric-point estimates, weight units.

    Attributes
    ----------
    mean : float
        Mean over cells of estimate minus truth.
    std : float
        Standard deviation over cells of the estimates minus that of the true symmetric points.
    rms : float
        Root mean square over cells of estimate minus truth.
    cells : int
        Number of cells counted: those with finite moments.
    """

    mean: float
    std: float
    rms: float
    cells: int


class CyclicLimits(NamedTuple):
    """Where the mean of cyclic zero-shifting settles, as offsets from w*, weight units, shape [*shape].

    Attributes
    ----------
    after_down : ndarray
        Limit of the samples taken after a down pulse (negative).
    after_up : ndarray
        Limit of the samples taken after an up pulse (positive).
    up_weight : ndarray
        Weight u of the after-up samples that makes (1 - u) after_down + u after_up exactly zero.
    """

    after_down: Array
    after_up: Array
    up_weight: Array


def zero_shifting_map(cells: Cells, mode: Mode) -> MomentMap:
    """Moment map of two pulses of zero-shifting.

    Parameters
    ----------
    cells : cells of a device
        Linear cells, see `up_map`.
    mode : {"cyclic", "stochastic"}
        An up pulse then a down pulse, or two fair coins.

    Returns
    -------
    MomentMap

    Raises
    ------
    ParameterError
        If the mode is unknown or the device is not linear.
    """
    if mode == "cyclic":
        return program_map(cells, [1, -1])
    if mode == "stochastic":
        return coin_map(cells).repeated(2)
    raise ParameterError(f"mode {mode!r} not allowed: must be 'cyclic' or 'stochastic'")


def start_moments(cells: Cells, start: ArrayLike = 0.0) -> Moments:
    """Moments before the first pulse, of cells that stand at known weights.

    Parameters
    ----------
    cells : cells of a device
        Any cells with a symmetric point.
    start : array_like, broadcastable to [*shape]
        Internal weights w_0, weight units.

    Returns
    -------
    Moments
        Mean w_0 - w*, variance 0.

    Raises
    ------
    ParameterError
        If a start weight is not finite.
    """
    weights = np.asarray(start, dtype=np.float64)
    if not np.isfinite(weights).all():
        bad = weights[~np.isfinite(weights)][0]
        raise ParameterError(f"start weight {bad} not allowed: must be a finite number of weight units")
    mean = weights - np.asarray(cells.symmetric_point, dtype=np.float64)
    return Moments(mean, np.zeros_like(mean))


def zero_shifting_moments(cells: Cells, mode: Mode, pulses: int, start: ArrayLike = 0.0) -> Moments:
    """Exact moments of zero-shifting after a number of pulses.

    Parameters
    ----------
    cells : cells of a device
        Linear cells, see `up_map`.
    mode : {"cyclic", "stochastic"}
        Cyclic starts with an up pulse, so an even number of pulses ends after a down pulse.
    pulses : int
        Number of pulses N, 0 or more.
    start : array_like, broadcastable to [*shape]
        Internal weights w_0, weight units.

    Returns
    -------
    Moments
        Of w_N - w*.

    Raises
    ------
    ParameterError
        If the mode is unknown, `pulses` is negative, a start is not finite, or the device is not linear.
    """
    if pulses < 0:
        raise ParameterError(f"pulses {pulses} not allowed: must be 0 or more")
    moments = zero_shifting_map(cells, mode).repeated(pulses // 2).apply(start_moments(cells, start))
    if pulses % 2:
        moments = (up_map(cells) if mode == "cyclic" else coin_map(cells)).apply(moments)
    return moments


def stationary_moments(cells: Cells, mode: Mode) -> Moments:
    """Limit of `zero_shifting_moments` for an even number of pulses that grows without end.

    Stochastic: mean 0 and variance kappa s^2 / (a + b - kappa (a^2 + b^2)/2). Cyclic: the after-down limit,
    with the variance of the cycle noise alone.

    Parameters
    ----------
    cells : cells of a device
        Linear cells, see `up_map`.
    mode : {"cyclic", "stochastic"}
        Pulse mode.

    Returns
    -------
    Moments

    Raises
    ------
    ParameterError
        If the mode is unknown or the device is not linear.
    """
    return zero_shifting_map(cells, mode).fixed_point()


def cyclic_limits(cells: Cells) -> CyclicLimits:
    """Settling points of the mean of cyclic zero-shifting.

    From x_U = (1-a) x_D + s and x_D = (1-b) x_U - s: x_D = -s b/(a+b-ab), x_U = s a/(a+b-ab), so that
    (a x_D + b x_U)/(a+b) = 0 while the plain average of the two keeps the bias s (a-b)/(2(a+b-ab)).

    Parameters
    ----------
    cells : cells of a device
        Linear cells, see `up_map`.

    Returns
    -------
    CyclicLimits

    Raises
    ------
    ParameterError
        If the device is not linear.
    """
    up, down = up_map(cells), down_map(cells)
    step, up_slope, down_slope = up.shift, up.loss, down.loss
    total = up_slope + down_slope - up_slope * down_slope
    return CyclicLimits(
        -step * down_slope / total, step * up_slope / total, down_slope / (up_slope + down_slope)
    )


def array_offset(cells: Cells, moments: Moments) -> ArrayOffset:
    """Error of an array of estimates, from the moments of its cells.

    Parameters
    ----------
    cells : cells of a device
        The cells that the moments belong to.
    moments : Moments
        Moments of w - w*, shape [*shape].

    Returns
    -------
    ArrayOffset
        Over the cells with finite moments. The standard deviation of the estimates counts the spread of
        their means and the mean of their variances.

    Raises
    ------
    ParameterError
        If no cell has finite moments.
    """
    counted = np.isfinite(moments.mean_square)
    if not counted.any():
        raise ParameterError("no cell with finite moments: at least 1 cell with a symmetric point is needed")
    mean, variance = moments.mean[counted], moments.variance[counted]
    truth = np.asarray(cells.symmetric_point, dtype=np.float64)[counted]
    spread = np.sqrt(np.var(truth + mean) + np.mean(variance))
    return ArrayOffset(
        mean=float(np.mean(mean)),
        std=float(spread - np.std(truth)),
        rms=float(np.sqrt(np.mean(mean**2 + variance))),
        cells=int(counted.sum()),
    )


def pulses_to_target(
    cells: Cells,
    target: float,
    *,
    mode: Mode = "cyclic",
    start: ArrayLike = 0.0,
    criterion: Criterion = "rms",
) -> int | None:
    """Smallest even number of zero-shifting pulses whose array error is at most a target.

    The number of pairs is doubled until the target is met and then refined bit by bit: the answer meets the
    target and two pulses fewer do not. It is the first such number when the error falls steadily, as the
    RMS error does.

    Parameters
    ----------
    cells : cells of a device
        Linear cells, see `up_map`.
    target : float
        Largest allowed |error| of the array, weight units, above 0.
    mode : {"cyclic", "stochastic"}
        Pulse mode.
    start : array_like, broadcastable to [*shape]
        Internal weights w_0, weight units.
    criterion : {"rms", "mean", "std"}
        Field of `ArrayOffset` that is compared with the target.

    Returns
    -------
    int or None
        None when the error that is left after ever more pulses is above the target, even if a mean or
        standard deviation that changes sign meets it in passing.

    Raises
    ------
    ParameterError
        If target, mode, criterion or start is not allowed, or the device is not linear.
    """
    if not target > 0:
        raise ParameterError(f"target {target} not allowed: must be above 0 weight units")
    if criterion not in ("rms", "mean", "std"):
        raise ParameterError(f"criterion {criterion!r} not allowed: must be 'rms', 'mean' or 'std'")

    def missed(moments: Moments) -> bool:
        error: float = getattr(array_offset(cells, moments), criterion)
        return abs(error) > target

    powers = [zero_shifting_map(cells, mode)]
    begin = zero_shifting_moments(cells, mode, 0, start)
    if not missed(begin):
        return 0
    if missed(powers[0].fixed_point()):
        return None
    state = begin
    while missed(trial := powers[-1].apply(begin)):
        if len(powers) == _MAX_DOUBLINGS:
            return None
        state = trial
        powers.append(powers[-1].then(powers[-1]))
    pairs = 1 << (len(powers) - 1) >> 1
    for level in range(len(powers) - 3, -1, -1):
        if missed(trial := powers[level].apply(state)):
            state, pairs = trial, pairs + 2**level
    return 2 * (pairs + 1)
