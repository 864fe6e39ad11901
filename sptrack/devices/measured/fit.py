"""Fit of a step law and of the noise to one measured pulse response."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import chdtrc

from sptrack.devices.measured.device import Diagnostics, Estimate, MeasuredDevice, find_unidentified
from sptrack.devices.measured.laws import Floats, Law, Piecewise, SoftBounds
from sptrack.devices.measured.readings import PulseResponse
from sptrack.devices.measured.statespace import (
    SHARED,
    Maximum,
    likelihood,
    maximise,
    run_filter,
    simulate,
    unpack,
)
from sptrack.errors import ConvergenceError, ParameterError, nearest

__all__ = ["FAMILIES", "fit_pulse_response"]

FAMILIES = ("soft-bounds", "piecewise")

_CYCLE, _SLOW, _MEMORY = (SHARED.index(name) for name in ("cycle_noise", "slow_noise", "slow_memory"))
_OFF = -20.0
_CYCLE_LIMITS = np.log([1e-2, 1e3])
_CHUNK = 64
_LAGS = 20


class _Problem(NamedTuple):
    """Law, readings [T, 2, 1], start vectors [B, p] and limits [2, B, p] of a fit."""

    law: Law
    readings: Floats
    starts: Floats
    limits: Floats


def fit_pulse_response(
    response: PulseResponse, family: str = "soft-bounds", seed: int = 0, resamples: int = 200
) -> MeasuredDevice:
    """Fit a response family, reading noise and cycle noise by maximum likelihood (see `statespace`).

    Each run starts at a free state. Slow reading noise enters only if it raises the log-likelihood by more
    than log(readings), the Bayesian information criterion for its two parameters: without it, low-frequency
    noise of the read-out would pass for a huge cycle noise. Cycle noise maximises the restricted profile
    likelihood log L - log det(I)/2, I the information on start states and linear step coefficients: plain
    likelihood lets the trajectory absorb the wander and returns 0 far too often (Cox and Reid 1987). Its
    interval is where that profile falls by 1.92. The other intervals are percentiles of a block bootstrap:
    standardised innovations, resampled in circular blocks (length from their autocorrelation, Politis and
    White 2004), go back through the fitted filter (Stoffer and Wall 1991) with a cycle noise drawn from its
    profile, and are refitted.

    Parameters
    ----------
    response : PulseResponse
        Up and down readings of one cell, weight units; they must include the state 0.
    family : {"soft-bounds", "piecewise"}
        Linear steps towards two bounds, or five free steps at equally spaced states in each direction.
    seed : int
        Seed of the bootstrap.
    resamples : int
        Number of bootstrap resamples, at least 20.

    Returns
    -------
    MeasuredDevice
        Estimates with 95 % intervals, bootstrap draws and what the readings cannot identify.

    Raises
    ------
    ParameterError
        Unknown family, too few resamples, readings that move against the pulses or do not include 0.
    ConvergenceError
        The fit, or half of the resamples, did not converge.
    """
    if family not in FAMILIES:
        raise ParameterError(
            f"family {family!r} is not one of {', '.join(FAMILIES)}{nearest(family, FAMILIES)}"
        )
    if resamples < 20:
        raise ParameterError(f"resamples is {resamples}: at least 20 are needed")
    problem = _problem(response, family)
    count = int(np.sum(~np.isnan(problem.readings)))
    start, limits = _best_fit(problem, count)
    profile = _restricted_profile(problem, start, limits)
    theta = profile.vectors(profile.cycle[:1])[0]
    residuals, autocorrelation = _residuals(problem, theta)
    block = _block_length(autocorrelation, count)
    generator = np.random.default_rng(seed)
    draws = _bootstrap(
        problem, profile.draw(generator, resamples), limits, _resample(residuals, block, resamples, generator)
    )
    low, high = _visited(response)
    names = _natural(problem.law, theta[None])
    table = _natural(problem.law, draws)
    parameters = {
        name: Estimate(float(x[0]), *map(float, np.quantile(table[name], [0.025, 0.975])))
        for name, x in names.items()
    }
    parameters["cycle_noise"] = Estimate(*map(float, np.exp(profile.cycle)))
    return MeasuredDevice(
        family=family,
        parameters=parameters,
        draws=np.column_stack([table[name] for name in parameters]),
        unidentified=find_unidentified(parameters, (low, high), float(np.exp(_CYCLE_LIMITS[0]))),
        range=(low, high),
        diagnostics=Diagnostics(
            log_likelihood=float(likelihood(problem.law, theta[None], problem.readings).value[0]),
            whiteness=_whiteness(autocorrelation, count),
            start_gap=_start_gap(problem, theta, response.up.size),
            block_length=block,
            resamples=len(draws),
        ),
    )


def _visited(response: PulseResponse) -> tuple[float, float]:
    """Lowest and highest mean of (up to) 20 consecutive parts of a run."""
    means = [
        part.mean()
        for run in (response.up, response.down)
        for part in np.array_split(run, min(20, run.size // 5))
    ]
    return float(min(means)), float(max(means))


def _mean_speed(response: PulseResponse) -> Floats:
    """Mean steps (up, down), from the means of the first and the last quarter; refuses wrong directions."""
    runs = (response.up, -response.down)
    rises = np.array([run[-(run.size // 4) :].mean() - run[: run.size // 4].mean() for run in runs])
    if min(rises) <= 0.0:
        raise ParameterError(
            f"readings move by {rises[0]:.4g} under up and {-rises[1]:.4g} under down pulses:"
            " up must raise, down must lower them"
        )
    return rises / (0.75 * np.array([run.size for run in runs]))


def _problem(response: PulseResponse, family: str) -> _Problem:
    """Starts, from moments, and limits: without and with slow noise, from small and large cycle noise."""
    low, high = _visited(response)
    if not low < 0.0 < high:
        raise ParameterError(f"readings visit {low:.4g} to {high:.4g}: weight units with 0 inside are needed")
    runs = (response.up, response.down)
    span, longest = high - low, max(run.size for run in runs)
    law: Law = SoftBounds() if family == "soft-bounds" else Piecewise(low, high)
    steps = np.repeat(np.log(_mean_speed(response))[:, None], law.coefficients, axis=1)
    lowest, highest = steps - np.log(200.0), steps + np.log(200.0)
    if family == "soft-bounds":
        steps[:, 1], lowest[:, 1], highest[:, 1] = np.log(np.array([0.5, 0.05, 20.0]) / span)
    noise = np.log(np.std(np.concatenate([np.diff(run) for run in runs])) / np.sqrt(2.0))
    ends = [run[: run.size // 20 + 1].mean() for run in runs]
    head = np.array([*ends, noise, 0.0, noise, np.log(longest / 50.0)])
    reach = np.array([2.0 * span, 2.0 * span, 5.0, 0.0, 5.0, 0.0])
    limits = np.array([np.r_[head - reach, lowest.ravel()], np.r_[head + reach, highest.ravel()]])
    limits[:, _CYCLE] = _CYCLE_LIMITS
    limits[:, _MEMORY] = np.log([0.5, longest / 4.0])
    starts, boxes = np.tile(np.r_[head, steps.ravel()], (4, 1)), np.tile(limits[:, None], (1, 4, 1))
    starts[:, _CYCLE] = np.log([0.3, 5.0, 0.3, 5.0])
    starts[:2, _SLOW] = boxes[:, :2, _SLOW] = _OFF
    boxes[:, :2, _MEMORY] = head[_MEMORY]
    readings = np.full((longest, 2, 1), np.nan)
    for i, run in enumerate(runs):
        readings[: run.size, i, 0] = run
    return _Problem(law, readings, starts, boxes)


def _best_fit(problem: _Problem, count: int) -> tuple[Floats, Floats]:
    """Vector [p] and limits [2, p] of the fit, with or without slow noise, that the criterion prefers."""
    law, readings, starts, limits = problem
    found = maximise(law, starts, np.repeat(readings, len(starts), axis=2), limits)
    if not found.converged.any():
        raise ConvergenceError("fit of the pulse response did not converge in 60 steps from any of 4 starts")
    merit = np.where(found.converged, found.likelihood.value, -np.inf)
    merit[2:] -= np.log(count)
    best = int(np.argmax(merit))
    return found.theta[best], limits[:, best]


class _Profile(NamedTuple):
    """Fits [G, p] over the log cycle noise; weights on a fine grid [F]; estimate and interval ends [3]."""

    fits: Floats
    grid: Floats
    weights: Floats
    cycle: Floats

    def vectors(self, cycle: Floats) -> Floats:
        """Parameter vectors [B, p] at logarithms of the cycle noise [B], interpolated."""
        return np.column_stack([np.interp(cycle, self.fits[:, _CYCLE], column) for column in self.fits.T])

    def draw(self, generator: np.random.Generator, size: int) -> Floats:
        """Parameter vectors [size, p] with a cycle noise drawn from the weights."""
        return self.vectors(generator.choice(self.grid, size=size, p=self.weights))


def _restricted_profile(problem: _Problem, start: Floats, limits: Floats) -> _Profile:
    """Restricted likelihood over the cycle noise; with a prior flat in it, the weights."""
    cycle = np.linspace(_CYCLE_LIMITS[0], _CYCLE_LIMITS[1], 40)
    starts = np.tile(start, (cycle.size, 1))
    found = _refit(problem, starts, limits, cycle, np.repeat(problem.readings, cycle.size, axis=2))
    mean = np.r_[:2, len(SHARED) : starts.shape[1]]
    information = found.likelihood.information[:, mean[:, None], mean] + 1e-9 * np.eye(mean.size)
    volume = problem.law.volume(unpack(problem.law, found.theta[:, None]).coefficients[..., 0])
    restricted = found.likelihood.value - 0.5 * np.linalg.slogdet(information)[1] + volume
    grid = np.linspace(_CYCLE_LIMITS[0], _CYCLE_LIMITS[1], 2000)
    curve = CubicSpline(cycle, restricted)(grid)
    curve -= curve.max()
    weights = np.exp(curve + grid)
    inside = grid[curve > -1.92]
    ends = np.array([grid[np.argmax(curve)], inside[0], inside[-1]])
    return _Profile(found.theta, grid, weights / weights.sum(), ends)


def _refit(problem: _Problem, starts: Floats, limits: Floats, cycle: Floats, readings: Floats) -> Maximum:
    """Fits [B, p] at given logarithms of the cycle noise [B]."""
    boxes = np.repeat(limits[:, None], len(cycle), axis=1)
    boxes[:, :, _CYCLE] = cycle
    return maximise(problem.law, starts, readings, boxes, tolerance=1e-3)


def _natural(law: Law, theta: Floats) -> dict[str, Floats]:
    """Named parameters [B] of vectors [B, p]; slow noise is left out where it is switched off."""
    values = np.concatenate([theta[:, :2], np.exp(theta[:, 2 : len(SHARED)])], axis=1)
    shared = dict(zip(SHARED, values.T, strict=True))
    if (theta[:, _SLOW] == _OFF).all():
        del shared["slow_noise"], shared["slow_memory"]
    return shared | law.describe(unpack(law, theta[:, None]).coefficients[..., 0])


def _residuals(problem: _Problem, theta: Floats) -> tuple[Floats, Floats]:
    """Standardised innovations of both runs in one row, and their autocorrelation at lags 1, 2, ..."""
    filtered = run_filter(problem.law, theta[None, None], problem.readings)
    scaled = (filtered.innovation / np.sqrt(filtered.variance))[..., 0, 0]
    runs = [run[seen] for run, seen in zip(scaled.T, ~np.isnan(problem.readings[..., 0].T), strict=True)]
    lags = range(1, min(_LAGS, min(run.size for run in runs) // 4) + 1)
    power = sum(float(run @ run) for run in runs)
    covariance = [sum(float(run[lag:] @ run[:-lag]) for run in runs) / power for lag in lags]
    residuals = np.concatenate(runs)
    inflation = np.sqrt(residuals.size / (residuals.size - theta.size))
    return inflation * (residuals - residuals.mean()), np.array(covariance)


def _block_length(autocorrelation: Floats, count: int) -> int:
    """Circular block length of Politis and White (2004): flat-top window up to the last significant lag."""
    significant = np.flatnonzero(np.abs(autocorrelation) > 2.0 * np.sqrt(np.log10(count) / count))
    if not significant.size:
        return 1
    lags = np.arange(1, len(autocorrelation) + 1)
    window = np.clip(2.0 - lags / (significant[-1] + 1.0), 0.0, 1.0) * autocorrelation
    density = 1.0 + 2.0 * window.sum()
    slope = 2.0 * float(lags @ window)
    length = (1.5 * (slope / density) ** 2 * count) ** (1.0 / 3.0)
    return int(np.clip(np.ceil(length), 1, count // 10))


def _resample(residuals: Floats, block: int, resamples: int, generator: np.random.Generator) -> Floats:
    """Circular block resamples [resamples, n] of a row of n residuals."""
    blocks = -(-residuals.size // block)
    first = generator.integers(residuals.size, size=(resamples, blocks, 1))
    index = (first + np.arange(block)).reshape(resamples, -1)[:, : residuals.size]
    return np.asarray(residuals[index % residuals.size])


def _bootstrap(problem: _Problem, truth: Floats, limits: Floats, residuals: Floats) -> Floats:
    """Refits [B, p] to responses rebuilt from vectors [resamples, p] and residuals [resamples, n]."""
    hole = np.isnan(problem.readings[..., 0])
    kept = []
    for rows in np.array_split(np.arange(len(residuals)), -(-len(residuals) // _CHUNK)):
        shocks = np.zeros((*hole.shape, len(rows)))
        shocks.swapaxes(0, 1)[~hole.T] = residuals[rows].T
        readings = np.where(hole[..., None], np.nan, simulate(problem.law, truth[rows], shocks))
        found = _refit(problem, truth[rows], limits, truth[rows, _CYCLE], readings)
        kept.append(found.theta[found.converged])
    draws = np.concatenate(kept)
    if len(draws) < len(residuals) / 2:
        raise ConvergenceError(
            f"{len(draws)} of {len(residuals)} bootstrap refits converged: at least half must"
        )
    return draws


def _whiteness(autocorrelation: Floats, count: int) -> float:
    """Ljung-Box p-value of the innovations: probability of larger autocorrelations if they are white."""
    lags = np.arange(1, len(autocorrelation) + 1)
    statistic = count * (count + 2.0) * np.sum(autocorrelation**2 / (count - lags))
    return float(chdtrc(len(lags), statistic))


def _start_gap(problem: _Problem, theta: Floats, ups: int) -> float:
    """Start of the down run minus end of the up run, in standard deviations of this difference."""
    end = run_filter(problem.law, theta[None, None], problem.readings[:ups]).last
    information = likelihood(problem.law, theta[None], problem.readings).information[0]
    start_variance = np.linalg.pinv(information)[1, 1]
    gap = theta[1] - end.state[0, 0, 0]
    return float(gap / np.sqrt(start_variance + end.state_variance[0, 0, 0]))
