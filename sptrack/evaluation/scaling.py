"""Scaling of errors and costs: crossings of a target and exponents of power laws, with intervals."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, ndtri, stdtrit

from sptrack.errors import ParameterError
from sptrack.intervals import student_interval
from sptrack.values import real_array

LEVEL = 0.95
"""Probability of every interval in this module."""
_FAR = 9.0


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
    """First crossing of a target by a falling error, with a 95 % interval; NaN beyond the samples."""

    at: float
    low: float
    high: float


class Estimate(NamedTuple):
    """A number with its 95 % interval."""

    value: float
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
            f"x and y must be 3 or more pairs of numbers > 0, got shapes {np.shape(x)}, {np.shape(y)}"
        )
    log_x, log_y = np.log(points)
    centred = log_x - log_x.mean()
    spread = float(centred @ centred)
    if spread == 0:
        raise ParameterError(f"x must have at least 2 different values, got {points[0, 0]:g} in every pair")
    exponent = float(centred @ log_y) / spread
    residual = log_y - log_y.mean() - exponent * centred
    free = len(log_x) - 2
    half = float(stdtrit(free, 0.5 + LEVEL / 2)) * float(np.sqrt(residual @ residual / free / spread))
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
    places, sizes = real_array(x, "x"), np.abs(real_array(errors, "errors"))
    if not target > 0:
        raise ParameterError(f"target must be > 0, got {target}")
    if places.ndim != 1 or places.shape != sizes.shape or len(places) < 2:
        raise ParameterError(
            f"x and errors must have one length of at least 2, got {places.shape} and {sizes.shape}"
        )
    margin = float(ndtri(0.5 + LEVEL / 2)) * real_array(standard_errors, "standard_errors")
    return Crossing(*(_first_below(places, sizes + sign * margin, target) for sign in (0, -1, 1)))


def _positive(values: ArrayLike) -> NDArray[Any]:
    """Numbers [n] above 0, or NaN (ParameterError)."""
    x = real_array(values, "values")
    if x.ndim != 1 or not x.size or (x <= 0).any():
        raise ParameterError(f"values must be one or more numbers > 0, got {x}")
    return x


def geometric_mean(values: ArrayLike) -> Estimate:
    """Geometric mean of positive numbers [n] with its 95 % interval (Student's, on logarithms).

    Some NaN among them: NaN, for they stand for something that was not reached.

    Raises
    ------
    ParameterError
        No numbers, or one that is not above 0.
    """
    logarithm = np.log(_positive(values))
    return Estimate(*np.exp([logarithm.mean(), *student_interval(logarithm)]).tolist())


def median_cost(values: ArrayLike) -> Estimate:
    """Median of costs [n] of which some may be infinite (NaN: not reached), and an interval of at least 95 %.

    The interval lies between order statistics, whose coverage is binomial: the narrowest symmetric pair that
    has 95 %, or all values if there are fewer than six. NaN for an infinite median or end.

    Raises
    ------
    ParameterError
        No numbers, or one that is not above 0.
    """
    x = _positive(values)
    found = np.exp(_ranked(np.log(np.where(np.isnan(x), np.inf, x))))
    return Estimate(*np.where(np.isfinite(found), found, np.nan).tolist())


def tie(x: ArrayLike, first: ArrayLike, second: ArrayLike) -> Crossing:
    """Break-even of two costs: the median of their ratio passes 1, interpolated in log-log.

    Parameters
    ----------
    x : array_like [n]
        Rising positive numbers, n >= 2.
    first, second : array_like [n, seeds]
        Positive costs, paired by seed; NaN where a target was not reached: the other one is cheaper then, by
        a factor that counts as e^9.

    Returns
    -------
    Crossing
        The first change of sign of the median logarithm of first/second. Its interval ends where the interval
        of the median (at least 95 %, as in `median_cost`) leaves 0 on either side; NaN for an end beyond the
        samples. All NaN without a change.

    Raises
    ------
    ParameterError
        Lengths that do not fit, or an x that is not above 0.
    """
    places = real_array(x, "x")
    a, b = real_array(first, "first"), real_array(second, "second")
    if places.ndim != 1 or len(places) < 2 or a.ndim != 2 or a.shape != b.shape or len(a) != len(places):
        raise ParameterError(
            f"x and costs must be [n] and [n, seeds], got {places.shape}, {a.shape}, {b.shape}"
        )
    if not ((places > 0).all() and (np.diff(places) > 0).all()):
        raise ParameterError(f"x must be rising numbers > 0, got {places}")
    missed = np.isnan(a).astype(float) - np.isnan(b)
    ratio = np.where(np.isnan(a) | np.isnan(b), _FAR * missed, np.log(a / b))
    known = ~(np.isnan(a) & np.isnan(b)).all(axis=1)
    at = np.log(places[known])
    mean, lower, upper = np.array([_ranked(row) for row in ratio[known]]).reshape(-1, 3).T
    turns = _zeros(at, mean)
    if not turns.size:
        return Crossing(*[float("nan")] * 3)
    ends = np.sort(np.concatenate([_zeros(at, lower), _zeros(at, upper)]))
    below, above = ends[ends <= turns[0]], ends[ends >= turns[0]]
    low = below[-1] if below.size else np.nan
    high = above[0] if above.size else np.nan
    return Crossing(*np.exp([turns[0], low, high]).tolist())


def _ranked(values: np.ndarray) -> tuple[float, float, float]:
    """Median of n values, and the order statistics around it whose interval covers it with 95 % or all."""
    x, n = np.sort(values), len(values)
    skip = int(np.searchsorted(bdtr(np.arange(n + 1), n, 0.5), (1 - LEVEL) / 2))
    first = max(0, skip - 1)
    middle = x[(n - 1) // 2] if x[n // 2] == x[(n - 1) // 2] else (x[n // 2] + x[(n - 1) // 2]) / 2
    return float(middle), float(x[first]), float(x[n - 1 - first])


def _zeros(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Zero crossings of y, linear between its samples."""
    k = np.flatnonzero(np.sign(y[:-1]) * np.sign(y[1:]) < 0)
    inner = x[k] - y[k] * (x[k + 1] - x[k]) / (y[k + 1] - y[k])
    return np.sort(np.concatenate([inner, x[y == 0]]))


def _first_below(places: np.ndarray, sizes: np.ndarray, target: float) -> float:
    below = np.flatnonzero(sizes <= target)
    if not below.size or below[0] == 0:
        return float("nan")
    k = below[0]
    before, after = np.log(np.maximum(sizes[k - 1 : k + 1], np.finfo(np.float64).tiny))
    fraction = (before - np.log(target)) / (before - after)
    return float(places[k - 1] + fraction * (places[k] - places[k - 1]))
