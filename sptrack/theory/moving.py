"""Errors of an estimate whose symmetric point moves, and how often a calibration has to be repeated.

A symmetric point that jumps by 1 leaves an estimator the error -r_k after k more steps, r_0 = 1. One that
moves by v and a normal s xi at every step therefore leaves

    mean error  -v sum r_k,        variance  s^2 sum r_k^2

on top of what noise does. For P of pole a = 1 - alpha E|g| G', read every m-th step into an exponential
moving average of rate eta, sum r_k = 1/(1 - a) + m (1 - eta)/eta + (m - 1)/2: the drift of P towards its
point, the delay of the filter, the wait for the next read. All errors are those right after a step's moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sptrack.devices.constants import local_derivatives
from sptrack.errors import ParameterError
from sptrack.theory.chopping import Filter, impulse_response
from sptrack.theory.drive import Array
from sptrack.theory.zero_shifting import Mode, zero_shifting_moments
from sptrack.values import check_number, check_whole

if TYPE_CHECKING:
    from sptrack.devices.cells import Cells
    from sptrack.theory.closed_loop import Loop

_SETTLED = 20.0
_CANDIDATES = 80


class MovingGain(NamedTuple):
    """Error of an estimate of a moving symmetric point.

    Attributes
    ----------
    lag : ndarray
        Mean of w* - Q over the velocity v, steps.
    walk : ndarray
        Variance of Q - w* over the variance s^2 of a step of a random walk, steps.
    """

    lag: Array
    walk: Array

    def error(self, velocity: ArrayLike = 0.0, walk: ArrayLike = 0.0) -> tuple[Array, Array]:
        """Mean (weight units) and variance of Q - w* from drift alone.

        ``velocity`` and ``walk`` are v and s, weight units per step; the former may hold pulses per step
        times the drift per pulse.
        """
        v, s = np.asarray(velocity, np.float64), np.asarray(walk, np.float64)
        return np.asarray(-v * self.lag), np.asarray(s**2 * self.walk)


def moving_gain(pole: ArrayLike, low_pass: Filter, *, every: int = 1) -> MovingGain:
    """Lag and walk of Q behind P.

    Parameters
    ----------
    pole : array_like
        a of `Loop.pole`, below 1 in size; 0 for an estimator that is told the symmetric point itself.
    low_pass : float or filter
        Rate eta of an exponential moving average (in closed form), or a block or chain of gain 1.
    every : int
        Steps between reads of P.

    Raises
    ------
    ParameterError
        A pole that is not stable, eta outside (0, 1], less than one step between reads.
    """
    a = np.asarray(pole, np.float64)
    if not (np.abs(a) < 1).all():
        raise ParameterError(f"pole must satisfy |a| < 1, got {a[~(np.abs(a) < 1)].flat[0]:g}")
    check_whole("every", every, 1)
    power = a**every
    if isinstance(low_pass, float | int):
        check_number("eta", low_pass, above=0, most=1)
        delay, sums = (1 - low_pass) / low_pass, _ema_sums(float(low_pass), power)
    else:
        h = impulse_response(low_pass)
        delay, sums = float(np.arange(len(h)) @ h), _filter_sums(h, power)
    phases = np.arange(1, every + 1)
    first, second = (np.mean(a[..., None] ** (n * phases), axis=-1) for n in (1, 2))
    lag = 1 / (1 - a) + every * delay + (every - 1) / 2
    walk = (every + 1) / 2 + every * (sums[0] + 2 * first * sums[1] + second * sums[2])
    return MovingGain(np.asarray(lag), np.asarray(walk))


def _ema_sums(eta: float, power: Array) -> tuple[Array, Array, Array]:
    """Sums over reads of U^2, U C and C^2, U being what is left of a step, C the response to a^n."""
    b = 1 - eta
    tail = 1 - b**2
    ones = np.ones(power.shape)
    both = 1 - b * power
    return (
        b**2 / tail * ones,
        eta * b / (tail * both),
        eta**2 * (1 + b * power) / (tail * (1 - power**2) * both),
    )


def _filter_sums(h: Array, power: Array) -> tuple[Array, Array, Array]:
    from scipy.signal import lfilter

    left = 1 - np.cumsum(h)
    cross, square = np.empty(power.shape), np.empty(power.shape)
    for index, pole in np.ndenumerate(power):
        passed = lfilter([1.0], [1.0, -pole], h)
        cross[index] = left @ passed
        square[index] = passed @ passed + (passed[-1] * pole) ** 2 / (1 - pole**2)
    return np.full(power.shape, left @ left), cross, square


def observer_gain(forget: float, *, every: int = 1) -> MovingGain:
    """Lag and walk of an input-aware observer that forgets the share ``forget`` per step.

    It averages what the steps say of the symmetric point with weights b^n, b = (1 - forget)^m, over blocks of
    m = ``every`` steps: sum r_k = m/(1 - b), its memory 1/forget. P's pole does not enter. Holds for a memory
    longer than P's own time 1/(1 - a), which P needs to show the slope (a shorter one makes slopes scatter,
    and the estimate run ahead of the point by 1/(1 - a) times the mean excess of 1/slope), while the drift
    within the memory is small against the fluctuation of P, the regression being misled otherwise, and for
    short stretches: the lag is 3 to 5 % longer for m (1 - a) = .02 and 13 to 15 % for .08 (measured).

    Raises
    ------
    ParameterError
        A share outside (0, 1), less than one step.
    """
    if not (0 < forget < 1 and every >= 1):
        raise ParameterError(f"forget must be > 0 and < 1, every >= 1, got {forget} and {every}")
    m, b = every, (1 - forget) ** every
    first, second = (m - 1) / (2 * m), (m - 1) * (2 * m - 1) / (6 * m**2)
    kept = b**2 + 2 * b * (1 - b) * first + (1 - b) ** 2 * second
    return MovingGain(np.asarray(m / (1 - b)), np.asarray((m + 1) / 2 + m * kept / (1 - b**2)))


def observer_density(loop: Loop) -> Array:
    """Density S_0 that no input-aware observer can do without, weight units squared, shape of the cells.

    The increments asked for are known to it, so the gradient's noise is not in it: of the low density of P
    only the noise of the pulses is left, Var b/(1 - a)^2. Forgetting the share eta per step leaves at least
    the variance eta S_0/2. The block form also has to learn the slopes and takes the path of P within a block
    for a straight line: in simulation 1.15 times as much (eta = (1 - a)/10, short steps) to 3 times (P moving
    by half its rms within a block).
    """
    return np.asarray(loop.pulse_variance / (1 - loop.pole) ** 2)


def kalman_gain(drift: ArrayLike, noise: ArrayLike) -> Array:
    """Settled gain of a Kalman filter of a random walk: the rate eta of the moving average that it becomes.

    Parameters
    ----------
    drift, noise : array_like
        Variances of a step of the walk (at least 0) and of a read (above 0), weight units squared.

    Raises
    ------
    ParameterError
        A value out of range.
    """
    q, r = np.asarray(drift, np.float64), np.asarray(noise, np.float64)
    if not ((q >= 0).all() and (r > 0).all()):
        raise ParameterError("drift must be >= 0 and noise > 0")
    predicted = (q + np.sqrt(q**2 + 4 * q * r)) / 2
    return np.asarray(predicted / (predicted + r))


def tracking_rate(low_density: ArrayLike, velocity: ArrayLike = 0.0, walk: ArrayLike = 0.0) -> Array:
    """Rate eta at which noise and drift together disturb a moving average of P the least.

    Minimises eta S_0/2 + v^2/eta^2 + s^2/(2 eta), the mean square error for 1 - a >> eta: the positive root
    of S_0 eta^3 - s^2 eta - 4 v^2 = 0; (4 v^2/S_0)^(1/3) for a steady drift, s/sqrt(S_0) for a walk. At most
    1.

    Parameters
    ----------
    low_density : array_like
        S_0, density at omega = 0 of what is averaged (`Prediction.low_density`), weight units squared.
    velocity, walk : array_like
        v and s, weight units per step.

    Raises
    ------
    ParameterError
        A density that is not above 0.
    """
    s0, v, s = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (low_density, velocity, walk)))
    if not (s0 > 0).all():
        raise ParameterError("low_density must be > 0")
    rate = (4 * v**2 / s0) ** (1 / 3) + np.abs(s) / np.sqrt(s0)
    for _ in range(60):
        slope = 3 * s0 * rate**2 - s**2
        value = s0 * rate**3 - s**2 * rate - 4 * v**2
        rate = np.where(slope > 0, rate - value / np.where(slope > 0, slope, 1.0), rate)
    return np.asarray(np.minimum(rate, 1.0))


class Recalibration(NamedTuple):
    """Schedule of repeated zero-shifting for moving symmetric points.

    Attributes
    ----------
    interval : float
        Steps of use between calibrations; infinite if nothing moves.
    pulses : int
        Zero-shifting pulses of each, per cell.
    pulses_per_step : float
        ``pulses / interval``.
    fresh, mean, worst : float
        RMS error over the cells right after a calibration, over the interval, and at its end, weight units.
    """

    interval: float
    pulses: int
    pulses_per_step: float
    fresh: float
    mean: float
    worst: float


def recalibration(
    cells: Cells, target: float, *, start: float, drive: float = 0.0, mode: Mode = "cyclic"
) -> Recalibration | None:
    """When zero-shifting must be repeated: the cheapest schedule whose error never exceeds a target.

    What N pulses leave is a mean m and a variance V per cell (exact moments of linear cells, plus the lag
    behind points that move while they are pulsed). It ages: T solves <V + (m - v T)^2 + s^2 T> = target^2,
    averaged over the cells. N is the one with the fewest pulses per step, N/T.

    Parameters
    ----------
    cells : Cells
        Linear cells with drift rates.
    target : float
        Largest RMS error over the cells, weight units.
    start : float
        RMS distance of the cells from their symmetric points when a calibration begins: where use has left
        them (`Prediction.rms_p`), weight units.
    drive : float
        Pulses per step that a cell receives in use.
    mode : {"cyclic", "stochastic"}
        Zero-shifting mode.

    Returns
    -------
    Recalibration or None
        None if no number of pulses meets the target.

    Raises
    ------
    ParameterError
        Cells that are not linear or have no symmetric point, a target, start or drive out of range.
    """
    if not target > 0:
        raise ParameterError(f"target must be > 0 weight units, got {target}")
    best: Recalibration | None = None
    for fresh in _calibrations(cells, start, drive, mode):
        allowed = target**2 - fresh.square
        if allowed <= 0:
            continue
        root = fresh.linear + np.sqrt(fresh.linear**2 + 4 * fresh.quadratic * allowed)
        made = _schedule(fresh, 2 * allowed / root if root > 0 else np.inf)
        if best is None or made.pulses_per_step < best.pulses_per_step:
            best = made
    return best


def recalibration_within(
    cells: Cells, budget: float, *, start: float, drive: float = 0.0, mode: Mode = "cyclic"
) -> Recalibration:
    """The schedule of least mean square error that spends ``budget`` zero-shifting pulses per step.

    Of N pulses every T = N/budget steps, the N with the least mean over the interval; parameters and errors
    as in `recalibration`.
    """
    if not budget > 0:
        raise ParameterError(f"budget must be > 0 pulses per step, got {budget}")
    plans = (_schedule(one, one.pulses / budget) for one in _calibrations(cells, start, drive, mode))
    return min(plans, key=lambda one: one.mean)


class _Calibration(NamedTuple):
    """Mean square error ``square`` after ``pulses``, plus linear T + quadratic T^2 after T steps."""

    pulses: int
    square: float
    linear: float
    quadratic: float


def _schedule(fresh: _Calibration, interval: float) -> Recalibration:
    """The schedule that repeats a calibration, after an infinite interval only if nothing moves."""
    t = interval if np.isfinite(interval) else 0.0
    mean = fresh.square + fresh.linear * t / 2 + fresh.quadratic * t**2 / 3
    worst = fresh.square + fresh.linear * t + fresh.quadratic * t**2
    return Recalibration(
        interval,
        fresh.pulses,
        fresh.pulses / interval,
        float(np.sqrt(fresh.square)),
        float(np.sqrt(mean)),
        float(np.sqrt(worst)),
    )


def _calibrations(cells: Cells, start: float, drive: float, mode: Mode) -> list[_Calibration]:
    """Zero-shifting with even counts of pulses, and how what it finds ages."""
    for name, value in (("start", start), ("drive", drive)):
        check_number(name, value, least=0)
    point = cells.symmetric_point
    if not np.isfinite(point).all():
        raise ParameterError("a cell without symmetric point: it cannot be calibrated")
    derivatives = local_derivatives(cells)
    pull = cells.dw_min * (derivatives.plus + derivatives.minus) / 2
    most = _SETTLED / float(np.min(pull))
    counts = np.unique(2 * np.rint(np.geomspace(1, most / 2, _CANDIDATES)).astype(int))
    still = np.zeros(cells.shape)
    per_pulse, per_step, walk = (still, still, still) if cells.drift is None else cells.drift
    velocity, walked = per_step + per_pulse * drive, float(np.mean(walk**2))
    starts = [np.clip(point + sign * start, cells.lower, cells.upper) for sign in (1, -1)]
    out = []
    for count in counts.tolist():
        late = per_pulse * -np.expm1(count * np.log1p(-pull)) / pull
        made = [zero_shifting_moments(cells, mode, count, first) for first in starts]
        mean = [one.mean - late for one in made]
        square = np.mean([one.variance + error**2 for one, error in zip(made, mean, strict=True)])
        linear = walked - 2 * float(np.mean(np.asarray(mean) * velocity))
        out.append(_Calibration(count, float(square), linear, float(np.mean(velocity**2))))
    return out
