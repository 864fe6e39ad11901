"""Fit of a response family and of the noises to one measured cell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import chdtrc

from sptrack.errors import ConvergenceError
from sptrack.fitting.cell import Diagnostics, Estimate, MeasuredDevice, find_unidentified
from sptrack.fitting.estimate import SIGNED, Estimates, estimate
from sptrack.fitting.laws import Floats, Law, family_law
from sptrack.fitting.readings import PulseResponse, visited_range
from sptrack.fitting.resampling import plausible_vectors
from sptrack.fitting.statespace import (
    CYCLE,
    NOISES,
    innovations,
    maximise,
    simulate,
    unpack,
)
from sptrack.values import as_seed

__all__ = [
    "LONG",
    "best_fit",
    "describe_fit",
    "fit_long_response",
    "fit_pulse_response",
    "step_curves",
    "uncertainty_draws",
]

LONG = 4000
"""Readings of a cell up to which resamples of all of them are fitted."""
_LAGS = 20
_POINTS = 61


def fit_pulse_response(response: PulseResponse, family: str = "soft-bounds") -> MeasuredDevice:
    """Fit a response family, reading noise and cycle noise by restricted maximum likelihood.

    Each run starts at a free state; slow reading noise enters only if the readings call for it (see
    `estimate`). Intervals are those of the profile likelihood, held against resamples of the readings
    for means (see `resampling`) and against the law of a variance, which is never below 0, for noises (see
    `intervals`).

    Parameters
    ----------
    response : PulseResponse
        Readings of one cell, weight units.
    family : str
        One of `FAMILIES`.

    Returns
    -------
    MeasuredDevice
        Estimates with 95 % intervals, and what the readings cannot identify.

    Raises
    ------
    ParameterError
        Unknown family.
    ConvergenceError
        The fit did not converge.
    """
    fitted = best_fit(response, family)
    return describe_fit(response, fitted, fitted.intervals())


def fit_long_response(response: PulseResponse, short: PulseResponse | None, family: str) -> MeasuredDevice:
    """Fit as `fit_pulse_response`, of so many readings that resamples of all of them would take too long.

    The likelihood is that of all readings; nothing is thinned or averaged.

    Parameters
    ----------
    response : PulseResponse
        Readings of one cell, weight units.
    short : PulseResponse, optional
        Fewer readings of it, over the whole record or in windows (see `thinning`): their fit is a start, and
        their resamples, where they span the record, say how far the likelihood falls at the ends of
        intervals. None: the steps are too small to be seen in so few.
    family : str
        One of `FAMILIES`.

    Raises
    ------
    ParameterError, ConvergenceError
        As in `fit_pulse_response`.
    """
    like = None if short is None else best_fit(short, family)
    law = family_law(family, *visited_range(response)) if like is None else like.problem.law
    guess = None if like is None else like.theta[:, like.problem.runs + len(NOISES) :]
    fitted = _converged(response, law, guess, brief=True)
    spans = short is not None and short.program.runs[-1] == response.program.runs[-1]
    return describe_fit(response, fitted, fitted.long_intervals(like if spans else None))


def best_fit(response: PulseResponse, family: str, guess: Floats | None = None) -> Estimates:
    """Restricted maximum of one response; ``guess`` [2 n] are logarithms of coefficients. Errors as above."""
    return _converged(response, family_law(family, *visited_range(response)), guess)


def _converged(response: PulseResponse, law: Law, guess: Floats | None, *, brief: bool = False) -> Estimates:
    ((_, fitted),) = estimate(law, response.program, response.readings[None], guess, brief=brief)
    if not fitted.converged.all():
        raise ConvergenceError(f"{response.label}the fit of {law.family} did not converge in 200 steps")
    return fitted


def describe_fit(response: PulseResponse, fitted: Estimates, ends: Mapping[str, Floats]) -> MeasuredDevice:
    """Diagnostics and curves of a fit of a response, with ends [1, 2] of intervals by name."""
    law = fitted.problem.law
    parameters = {}
    for name, values in fitted.named().items():
        value, (low, high) = float(values[0]), ends[name][0]
        least = -np.inf if name.startswith(SIGNED) else 0.0
        low, high = np.maximum(least, np.minimum(low, value)), np.maximum(high, value)
        parameters[name] = Estimate(value, float(low), float(high))
    error, variance = (part[0, 0] for part in innovations(fitted.problem, fitted.theta[:, None]))
    residuals = np.where(np.isnan(response.readings), np.nan, error / np.sqrt(variance))
    count = int(np.sum(~np.isnan(residuals)))
    autocorrelation = _autocorrelation(np.nan_to_num(residuals), response)
    mean = simulate(fitted.problem, fitted.theta, np.zeros_like(fitted.problem.readings))[0]
    return MeasuredDevice(
        name=response.name,
        family=law.family,
        parameters=parameters,
        unidentified=find_unidentified(parameters, (law.low, law.high)),
        range=(law.low, law.high),
        predicted=response.readings - error,
        deviation=np.sqrt(variance),
        mean=mean + law.origin,
        residuals=residuals,
        diagnostics=Diagnostics(
            log_likelihood=float(fitted.plain[0]),
            whiteness=_whiteness(autocorrelation, count),
            readings=count,
        ),
        fitted=fitted,
    )


def _autocorrelation(residuals: Floats, response: PulseResponse) -> Floats:
    """Autocorrelation of standardised innovations within runs, at lags 1, 2, ..."""
    runs = response.program.runs
    lags = range(1, min(_LAGS, residuals.size // 8) + 1)
    covariance = [np.sum((residuals[lag:] * residuals[:-lag])[runs[lag:] == runs[:-lag]]) for lag in lags]
    return np.array(covariance) / np.sum(residuals**2)


def _whiteness(autocorrelation: Floats, count: int) -> float:
    """Ljung-Box p-value of the innovations: probability of larger autocorrelations if they are white."""
    lags = np.arange(1, len(autocorrelation) + 1)
    statistic = count * (count + 2.0) * np.sum(autocorrelation**2 / (count - lags))
    return float(chdtrc(len(lags), statistic))


def uncertainty_draws(fitted: Estimates, size: int, generator: np.random.Generator) -> Floats:
    """Coefficients [size, 2, n] that differ by the uncertainty of a fit of one cell.

    Parametric bootstrap: readings are simulated from the fit, with a cycle noise drawn from its restricted
    profile likelihood (see `plausible_vectors`), and refitted at that noise. Where readings are so many that
    this would take too long, vectors are drawn from the normal law of the information instead.

    Parameters
    ----------
    fitted : Estimates
        Fit of one response.
    size : int
        Number of draws.
    generator : Generator
        Source of random numbers.

    Raises
    ------
    ConvergenceError
        Fewer than half of the refits converged.
    """
    problem, entry = fitted.problem, fitted.problem.runs + CYCLE
    if problem.readings.size > LONG:
        drawn = fitted.normal_draws(size, generator)
        return unpack(problem, drawn[:, None]).coefficients[:, 0]
    truth = plausible_vectors(problem, fitted.theta, fitted.value, size, generator)[0]
    blank = problem._replace(readings=np.repeat(problem.readings, size, axis=0), means=truth)
    made = simulate(blank, truth, generator.standard_normal(blank.readings.shape))
    made[np.isnan(blank.readings)] = np.nan
    boxes = np.repeat(problem.limits[:, None], size, axis=1)
    boxes[:, :, entry] = truth[:, entry]
    refits = maximise(blank._replace(readings=made), truth, boxes, tolerance=1e-2)
    kept = refits.theta[refits.converged]
    if len(kept) < size / 2:
        raise ConvergenceError(f"{len(kept)} of {size} bootstrap refits converged: at least half must")
    return unpack(problem, kept[:, None]).coefficients[:, 0]


def step_curves(cell: MeasuredDevice, *, draws: int = 60, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Mean steps of a cell over the visited states, with pointwise 95 % bands.

    Parameters
    ----------
    cell : MeasuredDevice
        The fit.
    draws : int
        Bootstrap refits behind the bands (see `uncertainty_draws`).
    seed : int
        Seed of the refits.

    Returns
    -------
    weights : array [n]
        Weight units.
    steps : array [2, n]
        Mean steps up and down, weight units per pulse.
    ends : array [2, n, 2]
        Ends of the bands.

    Raises
    ------
    ConvergenceError
        Fewer than half of the refits converged.
    """
    law = cell.fitted.problem.law
    weights = np.linspace(*cell.range, _POINTS)
    drawn = uncertainty_draws(cell.fitted, draws, np.random.default_rng(as_seed(seed)))
    steps = law.steps(cell.coefficients[None], weights[None])[:, 0]
    band = np.quantile(law.steps(drawn, np.tile(weights, (len(drawn), 1))), (0.025, 0.975), axis=1)
    return weights, steps, np.moveaxis(band, 0, -1)
