"""Profile-likelihood intervals of any function of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from sptrack.fitting.laws import Floats
from sptrack.fitting.statespace import Likelihood, Problem, held_entries, likelihood, solved

__all__ = [
    "Function",
    "Quantity",
    "boundary_threshold",
    "profile_interval",
    "regression_threshold",
    "value_gradient",
]

Function = Callable[[Floats], Floats]
"""Function of vectors [B, p] to [B]."""

_DELTA = 1e-5
_LEVEL = 0.95
_STEPS = 60
_PATIENCE = 15
_STILL, _NEAR = 3e-3, 0.1
"""Move of a quantity, in its standard errors, and excess of the fall, at which a late search ends."""
_PACES = (1.0, 0.6, 0.3)
_LOST = 15.0
_RIDGE = 1e-3
"""Information added to each parameter while a step is chosen: what the readings do not tell at all stays."""


class Quantity(NamedTuple):
    """Quantity of an interval, and the variance entry if it is one.

    ``noise`` is the place of a noise's logarithm in the parameter vector; -1 for anything else.
    """

    value: Function
    noise: int = -1


def regression_threshold(freedom: float) -> float:
    """Fall of twice the restricted log-likelihood at the ends of a 95 % interval of a mean parameter.

    In regression it is nu log(1 + t^2/nu) with the t quantile of nu = readings - parameters, exactly.
    """
    quantile = stdtrit(freedom, 0.5 + _LEVEL / 2.0)
    return float(freedom * np.log1p(quantile * quantile / freedom))


def boundary_threshold(distance: Floats) -> Floats:
    """Fall of twice the log-likelihood at the ends of a 95 % interval of a variance, which is never below 0.

    Parameters
    ----------
    distance : array
        Variance tried over the standard error of its estimate there.

    Returns
    -------
    array
        With x ~ N(distance, 1) and the estimate max(x, 0), the c for which twice the log-likelihood falls by
        more than c in 5 % of the cases: 2.71 at distance 0, 3.84 from distance 1.96 on.
    """
    low = np.full(np.shape(distance), ndtri(_LEVEL) ** 2)
    high = np.full(np.shape(distance), ndtri(0.5 + _LEVEL / 2.0) ** 2)
    full = high.copy()
    near = np.maximum(distance, 1e-9)
    for _ in range(40):
        middle = 0.5 * (low + high)
        missed = ndtr(-np.sqrt(middle)) + ndtr(-(near * near + middle) / (2.0 * near))
        low, high = (
            np.where(missed > 1.0 - _LEVEL, middle, low),
            np.where(missed > 1.0 - _LEVEL, high, middle),
        )
    return np.asarray(np.where(near * near >= full, full, 0.5 * (low + high)))


def profile_interval(
    problem: Problem,
    theta: Floats,
    best: Floats,
    quantity: Quantity,
    sign: int,
    threshold: Floats | None = None,
) -> tuple[Floats, NDArray[np.bool_]]:
    """One end of the profile-likelihood interval of a quantity, for every data set.

    The end is the largest (``sign`` 1) or smallest (-1) value that a vector can have whose restricted
    log-likelihood is at most half the threshold below the maximum. Each step solves this problem with the
    quadratic model of the likelihood (Venzon and Moolgavkar 1988).

    Parameters
    ----------
    problem : Problem
        B data sets.
    theta, best : array [B, p], array [B]
        Vectors to start from, and the largest likelihood of each data set.
    quantity : Quantity
        What the interval is wanted for.
    sign : {1, -1}
        Which end.
    threshold : array [B], optional
        Fall of twice the log-likelihood at the end; by default `regression_threshold`. That of a noise is
        `boundary_threshold` unless it is given.

    Returns
    -------
    ends : array [B]
        The ends; infinite where the likelihood does not fall far enough inside the limits of the parameters.
    converged : array [B] of bool
        Whether the search ended.
    """
    calibrated = threshold is not None
    if threshold is None:
        freedom = np.sum(~np.isnan(problem.readings), axis=1) - len(problem.mean_entries)
        threshold = np.array([regression_threshold(max(n, 1)) for n in freedom])
    boxes = np.repeat(problem.limits[:, None], len(theta), axis=1)
    good, theta, done, is_open = (
        theta.copy(),
        theta.copy(),
        np.zeros(len(theta), bool),
        np.zeros(len(theta), bool),
    )
    for step in range(_STEPS):
        active = np.flatnonzero(~done)
        if not active.size:
            break
        part = problem.rows(active)
        at = likelihood(part, theta[active])
        lost = ~(at.value > best[active] - _LOST)
        theta[active[lost]] = 0.5 * (theta + good)[active[lost]]
        active, at = active[~lost], Likelihood(*(values[~lost] for values in at))
        search = _Search(
            problem.rows(active), quantity, sign, boxes[:, active], calibrated, step >= _PATIENCE
        )
        move, here_done, here_open = _step(search, theta[active], at, best[active], threshold[active])
        good[active] = theta[active]
        theta[active] += move * _PACES[min(step * len(_PACES) // _STEPS, len(_PACES) - 1)]
        done[active], is_open[active] = here_done | here_open, here_open
    ends = quantity.value(good)
    return np.where(is_open, sign * np.inf, ends), done


class _Search(NamedTuple):
    """Which end of which interval is looked for, between limits [2, B, p].

    Whether its threshold is given, and whether steps that no longer move the quantity end the search:
    parameters that the readings do not tell, and that the quantity does not feel, may wander on.
    """

    problem: Problem
    quantity: Quantity
    sign: int
    boxes: Floats
    calibrated: bool
    late: bool


def _step(
    search: _Search, theta: Floats, at: Likelihood, best: Floats, threshold: Floats
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Next moves [B, p] toward the end; which are there, and which have no end inside the limits."""
    problem, quantity, sign, boxes, calibrated, late = search
    gradient = sign * value_gradient(quantity.value, theta)
    force = at.score + _pull(at.information, at.score, gradient, 2.0 * (at.value - best) + threshold)
    fixed = held_entries(theta, force, boxes)
    matrix = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, at.information)
    places, first = np.arange(theta.shape[1]), problem.runs
    matrix[:, places, places] += 1e-9 + fixed
    ridged = matrix.copy()
    ridged[:, places, places] = 1.001 * ridged[:, places, places] + _RIDGE
    ridged[:, places[first : first + 4], places[first : first + 4]] += 0.05
    gradient, score = np.where(fixed, 0.0, gradient), np.where(fixed, 0.0, at.score)
    if quantity.noise >= 0 and not calibrated:
        unit = np.eye(theta.shape[1])[quantity.noise]
        spread = solved(matrix, np.broadcast_to(unit, theta.shape)[..., None])[:, quantity.noise, 0]
        threshold = boundary_threshold(0.5 / np.sqrt(np.maximum(spread, 1e-12)))
    excess = 2.0 * (at.value - best) + threshold
    toward = solved(ridged, np.stack([score, gradient], axis=-1))
    to_best, along = toward[..., 0], toward[..., 1]
    power = np.sum(gradient * along, axis=1)
    slack = excess + np.sum(score * to_best, axis=1)
    is_open = (power <= 1e-16) & (excess > 0.0)
    if quantity.noise >= 0:
        is_open |= fixed[:, quantity.noise] & (sign < 0) & (excess > 0.0)
    pace = np.sqrt(np.maximum(slack, 0.0) / np.maximum(power, 1e-16))
    move = to_best + np.where(slack > 0.0, pace, 0.0)[:, None] * along
    move = np.clip(move, -1.0, 1.0)
    move = np.clip(theta + move, *boxes) - theta
    size = np.einsum("bi,bij,bj->b", move, ridged, move)
    done = (np.abs(excess) < 5e-3) & (size < 1e-3)
    if late:
        still = np.abs(np.sum(gradient * move, axis=1)) < _STILL * np.sqrt(power)
        done |= (np.abs(excess) < _NEAR) & still
    move[is_open | done] = 0.0
    return move, done, is_open


def _pull(information: Floats, score: Floats, gradient: Floats, excess: Floats) -> Floats:
    """Addition of the wish for a larger quantity to the score [B, p] where no parameter is held."""
    matrix = information + _RIDGE * np.eye(score.shape[1])
    toward = solved(matrix, np.stack([score, gradient], axis=-1))
    power = np.sum(gradient * toward[..., 1], axis=1)
    slack = np.maximum(excess + np.sum(score * toward[..., 0], axis=1), 0.0)
    return np.asarray(np.sqrt(slack / np.maximum(power, 1e-16))[:, None] * gradient)


def value_gradient(value: Function, theta: Floats) -> Floats:
    """Gradient [B, p] of a function at vectors [B, p], by forward differences."""
    count = theta.shape[1]
    moved = theta[:, None] + _DELTA * np.eye(count + 1, count, k=-1)
    values = value(moved.reshape(-1, count)).reshape(len(theta), count + 1)
    return np.asarray((values[:, 1:] - values[:, :1]) / _DELTA)
