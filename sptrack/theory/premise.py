"""When the premise of the convergence theorem of RIDER can hold, and what it costs.

T3.7 of Xiao et al. 2026 (arXiv 2602.21321) asks that every element of the gradient g at the mixed weight
keeps E|g_d| >= C* at every step. Symbols: s the std of the noise on an element of g, m its mean, k =
q_max/q_min of the responses of P, [mu, L] the curvatures of the loss, phi the potential of G (phi' = G),
gamma the residual weight.

Derivation, one element, per alpha, to first order (Euler step of eq. (11a))
----------------------------------------------------------------------------
Write E|g| = |m| + r. Jensen and E|g| <= sqrt(m^2 + s^2) give 0 <= r <= s. Then

    d f     = -gamma m (m F + E|g| G) = -gamma (m^2 F + |m| m G) - gamma r m G
            <= -gamma q_min m^2 + gamma s |m| |G|          (F +- G are the responses, at least q_min)
    d phi   = -G (m F + E|g| G) <= -C* G^2 + q_max |m| |G|

1. With gamma = 1 and C2 the weight of phi, Young's inequality with half of q_min m^2 and of C2 C* G^2 leaves
   d f + C2 d phi < 0 if s^2/(q_min C*) < C2 < q_min C*/q_max^2. The proof in print has the same lower and
   a lower upper end, q_min^2 C*/(4 q_max^3), `multiplier_interval`: not empty just if C* > 2 s k^(3/2),
   `DrivePremise.existence` (multiply out).
2. With the larger upper end C* > s k is enough, `DrivePremise.descent`; no C2 does better: the form in (|m|,
   |G|) is negative definite just if (gamma s + C2 q_max)^2 < 4 gamma q_min C2 C*, and C2 = gamma s/q_max
   asks least of C*.
3. What the premise keeps out: where RIDER rests, P = Q and m F + E|g| G = 0. With E|g|^2 <= m^2 + s^2 this is
   m^2 (F^2 - G^2) <= s^2 G^2, so E|g| = |m| F/|G| <= s F/sqrt(q_plus q_minus): the arithmetic over the
   geometric mean of the responses, at most (sqrt(k) + 1/sqrt(k))/2, `DrivePremise.rest`. With a larger E|g|
   RIDER rests nowhere but at w*.
4. The printed level 4 sqrt(2) s k^(3/2)/mu implies 2 s k^(3/2) only if mu <= 2 sqrt(2): it has the unit of a
   weight, so it changes with the unit of the loss, and 2 s k^(3/2) does not. `DrivePremise.level` is the
   larger of both.
5. At the optimum m = 0 and E|g| <= s, while none of these levels is below s: with noise the premise fails
   there. Without noise E|g| = 0, below any C* > 0.
6. From E g_d^2 >= C*^2 in all D elements, L^2 |mix - W*|^2 >= D (C*^2 - s^2), and |mix - W*|^2 <= (1 +
   gamma^2)(|W - W*|^2 + |P - Q|^2): while the premise holds, what the theorem bounds is at least
   D (C*^2 - s^2)/(L^2 (1 + gamma^2)), `DrivePremise.least_error`. It cannot go to Theta(dw).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from sptrack.devices.constants import Constants
from sptrack.errors import ParameterError
from sptrack.theory.drive import mean_size

Array = NDArray[Any]

_NEWTON_STEPS = 60


def mean_for_size(size: ArrayLike, std: float) -> Array:
    """Mean >= 0 at which a normal gradient with ``std`` has E|g| = ``size`` [n]: inverse of `mean_size`.

    0 for sizes that noise alone exceeds; infinite for infinite sizes. Newton's method from above on a convex
    function.
    """
    wanted = np.asarray(size, np.float64)
    finite = np.isfinite(wanted)
    m = np.where(finite, wanted, 1.0)
    if std == 0:
        return np.where(finite, m, np.inf)
    reachable = wanted > std * np.sqrt(2.0 / np.pi)
    for _ in range(_NEWTON_STEPS):
        slope = np.maximum(erf(m / (std * np.sqrt(2.0))), np.finfo(np.float64).tiny)
        m = np.where(finite & reachable, m - (mean_size(m, std) - wanted) / slope, m)
    return np.where(reachable, np.where(finite, m, np.inf), 0.0)


def multiplier_interval(constants: Constants, noise: float, size: float) -> tuple[Array, Array]:
    """Ends of the range of the constant C2 in the proof of T3.7, shape [*shape]; empty where low >= high.

    Parameters
    ----------
    constants : Constants
        Of the responses of P over its working interval.
    noise : float
        Std s of the noise on an element of the gradient.
    size : float
        C*, least E|g_d|, above 0.

    Returns
    -------
    (ndarray, ndarray)
        s^2/(q_min C*) and q_min^2 C*/(4 q_max^3).

    Raises
    ------
    ParameterError
        A size that is not above 0.
    """
    if not size > 0:
        raise ParameterError(f"size C* must be a number > 0, got {size}")
    q_min = np.maximum(constants.q_min, 0.0)
    with np.errstate(divide="ignore"):
        return noise**2 / (q_min * size), q_min**2 * size / (4 * constants.q_max**3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrivePremise:
    """Size of E|g_d| that T3.7 requires, and where it can be met.

    Attributes
    ----------
    ratio : ndarray, shape [*shape]
        k = q_max/q_min over the working interval of each cell of P; inf where a response falls to 0.
    noise : float
        Std of the noise on an element of the gradient.
    convexity, smoothness : float
        mu and L, smallest and largest curvature of the loss.
    """

    ratio: Array
    noise: float
    convexity: float
    smoothness: float

    @property
    def rest(self) -> Array:
        """Level s (sqrt(k) + 1/sqrt(k))/2, above which RIDER rests nowhere but at the symmetric point."""
        return _level(self.noise / 2, np.sqrt(self.ratio) + 1 / np.sqrt(self.ratio))

    @property
    def descent(self) -> Array:
        """Level s k: above it some weight of the potential makes the sum of loss and potential fall."""
        return _level(self.noise, self.ratio)

    @property
    def existence(self) -> Array:
        """2 s k^(3/2): above it a constant C2 of the proof exists."""
        return _level(2 * self.noise, self.ratio**1.5)

    @property
    def printed(self) -> Array:
        """4 sqrt(2) s k^(3/2)/mu: what T3.7 prints."""
        return _level(4 * np.sqrt(2.0) * self.noise / self.convexity, self.ratio**1.5)

    @property
    def level(self) -> Array:
        """Least C* that T3.7 and its proof ask for, shape [*shape], in the unit of the gradient."""
        return np.maximum(self.printed, self.existence)

    @property
    def mean_needed(self) -> Array:
        """Mean gradient |m| of an element from which E|g| >= level (normal noise), shape [*shape]."""
        return mean_for_size(self.level, self.noise)

    @property
    def least_distance(self) -> float:
        """Rms distance of the mixed weight from the optimum within which some element misses the level."""
        return float(np.sqrt(np.mean(self.mean_needed**2))) / self.smoothness

    def least_error(self, gamma: float) -> float:
        """Least mean of (W - W*)^2 + (P - Q)^2 per cell while every element meets the level; step 6 above."""
        spare = np.mean(self.level**2) - self.noise**2
        return float(spare / (self.smoothness**2 * (1 + gamma**2))) if self.noise > 0 else 0.0

    def met(self, mean: ArrayLike, level: Array | None = None) -> NDArray[np.bool_]:
        """Whether E|g_d| is above 0 and at least ``level`` (this premise's), for means [..., *shape]."""
        size = mean_size(mean, self.noise)
        return np.asarray((size > 0) & (size >= (self.level if level is None else level)))


def _level(factor: float, power: Array) -> Array:
    """Product; 0 without noise, whatever the ratio."""
    return np.zeros_like(power) if factor == 0 else np.asarray(factor * power)


def drive_premise(constants: Constants, *, noise: float, convexity: float, smoothness: float) -> DrivePremise:
    """Premise of T3.7 for cells, gradient noise and loss.

    Parameters
    ----------
    constants : Constants
        `sptrack.devices.constants.response_constants` of P over its working interval.
    noise : float
        Std of the noise on each element of the gradient. T3.7 bounds the variance of the whole gradient by
        sigma^2; with sigma = noise sqrt(D) instead, all levels are sqrt(D) times higher.
    convexity, smoothness : float
        Smallest and largest curvature of the loss, 0 < convexity <= smoothness.

    Raises
    ------
    ParameterError
        A number out of range.
    """
    if not (np.isfinite(noise) and noise >= 0):
        raise ParameterError(f"gradient noise must be a finite number >= 0, got {noise}")
    if not 0 < convexity <= smoothness < np.inf:
        raise ParameterError(f"curvatures must satisfy 0 < mu <= L, got {convexity} .. {smoothness}")
    positive = constants.q_min > 0
    ratio = np.where(positive, constants.q_max / np.where(positive, constants.q_min, 1.0), np.inf)
    return DrivePremise(ratio=ratio, noise=float(noise), convexity=convexity, smoothness=smoothness)
