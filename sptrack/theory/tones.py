"""Response of the loop to a tone in the gradient: linear model around the optimum, mean over the chopper.

With u_k added to the gradient of step k, x = P - w*, v = W - W*, curvature h of the loss, q0 the response of
P, a the pole of P, b_w and a_w gain and pole of W under its pulses (`pulsed_balance`):

chopped by a telegraph with correlation r, reference copy held (E-RIDER; eqs. (18) of Xiao et al. 2026, arXiv
2602.21321), for the demodulated y_k = c_k (P_(k+1) - Q~), exact in the mean (flips forget the past):

    y_k = r a y_(k-1) - alpha q0 g_k,    g_k = h (v_k + gamma r y_(k-1)) + u_k,    v_(k+1) = a_w v_k + b_w y_k

and Q shows no tone, in the mean: its share of u is spread over the chopper's spectrum;

without chopper, reference renewed at every step (RIDER; eqs. (11), (12)), q = Q - w*:

    x_(k+1) = a x_k - alpha q0 g_k,    g_k = h (v_k + gamma (x_k - q_k)) + u_k,
    q_(k+1) = (1 - eta) q_k + eta x_(k+1),    v_(k+1) = a_w v_k + b_w (x_(k+1) - q_k)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from sptrack.errors import ParameterError
from sptrack.theory.drive import mean_size

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_STEEPEST, _HALVINGS = 1e3, 60


class ToneGains(NamedTuple):
    """Complex gains from the tone to P (demodulated, P - Q~ with a chopper), Q and W, [*cells, omega].

    Weight units per unit of gradient; the outputs after step k against the tone in step k.
    """

    p: Complex
    q: Complex
    w: Complex


class Balance(NamedTuple):
    """Where W rests under noisy transfers d of mean m, and how it answers there.

    Attributes
    ----------
    mean, size : ndarray
        m and E|d|, in the unit of d.
    gain : ndarray
        d/dm of m F - E|d| G: F - erf(m/(s sqrt 2)) G, dimensionless.
    """

    mean: Array
    size: Array
    gain: Array


def pulsed_balance(symmetric: ArrayLike, asymmetric: ArrayLike, spread: ArrayLike) -> Balance:
    """Mean of a normal d with std ``spread`` that neither raises nor lowers a cell: m F = E|d| G (eq. (2)).

    Parameters
    ----------
    symmetric, asymmetric : array_like
        F and G at the weight, |G| < F; broadcast together.
    spread : array_like
        Std s of d, at least 0.
    """
    f, g, s = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (symmetric, asymmetric, spread)))
    low, high = np.full(f.shape, -_STEEPEST), np.full(f.shape, _STEEPEST)
    for _ in range(_HALVINGS):
        x = (low + high) / 2
        above = x * f > mean_size(x, 1.0) * g
        low, high = np.where(above, low, x), np.where(above, x, high)
    x = (low + high) / 2
    return Balance(s * x, s * mean_size(x, 1.0), f - erf(x / np.sqrt(2)) * g)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToneLoop:
    """The loop around its optimum; arrays broadcast over cells.

    Parameters
    ----------
    step : array_like
        alpha q0, weight units per unit of gradient.
    pole : array_like
        a, of P.
    transfer : array_like
        b_w, dimensionless.
    drag : array_like
        a_w, of W.
    curvature : array_like
        h, per weight unit.
    gamma : float
        Residual weight.
    eta : float
        Rate of the reference filter.
    correlation : float or None
        r = 1 - 2 p of a telegraph; None for RIDER, which has no chopper.
    """

    step: ArrayLike
    pole: ArrayLike
    transfer: ArrayLike
    drag: ArrayLike
    curvature: ArrayLike
    gamma: float
    eta: float
    correlation: float | None

    def recursion(self) -> tuple[Array, Array]:
        """M [*cells, 3, 3] and B [*cells, 3] of X_k = M X_(k-1) + B u_k with X = (P, Q, W)."""
        step, pole, transfer, drag, h = np.broadcast_arrays(
            *(
                np.asarray(x, np.float64)
                for x in (self.step, self.pole, self.transfer, self.drag, self.curvature)
            )
        )
        m, b = np.zeros((*step.shape, 3, 3)), np.zeros((*step.shape, 3))
        r = 1.0 if self.correlation is None else self.correlation
        m[..., 0, 0] = r * (pole - step * h * self.gamma)
        m[..., 0, 2] = -step * h
        b[..., 0] = -step
        if self.correlation is None:
            m[..., 0, 1] = step * h * self.gamma
            m[..., 1, :] = self.eta * m[..., 0, :]
            m[..., 1, 1] += 1 - self.eta
            b[..., 1] = self.eta * b[..., 0]
        m[..., 2, :] = transfer[..., None] * m[..., 0, :]
        m[..., 2, 2] += drag
        if self.correlation is None:
            m[..., 2, 1] -= transfer
        b[..., 2] = transfer * b[..., 0]
        return m, b

    def gains(self, omega: ArrayLike) -> ToneGains:
        """Gains (I - M exp(-j omega))^-1 B at ``omega`` [omega], rad per step.

        Raises
        ------
        ParameterError
            An unstable loop.
        """
        m, b = self.recursion()
        largest = float(np.abs(np.linalg.eigvals(m)).max())
        if not largest <= 1 + 1e-9:
            raise ParameterError(f"unstable loop: its largest eigenvalue must be <= 1, got {largest:.4g}")
        z = np.exp(-1j * np.atleast_1d(np.asarray(omega, np.float64)))[:, None, None]
        system = np.eye(3) - m[..., None, :, :] * z
        solved = np.linalg.solve(system, np.broadcast_to(b[..., None, :, None], (*system.shape[:-1], 1)))[
            ..., 0
        ]
        return ToneGains(*(solved[..., k] for k in range(3)))
