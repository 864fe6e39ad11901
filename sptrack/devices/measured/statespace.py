"""State-space likelihood of a measured pulse response.

One run (all up or all down) is a state w that every pulse moves, seen through reading noise with a white and,
optionally, a slow part (a stationary first-order process: low-frequency noise of the read-out or the cell):

    w' = w + f(w) (1 + sigma_c xi)        s' = phi s + sqrt(1 - phi^2) sigma_s nu        y = w + s + sigma_r v

f is the up step or minus the down step in weight units per pulse; xi, nu, v are independent N(0, 1). Mean m
and variance P of w pass through a pulse as m + f(m) and (1 + f')^2 P + sigma_c^2 (f(m)^2 + f'^2 P): exact for
a law linear in w (soft bounds), a local linearisation for any other. A Kalman filter with these lines splits
the scatter by its memory: white noise is gone at the next reading (lag-1 autocovariance -sigma_r^2 in the
differences), slow noise after its correlation time, and only cycle noise stays in the state and accumulates.
With sigma_c = sigma_s = 0 the fit is output-error least squares on the mean trajectory.

All functions work on a batch of B data sets times M parameter vectors, so that a bootstrap with numerical
gradients costs one loop over pulses.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.devices.measured.laws import SIGNS, Floats, Law

__all__ = [
    "SHARED",
    "Filtered",
    "Likelihood",
    "Maximum",
    "likelihood",
    "maximise",
    "run_filter",
    "simulate",
    "unpack",
]

SHARED = ("start_up", "start_down", "read_noise", "cycle_noise", "slow_noise", "slow_memory")
"""Leading entries of a parameter vector; all but the first two, and the law's coefficients, as logarithms."""

_DELTA = 1e-5


class Parameters(NamedTuple):
    """Natural units: start [2, B, M], noise variances and phi [B, M], coefficients [n, 2, B, M]."""

    start: Floats
    read: Floats
    cycle: Floats
    slow: Floats
    memory: Floats
    coefficients: Floats


class Moments(NamedTuple):
    """Means of state and slow noise, variances and covariance, all [2, B, M]."""

    state: Floats
    slow: Floats
    state_variance: Floats
    covariance: Floats
    slow_variance: Floats


class Filtered(NamedTuple):
    """Innovations and their variances [T, 2, B, M]; moments before the pulse after the last reading."""

    innovation: Floats
    variance: Floats
    last: Moments


class Likelihood(NamedTuple):
    """Log-likelihood [B], its gradient [B, p] and Fisher information [B, p, p]."""

    value: Floats
    score: Floats
    information: Floats


class Maximum(NamedTuple):
    """Vectors [B, p] of largest likelihood, the likelihood there, and which searches converged [B]."""

    theta: Floats
    likelihood: Likelihood
    converged: NDArray[np.bool_]


def unpack(law: Law, theta: Floats) -> Parameters:
    """Split parameter vectors [B, M, p]; the slow noise forgets 1 - phi = 1 - exp(-1/memory) per pulse."""
    vectors = np.moveaxis(theta, -1, 0)
    read, cycle, slow = np.exp(2.0 * vectors[2:5])
    coefficients = np.exp(vectors[6:]).reshape(2, law.coefficients, *theta.shape[:-1])
    return Parameters(
        start=np.ascontiguousarray(vectors[:2]),
        read=read,
        cycle=cycle,
        slow=slow,
        memory=np.exp(-np.exp(-vectors[5])),
        coefficients=np.ascontiguousarray(np.swapaxes(coefficients, 0, 1)),
    )


def _first(at: Parameters) -> Moments:
    """Moments before the first reading: known state, stationary slow noise."""
    zero = np.zeros_like(at.start)
    return Moments(at.start, zero, zero, zero, zero + at.slow)


def _correct(moments: Moments, error: Floats, total: Floats) -> Moments:
    """Take in a reading with innovation `error` of variance `total`."""
    state, slow, var_state, covariance, var_slow = moments
    gain_state, gain_slow = (var_state + covariance) / total, (covariance + var_slow) / total
    return Moments(
        state + gain_state * error,
        slow + gain_slow * error,
        var_state - gain_state * gain_state * total,
        covariance - gain_state * gain_slow * total,
        var_slow - gain_slow * gain_slow * total,
    )


def _pulse(law: Law, at: Parameters, moments: Moments) -> Moments:
    """Moments after one pulse."""
    state, slow, var_state, covariance, var_slow = moments
    size, slope = law.step(at.coefficients, state)
    factor = 1.0 + SIGNS * slope
    return Moments(
        state + SIGNS * size,
        at.memory * slow,
        factor * factor * var_state + at.cycle * (size * size + slope * slope * var_state),
        factor * at.memory * covariance,
        at.slow + at.memory * at.memory * (var_slow - at.slow),
    )


def _total(at: Parameters, moments: Moments) -> Floats:
    """Variance of the next reading."""
    return moments.state_variance + 2.0 * moments.covariance + moments.slow_variance + at.read


