"""Signed roots of the likelihood ratio on resampled readings: what a root of a fit is to be held against.

The signed root r of a likelihood ratio is N(0, 1) for many readings. Runs of one to three time constants
shift it (the fall of the steps is found too large) and noises known badly widen it. Readings simulated from
the fit and fitted anew have the same shift and width, to third order in 1/sqrt(readings) (DiCiccio and Efron
1996, Bootstrap confidence intervals). The cycle noise of a resample is drawn from its restricted profile
likelihood: an undetected cycle noise is not taken for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from sptrack.fitting.intervals import Function, Quantity, profile_interval, value_gradient
from sptrack.fitting.laws import Floats
from sptrack.fitting.statespace import (
    CYCLE,
    Likelihood,
    Maximum,
    Problem,
    held_entries,
    likelihood,
    maximise,
    simulate,
    solved,
)

__all__ = ["constrained_maximum", "plausible_vectors", "root_limits"]

_GRID = 12
_FINE = 400
_WIDER = 1.5
_FLOOR = 40.0
_TOLERANCE = 1e-2
_STEPS = 25
_LEVEL = 0.95
_FEWEST = 10
_STARTS = (0.2, 4.0)
"""Cycle noises, in true ones, from which a resample is fitted too."""


def plausible_vectors(
    problem: Problem, theta: Floats, best: Floats, size: int, generator: np.random.Generator
) -> Floats:
    """Vectors [B, size, p] that differ by what the readings say of the cycle noise.

    Its logarithm is drawn, one value from each of ``size`` equally likely strata, from its restricted profile
    likelihood (prior flat in the noise itself, so that a noise that the readings do not exclude is not taken
    for none), between a value too small to be seen and one above the 95 % interval; the other parameters are
    the most likely ones there.

    Parameters
    ----------
    problem : Problem
        B data sets.
    theta, best : array [B, p], array [B]
        Vectors of largest restricted likelihood, and its values.
    size : int
        Number of vectors.
    generator : Generator
        Source of random numbers.
    """
    from scipy.interpolate import CubicSpline

    entry, count = problem.runs + CYCLE, len(theta)
    cycle = Quantity(lambda vectors: vectors[:, entry], entry)
    high, found = profile_interval(problem, theta, best, cycle, 1)
    top = np.where(found & np.isfinite(high), high + np.log(_WIDER), problem.limits[1, entry])
    bottom = np.maximum(np.minimum(theta[:, entry], top - np.log(_FLOOR)), problem.limits[0, entry])
    below, found = profile_interval(problem, theta, best, cycle, -1)
    bottom = np.where(found & (below > bottom), below - np.log(_WIDER), bottom)
    grid = np.linspace(bottom, top, _GRID, axis=1)
    rows = np.repeat(np.arange(count), _GRID)
    boxes = np.repeat(problem.limits[:, None], rows.size, axis=1)
    boxes[:, :, entry] = grid.ravel()
    constrained = maximise(problem.rows(rows), theta[rows], boxes, tolerance=_TOLERANCE)
    values = constrained.likelihood.value.reshape(count, _GRID)
    vectors = constrained.theta.reshape(count, _GRID, -1)
    out = np.empty((count, size, theta.shape[1]))
    for b in range(count):
        fine = np.linspace(bottom[b], top[b], _FINE)
        log_weight = CubicSpline(grid[b], values[b])(fine) + fine
        weight = np.cumsum(np.exp(log_weight - log_weight.max()))
        strata = (np.arange(size) + generator.random(size)) / size
        drawn = np.interp(strata * weight[-1], weight, fine)
        out[b] = np.stack([np.interp(drawn, grid[b], column) for column in vectors[b].T], axis=1)
        out[b, :, entry] = drawn
    return out


def root_limits(
    problem: Problem, vectors: Floats, values: Sequence[Function], generator: np.random.Generator
) -> Floats:
    """Limits [Q, B, 2] of the signed roots of quantities, lowest and highest, at 95 %.

    With m and s the mean and standard deviation of the roots of n resamples, and a root that is one more draw
    of the same normal law, they are m +- t s sqrt(1 + 1/n) with the t quantile of n - 1. NaN where fewer than
    ten resamples could be fitted.

    Parameters
    ----------
    problem : Problem
        B data sets.
    vectors : array [B, n, p]
        True vectors of the resamples, as `plausible_vectors` gives them.
    values : sequence of functions [B, p] to [B]
        The quantities.
    generator : Generator
        Source of random numbers.
    """
    count, size = vectors.shape[:2]
    truth = vectors.reshape(count * size, -1)
    blank = problem.rows(np.repeat(np.arange(count), size))
    made = simulate(blank, truth, generator.standard_normal(blank.readings.shape))
    readings = np.where(np.isnan(blank.readings), np.nan, made)
    resampled = blank._replace(readings=readings, means=truth)
    peak = _peaks(resampled, truth)
    first = likelihood(resampled, truth)
    limits = []
    for value in values:
        target = value(truth)
        constrained = constrained_maximum(resampled, truth, first, value, target)
        fall = np.maximum(2.0 * (peak.likelihood.value - constrained), 0.0)
        root = np.sign(value(peak.theta) - target) * np.sqrt(fall)
        limits.append(_limits(np.where(peak.converged, root, np.nan).reshape(-1, size)))
    return np.stack(limits)


def _peaks(problem: Problem, truth: Floats) -> Maximum:
    """Maxima from the true vectors, or higher ones from other cycle noises, as a fit looks for them."""
    found = maximise(problem, truth, tolerance=_TOLERANCE)
    for size in _STARTS:
        start = found.theta.copy()
        start[:, problem.runs + CYCLE] = truth[:, problem.runs + CYCLE] + np.log(size)
        other = maximise(problem, start, tolerance=_TOLERANCE)
        better = (other.likelihood.value > found.likelihood.value) & other.converged
        for kept, new in zip((found.theta, found.converged), (other.theta, other.converged), strict=True):
            kept[better] = new[better]
        for kept, new in zip(found.likelihood, other.likelihood, strict=True):
            kept[better] = new[better]
    return found


def _limits(roots: Floats) -> Floats:
    """Limits [B, 2] of one more root, from roots [B, n] of which some are NaN."""
    good = ~np.isnan(roots)
    count = np.maximum(good.sum(axis=1), 2)
    mean = np.where(good, roots, 0.0).sum(axis=1) / count
    spread = np.where(good, roots - mean[:, None], 0.0)
    std = np.sqrt(np.sum(spread**2, axis=1) / (count - 1.0))
    half = stdtrit(count - 1.0, 0.5 + _LEVEL / 2.0) * std * np.sqrt(1.0 + 1.0 / count)
    few = np.where(good.sum(axis=1) < _FEWEST, np.nan, 0.0)
    return np.stack([mean - half + few, mean + half + few], axis=1)


class _Constraint(NamedTuple):
    """A quantity [B, p] to [B] and the values [B] at which it is held."""

    value: Function
    target: Floats


def constrained_maximum(
    problem: Problem, theta: Floats, first: Likelihood, value: Function, target: Floats
) -> Floats:
    """Largest likelihood [B] where a quantity has a given value; NaN where the search does not end.

    Scoring steps with the constraint linearised.

    Parameters
    ----------
    problem : Problem
        B data sets.
    theta : array [B, p]
        Vectors to start from, which fulfil the constraint.
    first : Likelihood
        That of ``theta``.
    value, target : function [B, p] to [B], array [B]
        The quantity and its values.
    """
    theta, out = theta.copy(), np.full(len(theta), np.nan)
    active, at = np.arange(len(theta)), first
    for step in range(_STEPS):
        constraint = _Constraint(value, target[active])
        move, gain = _constrained_step(problem, theta[active], at, constraint)
        move *= 1.0 if step < _STEPS // 2 else 0.5
        done = gain < 2.0 * _TOLERANCE
        out[active[done]] = at.value[done] + 0.5 * gain[done]
        active, move = active[~done], move[~done]
        if not active.size:
            break
        theta[active] += move
        at = likelihood(problem.rows(active), theta[active])
    return out


def _constrained_step(
    problem: Problem, theta: Floats, at: Likelihood, constraint: _Constraint
) -> tuple[Floats, Floats]:
    """Moves [B, p] along or back to the constraint, and their squared lengths [B] in the information."""
    boxes = np.repeat(problem.limits[:, None], len(theta), axis=1)
    fixed = held_entries(theta, at.score, boxes)
    matrix = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, at.information)
    diagonal = np.einsum("bii->bi", matrix)
    diagonal += 1e-3 * diagonal + np.where(fixed, 1.0, 1e-4)
    slope = np.where(fixed, 0.0, value_gradient(constraint.value, theta))
    score = np.where(fixed, 0.0, at.score)
    both = solved(matrix, np.stack([score, slope], axis=-1))
    free, along = both[..., 0], both[..., 1]
    power = np.sum(slope * along, axis=1)
    wanted = constraint.target - constraint.value(theta) - np.sum(slope * free, axis=1)
    move = np.clip(free + (wanted / np.maximum(power, 1e-16))[:, None] * along, -1.0, 1.0)
    move = np.clip(theta + move, *boxes) - theta
    gain = np.einsum("bi,bij,bj->b", move, matrix, move)
    return move, np.where(power > 1e-14, gain, np.inf)
