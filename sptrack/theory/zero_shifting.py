"""Zero-shifting on linear devices: exact error of every cell and of the array after any number of pulses.

Zero-shifting (Xiao et al. 2026, arXiv 2602.21321, eq. (7)) sends single pulses whose directions are fair
coins (stochastic) or alternate up, down, up, ... (cyclic) and takes the last state of a cell as its
symmetric point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sptrack.errors import ParameterError
from sptrack.theory.moments import (
    Array,
    MomentMap,
    Moments,
    coin_map,
    composed,
    down_map,
    program_map,
    up_map,
)
from sptrack.values import real_array

if TYPE_CHECKING:
    from sptrack.devices.cells import Cells

Mode = Literal["cyclic", "stochastic"]
Criterion = Literal["rms", "mean", "std"]

_MAX_DOUBLINGS = 48
_BLOCK = 8192


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
    raise ParameterError(f"mode must be 'cyclic' or 'stochastic', got {mode!r}")


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
    weights = real_array(start, "start")
    if not np.isfinite(weights).all():
        bad = weights[~np.isfinite(weights)][0]
        raise ParameterError(f"start weight must be a finite number of weight units, got {bad}")
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

    See Also
    --------
    ZeroShiftingCourse : the same for several numbers of pulses, at little more cost.
    """
    return ZeroShiftingCourse(cells, mode, start).after([pulses])[0]


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
    points = np.asarray(cells.symmetric_point, dtype=np.float64)
    mean, variance, points = finite_cells(moments, points)
    spread = np.sqrt(np.var(points + mean) + np.mean(variance))
    return ArrayOffset(
        mean=float(np.mean(mean)),
        std=float(spread - np.std(points)),
        rms=float(np.sqrt(np.mean(mean**2 + variance))),
        cells=mean.size,
    )


def finite_cells(moments: Moments, *others: Array) -> tuple[Array, ...]:
    """Mean, variance and other values of the cells with finite moments."""
    values = (*moments, *others)
    counted = np.isfinite(moments.mean_square)
    if counted.all():
        return values
    if not counted.any():
        raise ParameterError("no cell with finite moments: at least 1 cell with a symmetric point is needed")
    return tuple(value[counted] for value in values)


class ZeroShiftingCourse:
    """Zero-shifting of cells from their start, followed through any numbers of pulses.

    The maps of 2, 4, 8, ... pulses are made once, for blocks of cells that stay in the processor's cache.

    Parameters
    ----------
    cells : cells of a device
        Linear cells, see `up_map`.
    mode : {"cyclic", "stochastic"}
        Pulse mode.
    start : array_like, broadcastable to [*shape]
        Internal weights w_0, weight units.

    Raises
    ------
    ParameterError
        If the mode is unknown, a start is not finite, or the device is not linear.
    """

    def __init__(self, cells: Cells, mode: Mode, start: ArrayLike = 0.0) -> None:
        self._cells, self._mode = cells, mode
        self._powers = [zero_shifting_map(cells, mode)]
        self._begin = self._powers[0].repeated(0).apply(start_moments(cells, start))
        size = self._begin.mean.size
        self._blocks = [slice(at, at + _BLOCK) for at in range(0, size, _BLOCK)]

    def after(self, pulses: Sequence[int]) -> list[Moments]:
        """Moments of w_N - w* for every number N of pulses, see `zero_shifting_moments`.

        Raises
        ------
        ParameterError
            If a number is negative.
        """
        if min(pulses, default=0) < 0:
            raise ParameterError(f"pulses must be 0 or more, got {min(pulses)}")
        pairs = [int(count) // 2 for count in pulses]
        self._make_powers(max(pairs, default=0).bit_length())
        found = [Moments(self._begin.mean.copy(), self._begin.variance.copy()) for _ in pairs]
        for cut in self._blocks:
            powers = [power.block(cut) for power in self._powers]
            begin = Moments(*(part.reshape(-1)[cut] for part in self._begin))
            for count, moments in zip(pairs, found, strict=True):
                if count:
                    mean, variance = composed(powers, count).apply(begin)
                    moments.mean.reshape(-1)[cut], moments.variance.reshape(-1)[cut] = mean, variance
        if any(count % 2 for count in pulses):
            single = up_map(self._cells) if self._mode == "cyclic" else coin_map(self._cells)
            found = [single.apply(m) if n % 2 else m for n, m in zip(pulses, found, strict=True)]
        return found

    def limit(self) -> Moments:
        """Moments after ever more pulses, see `stationary_moments`."""
        return self._powers[0].fixed_point()

    def pulses_to(self, target: float, criterion: Criterion = "rms") -> int | None:
        """Smallest even number of pulses to an array error of at most ``target``, see `pulses_to_target`.

        Raises
        ------
        ParameterError
            If target or criterion is not allowed, or no cell has finite moments.
        """
        if not target > 0:
            raise ParameterError(f"target must be > 0 weight units, got {target}")
        if criterion not in ("rms", "mean", "std"):
            raise ParameterError(f"criterion must be 'rms', 'mean' or 'std', got {criterion!r}")

        def missed(moments: Moments) -> bool:
            return self._error(moments, criterion) > target

        if not missed(self._begin):
            return 0
        if missed(self.limit()):
            return None
        level, state = 0, self._begin
        while missed(trial := self._powers[level].apply(self._begin)):
            level, state = level + 1, trial
            if level == _MAX_DOUBLINGS:
                return None
            self._make_powers(level + 1)
        pairs = 1 << level >> 1
        for finer in range(level - 2, -1, -1):
            if missed(trial := self._powers[finer].apply(state)):
                state, pairs = trial, pairs + 2**finer
        return 2 * (pairs + 1)

    def _error(self, moments: Moments, criterion: Criterion) -> float:
        """|Field of `array_offset`|."""
        if criterion == "rms":
            mean, variance = finite_cells(moments)
            return float(np.sqrt(np.mean(mean**2 + variance)))
        error: float = getattr(array_offset(self._cells, moments), criterion)
        return abs(error)

    def _make_powers(self, count: int) -> None:
        """Extend the maps to those of 1, 2, 4, ... pairs, so many of them."""
        last, missing = self._powers[-1], count - len(self._powers)
        if missing <= 0:
            return
        rows = np.empty((missing, len(fields(last)), *last.loss.shape))
        made = [MomentMap.over(each) for each in rows]
        for cut in self._blocks:
            power = last.block(cut)
            for whole in made:
                power = power.then(power)
                whole.put(cut, power)
        self._powers += made


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
    return ZeroShiftingCourse(cells, mode, start).pulses_to(target, criterion)
