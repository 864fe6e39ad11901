"""Estimators that start with the run: what is left of the start and the variance after a number of reads.

An exponential moving average keeps b^K of its start Q_0, b = 1 - eta; bias-corrected it has none (its weights
are divided by 1 - b^K); a boxcar is the mean of the reads so far until there are as many as it is long. P
itself starts at an offset e from w* and approaches it as a^K.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sptrack.errors import ParameterError
from sptrack.theory.budget import transient
from sptrack.theory.chopping import SignSequence
from sptrack.theory.closed_loop import Loop
from sptrack.theory.drive import Array


def corrected_transient(pole: ArrayLike, eta: ArrayLike, steps: ArrayLike) -> Array:
    """Share of P's start offset left in a bias-corrected moving average: (`transient` - b^K)/(1 - b^K)."""
    kept = (1 - np.asarray(eta, np.float64)) ** np.asarray(steps, np.float64)
    return np.asarray((transient(pole, eta, steps) - kept) / (1 - kept))


def boxcar_transient(pole: ArrayLike, length: ArrayLike, steps: ArrayLike) -> Array:
    """Share of P's start offset left in the mean of its last ``length`` values, of all while they are fewer.

    a^(K - n + 1) (1 - a^n)/(n (1 - a)) with n the smaller of length and K.
    """
    a, k = np.asarray(pole, np.float64), np.asarray(steps, np.float64)
    n = np.minimum(np.asarray(length, np.float64), k)
    still = np.isclose(a, 1.0, rtol=0, atol=1e-15)
    gap = np.where(still, 1.0, 1 - a)
    return np.asarray(np.where(still, 1.0, a ** (k - n + 1) * (1 - a**n) / (n * gap)))


def boxcar_fraction(pole: ArrayLike, length: ArrayLike) -> Array:
    """Share of the variance of a signal with autocorrelation a^abs(n) that a mean over ``length`` passes.

    ((1 + a)/(1 - a) - 2 a (1 - a^L)/(L (1 - a)^2))/L, for |a| < 1.
    """
    a, n = np.asarray(pole, np.float64), np.asarray(length, np.float64)
    return np.asarray(((1 + a) / (1 - a) - 2 * a * (1 - a**n) / (n * (1 - a) ** 2)) / n)


def corrected_error(mean: Array, variance: Array, start: ArrayLike, kept: ArrayLike) -> tuple[Array, Array]:
    """Mean and variance of a bias-corrected moving average from those of the plain one (`error_after`).

    The plain one without the share ``kept`` = b^K of its start Q_0 - w* (``start``), over 1 - b^K.
    """
    k = np.asarray(kept, np.float64)
    return (mean - np.asarray(start, np.float64) * k) / (1 - k), variance / (1 - k) ** 2


def boxcar_error_after(
    loop: Loop,
    length: ArrayLike,
    steps: int,
    *,
    start: ArrayLike,
    chopper: SignSequence | None = None,
    read_noise: float = 0.0,
) -> tuple[Array, Array]:
    """Mean and variance of Q - w* for a boxcar over whole periods of the chopper, which cancel in it.

    Parameters
    ----------
    loop : Loop
        Linearised loop.
    length : array_like
        Values that the mean is taken over; broadcast with the shape of the cells.
    steps : int
        K, at least the length. The variance is the settled one.
    start, chopper, read_noise
        As in `error_after`; the chopper counts for the bias alone.

    Raises
    ------
    ParameterError
        A length outside 1 .. steps.
    """
    n = np.asarray(length, np.float64)
    if n.size and not ((n >= 1) & (n <= steps)).all():
        raise ParameterError(f"length must lie in 1 .. {steps}, got {n.min():g} .. {n.max():g}")
    bias = loop.predict(1.0, chopper).bias
    mean = bias + (np.asarray(start, np.float64) - bias) * boxcar_transient(loop.pole, n, steps)
    stable = np.abs(loop.pole) < 1
    a = np.where(stable, loop.pole, 0.0)
    variance = loop.white * boxcar_fraction(a, n) / (1 - a**2) + read_noise**2 / n
    return mean, np.where(stable, variance, np.inf)
