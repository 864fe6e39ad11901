"""How fast errors fall and costs grow: crossings of a target and exponents of power laws, with intervals."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, t

from sptrack.errors import ParameterError

LEVEL = 0.95
"""Probability of every interval in this module."""


class PowerLaw(NamedTuple):
    """A fitted law y = factor * x**exponent.

    Attributes
    ----------
    exponent, low, high : float
        Least squares on logarithms, and its 95 % interval.
    factor : float
        y at x = 1, in the units of y.
    """

    exponent: float
    low: float
    high: float
    factor: float


class Crossing(NamedTuple):
    """Where a falling error first meets a target, with a 95 % interval; NaN beyond the samples."""

    at: float
    low: float
    high: float


def power_law(x: ArrayLike, y: ArrayLike) -> PowerLaw:
    """Fit a power law to points, each with the same relative weight.

    Parameters
    ----------
    x, y : array_like [n]
        Positive numbers, n >= 3, not all x equal.

    Returns
    -------
    PowerLaw
        The interval is Student's, with n - 2 degrees of freedom; curvature widens it as scatter does.

    Raises
    ------
    ParameterError
        Fewer than three points, unequal lengths, or a number that is not finite and above 0.
    """
    points = np.array([x, y], np.float64) if np.shape(x) == np.shape(y) else np.empty((2, 0))
    if points.ndim != 2 or points.shape[1] < 3 or not (np.isfinite(points) & (points > 0)).all():
        raise ParameterError(
            f"x {np.shape(x)} and y {np.shape(y)}: 3 or more pairs of finite numbers above 0 wanted"
        )
    log_x, log_y = np.log(points)
    centred = log_x - log_x.mean()
    spread = float(centred @ centred)
    if spread == 0:
        raise ParameterError(f"x = {points[0, 0]:g} in every pair: at least 2 different values wanted")
    exponent = float(centred @ log_y) / spread
    residual = log_y - log_y.mean() - exponent * centred
    free = len(log_x) - 2
    half = float(t.ppf(0.5 + LEVEL / 2, free)) * float(np.sqrt(residual @ residual / free / spread))
    factor = float(np.exp(log_y.mean() - exponent * log_x.mean()))
    return PowerLaw(exponent, exponent - half, exponent + half, factor)


def crossing(x: ArrayLike, errors: ArrayLike, target: float, standard_errors: ArrayLike = 0.0) -> Crossing:
    """First x at which |error| is at most a target: logarithm of the error interpolated between the samples.

    Parameters
    ----------
    x : array_like [n]
        Rising sample positions, for instance pulse counts.
    errors : array_like [n]
        Error at each; only its size counts.
    target : float
        Largest allowed |error|, in the units of the errors, above 0.
    standard_errors : array_like, broadcastable to [n]
        Sampling error (one sigma) of each: the interval ends where |error| -+ 1.96 sigma crosses.

    Returns
    -------
    Crossing
        NaN where no two neighbouring samples bracket the target.

    Raises
    ------
    ParameterError
        A target that is not above 0, fewer than two samples, or unequal lengths.
    """
    places, sizes = np.asarray(x, np.float64), np.abs(np.asarray(errors, np.float64))
    if not target > 0:
        raise ParameterError(f"target {target}: a number above 0 wanted")
    if places.ndim != 1 or places.shape != sizes.shape or len(places) < 2:
        raise ParameterError(
            f"x {places.shape} and errors {sizes.shape}: two equal lengths of at least 2 wanted"
        )
    margin = float(norm.ppf(0.5 + LEVEL / 2)) * np.asarray(standard_errors, np.float64)
    return Crossing(*(_first_below(places, sizes + sign * margin, target) for sign in (0, -1, 1)))


def _first_below(places: np.ndarray, sizes: np.ndarray, target: float) -> float:
    below = np.flatnonzero(sizes <= target)
    if not below.size or below[0] == 0:
        return float("nan")
    k = below[0]
    before, after = np.log(np.maximum(sizes[k - 1 : k + 1], np.finfo(np.float64).tiny))
    share = (before - np.log(target)) / (before - after)
    return float(places[k - 1] + share * (places[k] - places[k - 1]))
