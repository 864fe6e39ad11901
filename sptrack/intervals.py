"""Summaries with their 95 % intervals: of the error over cells, of a quantity over repeats."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

Array = NDArray[Any]
Interval = tuple[float, float]

RESAMPLES = 200
NORMAL_ABOVE = 4096
_LEVEL = 0.95


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
    """95 % interval of the mean of repeats by Student's t; None of fewer than two, or of one not finite.

    Of positive values it is taken on the scale of the logarithm, of values that are not negative cut at 0.
    """
    x = np.asarray(values, np.float64)
    if x.size < 2 or not np.isfinite(x).all():
        return None
    mean = float(x.mean())
    half = float(stdtrit(x.size - 1, 0.5 + _LEVEL / 2) * x.std(ddof=1) / math.sqrt(x.size))
    if (x > 0).all():
        return mean * math.exp(-half / mean), mean * math.exp(half / mean)
    return max(mean - half, 0.0) if (x >= 0).all() else mean - half, mean + half


def _statistics(error: Array, estimate: Array, truth: Array) -> dict[str, float]:
    return {
        "rms": float(np.sqrt(np.mean(error**2))),
        "median": float(np.median(np.abs(error))),
        "mean": float(error.mean()),
        "std": float(estimate.std() - truth.std()),
    }


def _normal_interval(name: str, value: float, error: Array, estimate: Array, truth: Array) -> Interval:
    z, n = float(ndtri(0.5 + _LEVEL / 2)), len(error)
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
