"""How many pulses an increment turns into: variance of the number under each count law."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from sptrack.errors import ParameterError, nearest

Array = NDArray[Any]

COUNTS = ("rounded", "binomial", "poisson", "known")
"""Count laws; "known": the pulses sent are reported, their number has no variance."""
_QUANTILES = 2001


def count_variance(pulses: ArrayLike, law: str = "rounded", train: int = 31) -> Array:
    """Variance of the number of pulses for ``pulses`` wanted, any shape.

    With f the fraction of the number n wanted: f (1 - f) rounded, n (1 - n/train) binomial, n Poisson, 0
    where the pulses sent are known.

    Raises
    ------
    ParameterError
        Unknown law.
    """
    n = np.abs(np.asarray(pulses, np.float64))
    if law not in COUNTS:
        raise ParameterError(f"count law {law!r}: one of {', '.join(COUNTS)} wanted{nearest(law, COUNTS)}")
    if law == "rounded":
        return np.asarray((n % 1.0) * (1 - n % 1.0))
    if law == "binomial":
        return np.asarray(np.maximum(n * (1 - n / train), 0.0))
    return n if law == "poisson" else np.zeros_like(n)


def mean_count_variance(size: float, law: str = "rounded", train: int = 31) -> float:
    """Mean of `count_variance` over normal increments of mean 0, ``size`` pulses being the mean of |n|."""
    if law == "poisson":
        return size
    std = size * np.sqrt(np.pi / 2)
    n = std * np.abs(ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES))
    return float(count_variance(n, law, train).mean())
