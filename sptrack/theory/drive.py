"""Pulse counts under a normal gradient: mean, variance and second factorial moment of each count law.

A requested weight change D of a cell with granularity h asks for |D|/h = L pulses on average, in the
direction of D. With D = -alpha c g, g normal with mean m and std s, the moments over g are closed forms:

    E|g| = s sqrt(2/pi) exp(-m^2/2s^2) + |m| erf(|m|/(s sqrt 2))          folded normal
    E Var(N|g) = E[f (1 - f)], f the fraction of L      rounded: floor plus a Bernoulli of the fraction
                 E L - E L^2/BL                         binomial: BL Bernoulli slots
                 E L                                    poisson
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, ndtr

from sptrack.devices.counts import rounding_variance
from sptrack.errors import ParameterError
from sptrack.values import check_choice, check_whole

Array = NDArray[np.float64]
CountLaw = Literal["rounded", "binomial", "poisson"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GradientStatistics:
    """Open-loop gradient g = mean + std xi with independent standard normals xi, one per step and cell.

    Parameters
    ----------
    mean, std : array_like
        Dimensionless (per unit of the loss), broadcastable to the shape of the cells; std at least 0.

    Raises
    ------
    ParameterError
        A value that is not finite, or a negative std.
    """

    mean: ArrayLike = 0.0
    std: ArrayLike = 0.0

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            values = np.asarray(getattr(self, name), np.float64)
            bad = ~np.isfinite(values) | (values < 0 if name == "std" else False)
            if bad.any():
                rule = "a finite number >= 0" if name == "std" else "a finite number"
                raise ParameterError(f"gradient {name} must be {rule}, got {values[bad].flat[0]}")
            object.__setattr__(self, name, values)


class CountMoments(NamedTuple):
    """Moments over the gradient of the number N of pulses of a step, arrays of one shape, pure numbers.

    Attributes
    ----------
    mean : ndarray
        E N.
    variance : ndarray
        E Var(N | g): what the count law adds to the variance of the requested change, in pulses squared.
    factorial : ndarray
        E N (N - 1), twice the number of pairs of pulses.
    overload : ndarray
        Probability that the requested number exceeds the slots of the binomial law; 0 for the others.
    """

    mean: Array
    variance: Array
    factorial: Array
    overload: Array


def mean_size(mean: ArrayLike, std: ArrayLike) -> Array:
    """E|g| of a normal gradient with ``mean`` and ``std``, broadcast together.

    std sqrt(2/pi) exp(-mean^2/(2 std^2)) + mean erf(mean/(std sqrt 2)): the folded normal.
    """
    m, s = np.broadcast_arrays(np.abs(np.asarray(mean, np.float64)), np.asarray(std, np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(s > 0, m / (s * np.sqrt(2.0)), np.inf)
    return np.asarray(s * np.sqrt(2.0 / np.pi) * np.exp(-(z**2)) + m * np.where(s > 0, erf(z), 1.0))


def count_moments(
    mean: ArrayLike, std: ArrayLike, *, law: CountLaw = "rounded", slots: int = 31
) -> CountMoments:
    """Moments of the pulses of a step whose requested signed number is normal.

    Parameters
    ----------
    mean, std : array_like
        Of the requested number, pulses; broadcast together.
    law : {"rounded", "binomial", "poisson"}
        Count law, as in `Crossbar.apply`.
    slots : int
        Slots BL of the binomial law; the limit at BL pulses is left out (see `CountMoments.overload`).

    Raises
    ------
    ParameterError
        Unknown law, or less than one slot.
    """
    check_choice("count law", law, get_args(CountLaw))
    check_whole("slots", slots, 1)
    m, s = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(std, np.float64))
    size, square = mean_size(m, s), m**2 + s**2
    if law == "rounded":
        variance = rounding_variance(m, s)
    else:
        variance = size - square / slots if law == "binomial" else size
    overload = _beyond(m, s, slots) if law == "binomial" else np.zeros(m.shape)
    return CountMoments(size, variance, square - size + variance, overload)


def _beyond(mean: Array, std: Array, limit: float) -> Array:
    """Probability of |y| > limit for normal y."""
    scale = np.where(std > 0, std, 1.0)
    tails = ndtr((mean - limit) / scale) + ndtr((-mean - limit) / scale)
    return np.where(std > 0, tails, np.where(np.abs(mean) > limit, 1.0, 0.0))
