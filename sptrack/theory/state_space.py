"""Rational filters as state space: a cascade of one-pole stages, which stays accurate at the lowest cut-offs.

Each stage (1 - q/z)/(1 - p/z) keeps one number, and is scaled by 1 - p so that it neither grows nor shrinks
a constant: x' = p x + (1 - p) u, y = (1 - p) u + (p - q) x. Poles of a second-order section may be complex;
what comes out of all of them together is real.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_LEFT = 1e-18


class ZeroPoleGain(Protocol):
    """k prod(z - zeros)/prod(z - poles)."""

    @property
    def zeros(self) -> Complex:
        """Zeros [zeros]."""

    @property
    def poles(self) -> Complex:
        """Poles [poles]."""

    @property
    def gain(self) -> float:
        """Factor k."""


class StateSpace(NamedTuple):
    """x' = A x + B u, y = C x + D u; A is lower triangular.

    Attributes
    ----------
    a : ndarray of complex128, shape [order, order]
    b, c : ndarray of complex128, shape [order]
    d : complex
    variance : float
        Variance R(0) of the output for white noise of variance 1.
    ahead : ndarray of complex128, shape [order]
        Covariance g of that output with the next state: at lag k >= 1, R is C A^(k-1) g.
    """

    a: Complex
    b: Complex
    c: Complex
    d: complex
    variance: float
    ahead: Complex

    @property
    def at_rest(self) -> Complex:
        """State after a constant input of 1, shape [order]."""
        return np.asarray(np.linalg.solve(np.eye(len(self.b)) - self.a, self.b), np.complex128)


def state_space(low_pass: object) -> StateSpace | None:
    """State space of a stable filter with as many zeros as poles; None for any other.

    Its zeros and poles are those that a method ``zpk()`` returns, as the filters of `sptrack.blocks` have it.

    Parameters
    ----------
    low_pass : filter
        Does not change; what was made of it is kept.
    """
    return _made(low_pass)


@lru_cache(maxsize=256)
def _made(low_pass: object) -> StateSpace | None:
    known: ZeroPoleGain | None = low_pass.zpk() if hasattr(low_pass, "zpk") else None
    if known is None or not len(known.poles) or len(known.zeros) != len(known.poles):
        return None
    if np.abs(known.poles).max() >= 1:
        return None
    return _cascade(known)


def _cascade(known: ZeroPoleGain) -> StateSpace:
    n = len(known.poles)
    a, b = np.zeros((n, n), complex), np.zeros(n, complex)
    c, d = np.zeros(n, complex), 1.0 + 0j
    for k, (p, q) in enumerate(zip(known.poles, known.zeros, strict=True)):
        a[k], b[k] = (1 - p) * c, (1 - p) * d
        a[k, k] = p
        c, d = (1 - p) * c, (1 - p) * d
        c[k] = p - q
    scale = known.gain / np.prod(1 - known.poles)
    return StateSpace(a, b, scale * c, complex(scale * d), *_correlation(a, b, scale * c, complex(scale * d)))


def _correlation(a: Complex, b: Complex, c: Complex, d: complex) -> tuple[float, Complex]:
    """Variance of the output, and its covariance with the next state.

    The covariance of the state, P = A P A^H + B B^H, is summed by doubling, which cancels nothing where A and
    B are not negative.
    """
    state, power = np.outer(b, b.conj()), a
    while np.abs(power).max() > _LEFT:
        state = state + power @ state @ power.conj().T
        power = power @ power
    seen = state @ c.conj()
    return float((c @ seen).real + abs(d) ** 2), a @ seen + b * np.conj(d)


def correlated_variance(space: StateSpace, decay: ArrayLike) -> Array:
    """Variance of the output for an input of variance 1 and autocorrelation z^abs(n), of the shape of z.

    R(0) + 2 Re sum_(k >= 1) R(k) z^k = R(0) + 2 Re z C (1 - z A)^-1 g.

    Parameters
    ----------
    space : StateSpace
        Filter.
    decay : array_like
        z, of magnitude at most 1.
    """
    z = np.asarray(decay, np.float64)
    solved: list[Complex] = []
    total = np.zeros(z.shape, complex)
    for k, row in enumerate(space.a):
        known = np.zeros(z.shape, complex)
        for factor, value in zip(row, solved, strict=False):
            known = known + factor * value
        solved.append((space.ahead[k] + z * known) / (1 - z * row[k]))
        total = total + space.c[k] * solved[-1]
    return np.asarray(space.variance + 2 * (z * total).real)