def run_filter(law: Law, theta: Floats, readings: Floats) -> Filtered:
    """Filter a batch of responses.

    Parameters
    ----------
    law : Law
        Step law.
    theta : array [B, M, p]
        Parameter vectors, ordered as `SHARED`, then up and down coefficients.
    readings : array [T, 2, B]
        Up and down readings, weight units; NaN after the end of the shorter run.

    Returns
    -------
    Filtered
        Innovations are 0 with variance 1 where there is no reading.
    """
    at = unpack(law, theta)
    seen = ~np.isnan(readings[..., None])
    values = np.nan_to_num(readings)[..., None]
    innovation = np.empty((len(readings), *at.start.shape))
    variance = np.empty_like(innovation)
    moments = _first(at)
    for k, value in enumerate(values):
        if k:
            moments = _pulse(law, at, moments)
        variance[k] = _total(at, moments)
        np.multiply(value - moments.state - moments.slow, seen[k], out=innovation[k])
        moments = _correct(moments, innovation[k], variance[k])
    np.copyto(variance, 1.0, where=~seen)
    return Filtered(innovation, variance, moments)


def simulate(law: Law, theta: Floats, residuals: Floats) -> Floats:
    """Invert `run_filter`: readings [T, 2, B] from standardised innovations [T, 2, B] and vectors [B, p]."""
    at = unpack(law, theta[:, None])
    readings = np.empty_like(residuals)
    moments = _first(at)
    for k, residual in enumerate(residuals[..., None]):
        if k:
            moments = _pulse(law, at, moments)
        total = _total(at, moments)
        error = np.sqrt(total) * residual
        readings[k] = (moments.state + moments.slow + error)[..., 0]
        moments = _correct(moments, error, total)
    return readings


def likelihood(law: Law, theta: Floats, readings: Floats) -> Likelihood:
    """Gaussian log-likelihood (plus the law's prior) with derivatives by forward difference.

    With innovations e and variances S, log L = -sum(log S + e^2/S)/2 up to a constant and the information is
    sum(de de'/S + dS dS'/(2 S^2)) (Harvey 1989, Forecasting, Structural Time Series Models and the Kalman
    Filter, section 3.4). Shapes as in `run_filter`, theta [B, p].
    """
    count = theta.shape[1]
    filtered = run_filter(law, theta[:, None] + _DELTA * np.eye(count + 1, count, k=-1), readings)
    flat = (-1, *filtered.innovation.shape[2:])
    error = np.moveaxis(filtered.innovation.reshape(flat), 0, 1)
    variance = np.moveaxis(filtered.variance.reshape(flat), 0, 1)
    base = variance[..., :1]
    shock = error[..., :1] / np.sqrt(base)
    value = -0.5 * np.sum(np.log(base) + shock * shock, axis=(1, 2))
    error = (error[..., 1:] - error[..., :1]) / (_DELTA * np.sqrt(base))
    variance = (variance[..., 1:] / base - 1.0) / (_DELTA * np.sqrt(2.0))
    score = np.sum((shock * shock - 1.0) / np.sqrt(2.0) * variance - shock * error, axis=1)
    information = np.swapaxes(error, 1, 2) @ error + np.swapaxes(variance, 1, 2) @ variance
    prior = np.zeros((count, count))
    prior[len(SHARED) :, len(SHARED) :] = np.kron(np.eye(2), law.prior())
    pull = theta @ prior
    return Likelihood(value - 0.5 * np.sum(theta * pull, axis=1), score - pull, information + prior)


def maximise(law: Law, theta: Floats, readings: Floats, limits: Floats, tolerance: float = 1e-6) -> Maximum:
    """Maximise the likelihood of every data set by damped Fisher scoring inside box limits.

    Parameters
    ----------
    law : Law
        Step law.
    theta : array [B, p]
        Start vectors.
    readings : array [T, 2, B]
        Responses as in `run_filter`.
    limits : array [2, B, p]
        Lowest and highest value of each parameter.
    tolerance : float
        Expected gain in log-likelihood below which a search has converged; at most 60 steps are tried.
    """
    theta = np.clip(theta, *limits)
    best = likelihood(law, theta, readings)
    damping = np.full(len(theta), 1e-3)
    converged = np.zeros(len(theta), dtype=bool)
    for _ in range(60):
        active = np.flatnonzero(~converged)
        here = Likelihood(*(part[active] for part in best))
        move = _scoring_step(theta[active], here, damping[active], limits[:, active])
        done = np.sum(move * here.score, axis=1) < 2.0 * tolerance
        converged[active[done]] = True
        if converged.all():
            break
        active, move = active[~done], move[~done]
        trial = theta[active] + move
        found = likelihood(law, trial, readings[..., active])
        better = found.value > best.value[active]
        theta[active[better]] = trial[better]
        for kept, new in zip(best, found, strict=True):
            kept[active[better]] = new[better]
        damping[active] *= np.where(better, 0.2, 8.0)
    return Maximum(theta, best, converged)


def _scoring_step(theta: Floats, at: Likelihood, damping: Floats, limits: Floats) -> Floats:
    """Damped scoring step, clipped to the limits; a parameter pressed against its limit stays."""
    held = (theta <= limits[0]) & (at.score < 0.0) | (theta >= limits[1]) & (at.score > 0.0)
    matrix = np.where(held[:, :, None] | held[:, None, :], 0.0, at.information)
    diagonal = np.einsum("bii->bi", matrix)
    diagonal += damping[:, None] * diagonal + np.where(held, 1.0, 1e-9)
    score = np.where(held, 0.0, at.score)
    move = np.clip(np.linalg.solve(matrix, score[..., None])[..., 0], -2.0, 2.0)
    return np.asarray(np.clip(theta + move, *limits) - theta)
