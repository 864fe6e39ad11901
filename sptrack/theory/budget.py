"""The error of Q after a number of steps, and the filter rate that makes it smallest.

From P_0 and Q_0 at the offset e from w*, the mean of Q has two transients, of the poles a of the loop and b
= 1 - eta of the filter:

    E Q_K - w* = m + (e - m) (b^K + eta a (b^K - a^K)/(b - a)),        m the bias

and its variance grows from 0 to the settled one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sptrack.errors import ParameterError
from sptrack.theory.chopping import (
    Filter,
    SignSequence,
    Telegraph,
    chopped_power,
    impulse_response,
    sign_law,
)
from sptrack.theory.closed_loop import Loop
from sptrack.theory.drive import Array
from sptrack.values import check_number, check_whole

_ROUNDS, _POINTS, _SLOWEST = 6, 33, 1e-7
_MAX_STEPS = 1 << 40


class Budget(NamedTuple):
    """Best filter rate for a number of steps, cell by cell.

    Attributes
    ----------
    eta : ndarray
        Rate of the exponential moving average, dimensionless.
    rms : ndarray
        Root mean square error of Q at that rate, weight units.
    rule_eta, rule_rms : ndarray
        ln(4 K' e^2/S_0)/(2 K') and the square root of S_0/(4 K') (1 + ln(4 K' e^2/S_0)), K' = K - 1/(1 -
        a), S_0 the density of P at omega = 0; NaN where K' or the logarithm is not above 0.
    """

    eta: Array
    rms: Array
    rule_eta: Array
    rule_rms: Array


def transient(pole: ArrayLike, eta: ArrayLike, steps: ArrayLike) -> Array:
    """Share of a common start offset of P and Q left in the mean of Q after ``steps``, broadcast together.

    b^K + eta a (b^K - a^K)/(b - a) with b = 1 - eta; for b = a the limit b^K + eta K a^K.
    """
    a, b = np.asarray(pole, np.float64), 1 - np.asarray(eta, np.float64)
    k = np.asarray(steps, np.float64)
    near = np.abs(a - b) <= 1e-9 * (1 - np.minimum(np.abs(b), 1 - 1e-6))
    gap = np.where(near, 1.0, b - a)
    slope = np.where(near, k * a ** np.maximum(k - 1, 0), (b**k - a**k) / gap)
    return np.asarray(b**k + (1 - b) * a * slope)


def error_after(
    loop: Loop,
    eta: ArrayLike,
    steps: int,
    *,
    start: ArrayLike,
    chopper: SignSequence | None = None,
    read_noise: float = 0.0,
) -> tuple[Array, Array]:
    """Mean and variance of Q - w* after a number of steps.

    Parameters
    ----------
    loop : Loop
        Linearised loop.
    eta : array_like
        Rate of the exponential moving average; broadcast with the shape of the cells.
    steps : int
        K, at least 1.
    start : array_like
        Offset e of P_0 = Q_0 from w*, weight units, known exactly (no variance).
    chopper, read_noise
        As in `Loop.predict`. A telegraph starts at a random sign; of signs that repeat, the settled
        variance over a period is taken.

    Returns
    -------
    (ndarray, ndarray)
        Weight units and their square. NaN or infinite where the pole is unstable.

    Raises
    ------
    ParameterError
        No step, or eta outside (0, 1].
    """
    rates = np.asarray(eta, np.float64)
    check_whole("steps", steps, 1)
    if not ((rates > 0) & (rates <= 1)).all():
        raise ParameterError(f"eta must be > 0 and <= 1, got {rates.min():g} .. {rates.max():g}")
    bias = loop.predict(1.0, chopper).bias
    mean = bias + (np.asarray(start, np.float64) - bias) * transient(loop.pole, rates, steps)
    return mean, _variance_after(loop, rates, steps, chopper, read_noise)


def _variance_after(
    loop: Loop, eta: Array, steps: int, chopper: SignSequence | None, read_noise: float
) -> Array:
    """Variance of Q from the covariance of (x, Q, c) by doubling: C_2n = C_n + M^n C_n M^n^T."""
    law = sign_law(chopper)
    r = law.correlation if isinstance(law, Telegraph) else 0.0
    drive = -loop.chopped if isinstance(law, Telegraph) else 0 * loop.chopped
    shape = np.broadcast_shapes(loop.pole.shape, eta.shape)
    step, noise = np.zeros((*shape, 3, 3)), np.zeros((*shape, 3, 3))
    step[..., 0, 0], step[..., 0, 2] = loop.pole, drive
    step[..., 1, 0], step[..., 1, 1], step[..., 1, 2] = eta * loop.pole, 1 - eta, eta * drive
    step[..., 2, 2] = r
    noise[..., 0, 0], noise[..., 0, 1], noise[..., 1, 0] = loop.white, eta * loop.white, eta * loop.white
    noise[..., 1, 1] = eta**2 * (loop.white + read_noise**2)
    noise[..., 2, 2] = 1 - r**2
    total, power = np.zeros_like(noise), np.broadcast_to(np.eye(3), noise.shape)
    while steps:
        if steps & 1:
            total = noise + step @ total @ step.swapaxes(-1, -2)
            power = step @ power
        noise = noise + step @ noise @ step.swapaxes(-1, -2)
        step = step @ step
        steps >>= 1
    variance = total[..., 1, 1] + power[..., 1, 2] ** 2
    if not isinstance(law, Telegraph):
        variance = variance + loop.chopped**2 * _repeating(loop, eta, chopper)
    return np.asarray(variance)


def _repeating(loop: Loop, eta: Array, chopper: SignSequence | None) -> Array:
    """Settled share of repeating signs behind each rate, shape of pole and eta broadcast."""
    shape = np.broadcast_shapes(loop.pole.shape, eta.shape)
    if chopper is None:
        return np.zeros(shape)
    rates, place = np.unique(eta, return_inverse=True)
    table = np.stack([chopped_power(loop.pole, chopper, float(rate)) for rate in rates])
    out = np.empty(shape)
    index = np.broadcast_to(place.reshape(eta.shape), shape)
    for k in range(rates.size):
        chosen = index == k
        out[chosen] = np.broadcast_to(table[k], shape)[chosen]
    return out


def optimal_eta(
    loop: Loop,
    steps: int,
    *,
    start: ArrayLike,
    chopper: SignSequence | None = None,
    read_noise: float = 0.0,
) -> Budget:
    """Rate of the exponential moving average that makes the mean square error of Q after ``steps`` smallest.

    The minimum over eta of the exact expression of `error_after`, to better than 1e-4 of eta, by zooming
    into its logarithm; and the rule that holds for 1 - a >> eta and K >> 1/(1 - a).

    Parameters
    ----------
    loop, steps, start, chopper, read_noise
        As in `error_after`.

    Returns
    -------
    Budget
    """
    offset = np.broadcast_to(np.asarray(start, np.float64), loop.pole.shape)

    def square(rates: Array) -> Array:
        mean, variance = error_after(loop, rates, steps, start=offset, chopper=chopper, read_noise=read_noise)
        return mean**2 + variance

    low = np.full(loop.pole.shape, np.log(_SLOWEST))
    high = np.zeros(loop.pole.shape)
    parts = np.linspace(0, 1, _POINTS).reshape(-1, *[1] * low.ndim)
    for _ in range(_ROUNDS):
        grid = low + (high - low) * parts
        values = np.where(np.isnan(found := square(np.exp(np.minimum(grid, 0.0)))), np.inf, found)
        best = np.take_along_axis(grid, values.argmin(axis=0)[None], 0)[0]
        width = (high - low) / (_POINTS - 1)
        low, high = np.maximum(best - width, np.log(_SLOWEST)), np.minimum(best + width, 0.0)
    eta = np.where(np.isfinite(loop.pole), np.exp(best), np.nan)
    return Budget(eta, np.sqrt(square(np.exp(best))), *_rule(loop, steps, offset, chopper, read_noise))


def _rule(
    loop: Loop, steps: int, start: Array, chopper: SignSequence | None, read_noise: float
) -> tuple[Array, Array]:
    left = steps - 1 / (1 - loop.pole)
    density = loop.predict(1.0, chopper).low_density + read_noise**2
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(4 * left * start**2 / density)
        valid = (left > 0) & (log > 0)
        eta = np.where(valid, log / (2 * left), np.nan)
        return eta, np.where(valid, np.sqrt(density / (4 * left) * (1 + log)), np.nan)


def settling(loop: Loop, low_pass: Filter, *, tolerance: float = 0.01) -> Array:
    """Steps after which the mean of Q stays within ``tolerance`` of a common start offset of P and Q.

    Parameters
    ----------
    loop : Loop
        Linearised loop.
    low_pass : float or filter
        Rate of an exponential moving average, or a filter that has settled at the start value.
    tolerance : float
        Share of the start offset, above 0, below 1.

    Returns
    -------
    ndarray
        Steps, whole numbers; infinite where the pole is unstable or does not pull. With h the impulse
        response the share left after K steps is 1 - sum over n < K of h_n (1 - a^(K - n)).

    Raises
    ------
    ParameterError
        A tolerance outside its range.
    ConvergenceError
        A filter whose impulse response does not decay.
    """
    check_number("tolerance", tolerance, above=0, below=1)
    if isinstance(low_pass, float | int) and (loop.pole[np.isfinite(loop.pole)] >= 0).all():
        return _settling_ema(loop.pole, float(low_pass), tolerance)
    h = impulse_response(low_pass)
    h = h / h.sum()
    poles, place = np.unique(loop.pole, return_inverse=True)
    found = np.array([_settling_filter(float(a), h, tolerance) for a in poles])
    return np.asarray(found[place].reshape(loop.pole.shape))


def _settling_ema(pole: Array, eta: float, tolerance: float) -> Array:
    """The share falls steadily for poles of 0 to 1: doubling, then bisection."""
    live = pole < 1
    a = np.where(live, pole, 0.0)
    low, high = np.zeros(a.shape), np.ones(a.shape)
    while (slow := transient(a, eta, high) > tolerance).any() and high.max() < _MAX_STEPS:
        low, high = np.where(slow, high, low), np.where(slow, 2 * high, high)
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        above = transient(a, eta, middle) > tolerance
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(live, high, np.where(np.isnan(pole), np.nan, np.inf))


def _settling_filter(a: float, h: Array, tolerance: float) -> float:
    from scipy.signal import lfilter

    if not abs(a) < 1:
        return np.nan if np.isnan(a) else np.inf
    tail = int(np.ceil(np.log(tolerance * 1e-3) / np.log(max(abs(a), 1e-3))))
    padded = np.append(h, np.zeros(tail))
    fraction = 1 - np.cumsum(padded) + lfilter([0.0, a], [1.0, -a], np.append(padded, 0.0))[1:]
    outside = np.flatnonzero(np.abs(fraction) > tolerance)
    return float(outside[-1] + 2) if outside.size else 1.0
