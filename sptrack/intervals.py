"""95 % intervals: of means, signed or positive, and of summaries of the error over cells."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from sptrack.values import real_array

Array = NDArray[Any]
Interval = tuple[float, float]

RESAMPLES = 200
NORMAL_ABOVE = 4096
_LEVEL = 0.95
NORMAL_QUANTILE = float(ndtri(0.5 + _LEVEL / 2))
"""Half of the 95 % interval of a normal law of variance 1."""
_SMALL, _DECIMALS = -4, 5
"""Exponents of ten from which values, and decimals up to which arms, are written without an exponent."""
_SKEW = 1.25
"""An interval whose longer arm is at most so many times the shorter one is written with +-."""


def half_width(values: ArrayLike, *, axis: int = -1) -> Array:
    """Half of Student's 95 % interval of the mean of normal values over ``axis`` (n - 1 degrees of freedom).

    NaN for a single value.
    """
    x = real_array(values, "values")
    n = x.shape[axis]
    if n < 2:
        return np.full(np.delete(x.shape, axis).tolist(), np.nan)
    return np.asarray(stdtrit(n - 1, 0.5 + _LEVEL / 2) * x.std(axis=axis, ddof=1) / math.sqrt(n))


def student_interval(values: ArrayLike, *, axis: int = -1) -> Array:
    """95 % interval of the mean of normal values of either sign, by Student's t.

    Parameters
    ----------
    values : array_like
        Independent values along ``axis``.
    axis : int
        Axis of the repeats.

    Returns
    -------
    array [..., 2]
        Low and high end, the other axes in front; NaN for a single value.
    """
    x = real_array(values, "values")
    mean, half = x.mean(axis=axis), half_width(x, axis=axis)
    return np.stack([mean - half, mean + half], axis=-1)


def positive_interval(values: ArrayLike, *, expected: ArrayLike = 0.0, axis: int = -1) -> Array:
    """95 % interval of the mean of values that cannot be negative: Student's t on the scale of the logarithm.

    The ends are m exp(-+ t s/(m sqrt(n))) with mean m, standard deviation s and quantile t of n - 1 degrees
    of freedom (delta method): for a small scatter those of `student_interval`, and never below zero.

    Parameters
    ----------
    values : array_like
        Independent values >= 0 along ``axis``: squared errors, counts, ratios.
    expected : array_like
        Known expectation of each value: the scatter is that of values less expectation. 0: one expectation
        for all.
    axis : int
        Axis of the repeats.

    Returns
    -------
    array [..., 2]
        Low and high end, the other axes in front; NaN for a single value, (0, 0) where all values are 0.
    """
    x = real_array(values, "values")
    mean, half = x.mean(axis=axis), half_width(x - np.asarray(expected, np.float64), axis=axis)
    relative = np.divide(half, mean, out=np.where(np.isnan(half), np.nan, 0.0), where=mean > 0)
    return np.stack([mean * np.exp(-relative), mean * np.exp(relative)], axis=-1)


def wilson_interval(fraction: float, count: int) -> Interval:
    """95 % interval of a probability from the fraction of ``count`` independent trials (Wilson's score).

    Parameters
    ----------
    fraction : float
        Fraction of the trials that succeeded, 0 .. 1.
    count : int
        Trials, at least 1.

    Returns
    -------
    (float, float)
        Within 0 .. 1.
    """
    z2 = NORMAL_QUANTILE**2 / count
    middle = (fraction + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (fraction * (1 - fraction) + z2 / 4)) / (1 + z2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def error_arms(values: ArrayLike, errors: ArrayLike, *, repeats: int | None, positive: bool = False) -> Array:
    """Lengths of the 95 % interval below and above means of which only standard errors are kept.

    Parameters
    ----------
    values, errors : array_like
        Means and their standard errors, of one shape.
    repeats : int or None
        Independent values behind each error, at least 2: Student's t with one degree of freedom less. None:
        the errors are known, not estimated, and the quantile is that of the normal law.
    positive : bool
        Whether the mean cannot be negative: ends on the scale of the logarithm, as in `positive_interval`;
        both are 0 for a mean of 0.

    Returns
    -------
    array [2, ...]
        As `matplotlib.axes.Axes.errorbar` takes them, above or equal 0.
    """
    x, error = np.broadcast_arrays(real_array(values, "values"), real_array(errors, "errors"))
    half = error * (NORMAL_QUANTILE if repeats is None else stdtrit(repeats - 1, 0.5 + _LEVEL / 2))
    if not positive:
        return np.stack([half, half])
    relative = np.divide(half, x, out=np.zeros(half.shape), where=x > 0)
    return np.stack([-x * np.expm1(-relative), x * np.expm1(relative)])


def interval_text(value: float, low: float, high: float) -> str:
    """A value in the digits that its interval leaves: "0.2840 ± 0.0008", "(1.02 ± 0.02)e-05".

    "0.284 (0.1 .. 0.8)" where the arms differ much.
    """
    arms = sorted((value - low, high - value))
    if arms[1] == 0 or not math.isfinite(value + arms[1]):
        return f"{value:.3g}" if arms[1] == 0 else f"{value:.3g} ({low:.2g} .. {high:.2g})"
    place = math.floor(math.log10(float(f"{arms[1]:.0e}")))
    size = math.floor(math.log10(abs(value))) if value else place
    if arms[1] > _SKEW * arms[0]:
        if not -_DECIMALS < place < _DECIMALS:
            return f"{value:.3g} ({low:.2g} .. {high:.2g})"
        decimals = max(0, 1 - place)
        return f"{value:,.{decimals}f} ({low:,.{decimals}f} .. {high:,.{decimals}f})"
    if size >= _SMALL or place >= -_DECIMALS:
        decimals = max(0, -place)
        value = round(value, decimals) + 0.0  # no minus before zero
        return f"{value:,.{decimals}f} ± {arms[1]:,.{decimals}f}"
    decimals = max(0, size - place)
    return f"({value / 10.0**size:.{decimals}f} ± {arms[1] / 10.0**size:.{decimals}f})e{size:+03d}"


def summarise(estimate: Array, truth: Array) -> dict[str, tuple[float, Interval]]:
    """RMS and median |error|, mean error, std offset of estimates [n], each with a 95 % interval over cells.

    Up to 4096 cells: percentiles of 200 bootstrap resamples (fixed seed). Above: normal theory, with the
    delta method for the RMS and the stds and order statistics for the median.
    """
    error = estimate - truth
    values = _statistics(error, estimate, truth)
    if len(error) > NORMAL_ABOVE:
        return {
            name: (value, _normal_interval(name, value, error, estimate, truth))
            for name, value in values.items()
        }
    rng = np.random.default_rng(0)
    draws = rng.integers(len(error), size=(RESAMPLES, len(error)))
    samples = [_statistics(error[k], estimate[k], truth[k]) for k in draws]
    ends = (50 * (1 - _LEVEL), 50 * (1 + _LEVEL))
    return {
        name: (value, _pair(np.percentile([sample[name] for sample in samples], ends)))
        for name, value in values.items()
    }


def mean_interval(values: ArrayLike) -> Interval | None:
    """95 % interval of the mean of repeats; None of fewer than two, or of one that is not finite.

    `positive_interval` where no value is negative, else `student_interval`.
    """
    x = np.asarray(values, np.float64)
    if x.size < 2 or not np.isfinite(x).all():
        return None
    return _pair(positive_interval(x) if (x >= 0).all() else student_interval(x))


def _statistics(error: Array, estimate: Array, truth: Array) -> dict[str, float]:
    return {
        "rms": float(np.sqrt(np.mean(error**2))),
        "median": float(np.median(np.abs(error))),
        "mean": float(error.mean()),
        "std": float(estimate.std() - truth.std()),
    }


def _normal_interval(name: str, value: float, error: Array, estimate: Array, truth: Array) -> Interval:
    z, n = NORMAL_QUANTILE, len(error)
    if name == "median":
        ranks = 0.5 * n + z * 0.5 * math.sqrt(n) * np.array([-1.0, 1.0])
        return _pair(np.sort(np.abs(error))[np.clip(ranks.astype(int), 0, n - 1)])
    influence = error
    if name == "rms":
        influence = error**2 / (2.0 * value) if value else np.zeros(n)
    elif name == "std":
        influence = _std_influence(estimate) - _std_influence(truth)
    half = z * float(influence.std()) / math.sqrt(n)
    return value - half, value + half


def _std_influence(values: Array) -> Array:
    std = values.std()
    return (values - values.mean()) ** 2 / (2.0 * std) if std else np.zeros(len(values))


def _pair(values: ArrayLike) -> Interval:
    low, high = np.asarray(values, float)
    return float(low), float(high)
