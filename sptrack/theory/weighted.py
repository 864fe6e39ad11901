"""The error of a weighted mean of the values that P has had since a start away from its symmetric point.

Whatever a linear filter has put out after K steps is Q_K = sum over n < K of h_n P_(K-n), and what is left of
its start. So is a filter that changes with time, with weights of its own for each K.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sptrack.errors import ParameterError
from sptrack.theory.chopping import SignSequence
from sptrack.theory.closed_loop import Loop
from sptrack.theory.drive import Array


def error_of_weights(
    loop: Loop,
    weights: ArrayLike,
    *,
    start: ArrayLike,
    chopper: SignSequence | None = None,
    read_noise: float = 0.0,
) -> tuple[Array, Array]:
    """Mean and variance of Q_K - w* with Q_K the weighted mean of P_1 .. P_K and of Q_0 = P_0.

    With x' = a x + e, x_(K-n) = a^(K-n) x_0 + sum of a^j e: the steps' noise reaches Q_K by g = h * a^n, the
    convolution up to K. Variance: v sum of g_i^2 + (alpha q0 m)^2 sum of g_i g_j E[c_i c_j].

    Parameters
    ----------
    loop : Loop
        Linearised loop.
    weights : array_like, shape [steps]
        h_n, the weight of P_(K-n); what they lack to 1 is the weight of Q_0.
    start : array_like
        Offset of P_0 = Q_0 from w*, weight units, known exactly; broadcast with the shape of the cells.
    chopper, read_noise
        As in `Loop.predict`. The chopper starts at a random place.

    Returns
    -------
    (ndarray, ndarray)
        Weight units and their square, of the shape of the cells. NaN where the pole is unstable.

    Raises
    ------
    ParameterError
        No weights, or weights that are not finite.
    """
    h = np.asarray(weights, np.float64)
    if h.ndim != 1 or h.size == 0 or not np.isfinite(h).all():
        raise ParameterError(f"weights must be finite numbers [steps], got shape {list(h.shape)}")
    bias = loop.predict(1.0, chopper).bias
    offset = np.broadcast_to(np.asarray(start, np.float64), loop.pole.shape)
    correlation = np.ones(h.size)
    if chopper is not None:
        correlation = np.asarray(chopper.autocorrelation(np.arange(h.size)), np.float64)
    mean, variance = np.full(loop.pole.shape, np.nan), np.full(loop.pole.shape, np.nan)
    moving = 0.0 if chopper is None else 1.0
    known: dict[float, tuple[float, float, float]] = {}
    for place, pole in np.ndenumerate(loop.pole):
        if not abs(pole) < 1:
            continue
        if pole not in known:
            known[pole] = _sums(float(pole), h, correlation)
        white, chopped, left = known[pole]
        mean[place] = bias[place] * (h.sum() - left) + offset[place] * (left + 1 - h.sum())
        variance[place] = (
            loop.white[place] * white
            + moving * loop.chopped[place] ** 2 * chopped
            + read_noise**2 * float(h @ h)
        )
    return mean, variance


def _sums(pole: float, h: Array, correlation: Array) -> tuple[float, float, float]:
    """Sum of g_i^2, of g_i g_j E[c_i c_j], and the share of the start of P that is left in the mean."""
    from scipy.signal import lfilter

    g = lfilter([1.0], [1.0, -pole], h)
    size = 2 * h.size
    own = np.fft.irfft(np.abs(np.fft.rfft(g, size)) ** 2, size)[: h.size]
    chopped = own[0] * correlation[0] + 2 * float(own[1:] @ correlation[1:])
    left = float(h @ pole ** np.arange(h.size, 0, -1))
    return float(own[0]), chopped, left
