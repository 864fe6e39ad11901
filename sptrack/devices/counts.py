"""Variance of the number of pulses of a normal weight change under each count law."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from sptrack.values import check_choice

Array = NDArray[Any]

COUNTS = ("rounded", "binomial", "poisson", "known")
"""Count laws; "known": the pulses sent are reported, their number has no variance."""
_SERIES_ABOVE, _SERIES_TERMS, _REACH = 0.4, 5, 9.0
_CELLS_AT_ONCE = 1 << 16


@lru_cache(maxsize=4096)
def mean_count_variance(size: float, law: str = "rounded", train: int = 31) -> float:
    """Mean variance of the number of pulses for normal increments of mean 0.

    ``size`` pulses are the mean |n| requested. Rounded up or down at random: `rounding_variance`;
    binomial: E|n| - E n^2/train; Poisson: E|n|; 0 where the pulses sent are known.

    Raises
    ------
    ParameterError
        Unknown law.
    """
    check_choice("count law", law, COUNTS)
    std = size * math.sqrt(math.pi / 2)
    if law == "rounded":
        return float(rounding_variance(0.0, std))
    if law == "binomial":
        return max(size - std**2 / train, 0.0)
    return size if law == "poisson" else 0.0


def rounding_variance(mean: ArrayLike, std: ArrayLike) -> Array:
    """E[f (1 - f)] with f the fraction of |y|, y normal: variance of rounding y up or down at random.

    Parameters
    ----------
    mean, std : array_like
        Of y, pulses; broadcast together.

    Returns
    -------
    ndarray
        Pulses squared; between 0 and 1/4, 1/6 for a wide y. f (1 - f) is even and has the period 1: for a
        std above 0.4 its Fourier series 1/6 - sum cos(2 pi n y)/(pi n)^2, whose terms fall as exp(-2 (pi n
        std)^2), below it the integrals of the parabolas over each whole pulse.
    """
    m, s = np.broadcast_arrays(np.asarray(mean, np.float64) % 1.0, np.asarray(std, np.float64))
    flat_mean, flat_std = m.ravel(), s.ravel()
    result = np.empty(flat_mean.shape)
    for first in range(0, result.size, _CELLS_AT_ONCE):
        cut = slice(first, first + _CELLS_AT_ONCE)
        wide = _by_series(flat_mean[cut], flat_std[cut])
        result[cut] = np.where(flat_std[cut] > _SERIES_ABOVE, wide, _by_pieces(flat_mean[cut], flat_std[cut]))
    return np.asarray(result.reshape(m.shape))


def _by_series(mean: Array, std: Array) -> Array:
    n = np.arange(1, _SERIES_TERMS + 1)[:, None]
    terms = np.cos(2 * np.pi * n * mean) * np.exp(-2 * (np.pi * n * std) ** 2) / (np.pi * n) ** 2
    return np.asarray(1 / 6 - terms.sum(axis=0))


def _by_pieces(mean: Array, std: Array) -> Array:
    """Integral of (y - k)(k + 1 - y) over k < y < k + 1 for each whole k within 9 std of the mean."""
    reach = int(np.ceil(_REACH * _SERIES_ABOVE)) + 1
    k = np.arange(-reach, reach + 1)[:, None]
    scale = np.where((std > 0) & (std <= _SERIES_ABOVE), std, 1.0)
    low, high = (k - mean) / scale, (k + 1 - mean) / scale
    fraction = ndtr(high) - ndtr(low)
    density_low, density_high = (np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) for z in (low, high))
    first = scale * (density_low - density_high)
    second = scale**2 * (fraction + low * density_low - high * density_high)
    offset = mean - k
    total = (offset * (1 - offset) * fraction + (1 - 2 * offset) * first - second).sum(axis=0)
    return np.asarray(np.where(std > 0, total, mean * (1 - mean)))
