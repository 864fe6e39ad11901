"""Linear filters: exponential averages, second-order sections, finite impulse responses, moving averages.

All start at rest (zeros), as `scipy.signal.lfilter` and `scipy.signal.sosfilt` do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import ArrayLike, NDArray

from sptrack.blocks.block import Array, Block, Laws, LinearBlock, frozen, whole, within
from sptrack.errors import ParameterError
from sptrack.kernels.filters import BoxcarLaw, CorrectedEmaLaw, EmaLaw, FirLaw, SosLaw

if TYPE_CHECKING:
    from sptrack.blocks.choppers import PatternChopper

Response = NDArray[np.complex128]


def delay(omega: ArrayLike) -> Response:
    """exp(-j omega), the response of a delay by one sample, of the shape of ``omega``."""
    return np.asarray(np.exp(-1j * np.asarray(omega, np.float64)))


def ema_response(eta: float, omega: ArrayLike) -> Response:
    """Eta / (1 - (1 - eta) exp(-j omega)): lemma 3.10 of Xiao et al. 2026 (arXiv 2602.21321)."""
    return np.asarray(eta / (1 - (1 - eta) * delay(omega)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EMA(LinearBlock):
    """Exponential moving average q <- (1 - eta) q + eta x, ``stages`` of them in a row.

    Source: eq. (12), Xiao et al. 2026 (arXiv 2602.21321).

    Parameters
    ----------
    eta : float
        Weight of the new sample, 0 < eta <= 1; one pole at z = 1 - eta.
    stages : int
        Number of equal stages, at least 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    eta: float
    stages: int = 1

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        within("eta", self.eta, 0 < self.eta <= 1, "a number above 0 and at most 1")
        whole("stages", self.stages, 1)

    def laws(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Laws:
        """Law of the compiled loop."""
        return (EmaLaw(self.stages, self.stages, dtype.type(self.eta)),)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain (eta / (1 - (1 - eta) exp(-j omega)))**stages, of the shape of ``omega``."""
        return np.asarray(ema_response(self.eta, omega) ** self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedEMA(Block):
    """Bias-corrected exponential moving average: the EMA started at zero over 1 - (1 - eta)**n at sample n.

    The weighted mean of all samples so far, so it has no transient from its start; with time it becomes
    `EMA`. Not time-invariant, hence without a frequency response.

    Parameters
    ----------
    eta : float
        Weight of the new sample in the long run, 0 < eta <= 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    eta: float

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        within("eta", self.eta, 0 < self.eta <= 1, "a number above 0 and at most 1")

    def laws(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Laws:
        """Law of the compiled loop."""
        return (CorrectedEmaLaw(2, dtype.type(1 - self.eta)),)


def _coefficients(name: str, values: ArrayLike, dimensions: int) -> Array:
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError):
        raise ParameterError(f"{name}: an array of real numbers wanted") from None
    if array.ndim != dimensions or array.size == 0 or not np.isfinite(array).all():
        raise ParameterError(
            f"{name} of shape {list(array.shape)}: {dimensions} axes of finite numbers, not empty, wanted"
        )
    return frozen(array)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SOS(LinearBlock):
    """Second-order sections in a row, transposed direct form II: any recursive design of `scipy.signal`.

    Parameters
    ----------
    sos : array_like, shape [sections, 6]
        As given by ``scipy.signal.butter(4, 0.1, output="sos")`` and its like: b0, b1, b2, 1, a1, a2 in each
        row. Copied and kept read-only.

    Raises
    ------
    ParameterError
        Another shape, a0 other than 1, NaN or infinity.
    """

    sos: Array

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        sos = _coefficients("sos", self.sos, 2)
        if sos.shape[1] != 6:
            raise ParameterError(f"sos of shape {list(sos.shape)}: 6 numbers a section wanted")
        if np.any(sos[:, 3] != 1):
            raise ParameterError(
                f"sos has a0 = {sos[sos[:, 3] != 1, 3][0]}: sections normalised to a0 = 1 wanted"
            )
        object.__setattr__(self, "sos", sos)

    def laws(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Laws:
        """Law of the compiled loop."""
        return (SosLaw(2 * len(self.sos), np.delete(self.sos, 3, axis=1).astype(dtype)),)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain, the product over sections of B(z) / A(z) at z = exp(j omega)."""
        z = delay(omega)
        gain = np.ones_like(z)
        for section in self.sos:
            gain = gain * polyval(z, section[:3]) / polyval(z, section[3:])
        return gain

    def label(self) -> str:
        """Name and order."""
        return f"SOS(sections={len(self.sos)})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FIR(LinearBlock):
    """Finite impulse response: any design of `scipy.signal` that gives taps.

    Parameters
    ----------
    taps : array_like, shape [taps]
        Impulse response, as given by ``scipy.signal.firwin`` and its like. Copied and kept read-only.

    Raises
    ------
    ParameterError
        Another number of axes, no taps, NaN or infinity.
    """

    taps: Array

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        object.__setattr__(self, "taps", _coefficients("taps", self.taps, 1))

    def laws(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Laws:
        """Law of the compiled loop, which wants two taps at least."""
        taps = np.append(self.taps, np.zeros(max(0, 2 - self.taps.size))).astype(dtype)
        return (FirLaw(taps.size, taps),)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain, the sum of taps[n] exp(-j omega n)."""
        return np.asarray(polyval(delay(omega), self.taps))

    def label(self) -> str:
        """Name and number of taps."""
        return f"FIR(taps={self.taps.size})"


def boxcar_response(length: int, stages: int, omega: ArrayLike) -> Response:
    """(1/M sum over n < M of exp(-j omega n))**stages with M = ``length``, of the shape of ``omega``.

    The sum is the Dirichlet kernel sin(M w/2) / (M sin(w/2)) exp(-j w (M - 1)/2), and 1 where w = 0.
    """
    half = np.asarray(omega, np.float64) / 2
    sine = np.sin(half)
    pole = np.abs(sine) < 1e-12
    safe = np.where(pole, 1.0, sine)
    kernel = np.where(pole, np.cos(length * half) / np.cos(half), np.sin(length * half) / (length * safe))
    return np.asarray((kernel * np.exp(-1j * half * (length - 1))) ** stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxcar(LinearBlock):
    """Mean of the last ``length`` samples (zeros before the first): nulls at all multiples of 2 pi / length.

    Over a whole number of chopper periods the lines of the chopper fall on its nulls (`Boxcar.over`).

    Parameters
    ----------
    length : int
        Samples, at least 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    length: int

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        whole("length", self.length, 1)

    @classmethod
    def over(cls, chopper: PatternChopper, periods: int = 1) -> Boxcar:
        """Moving average over ``periods`` whole periods of ``chopper``, on its clock."""
        whole("periods", periods, 1)
        return cls(length=periods * chopper.period, clock=chopper.clock)

    def laws(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Laws:
        """Law of the compiled loop."""
        return (BoxcarLaw(self.length + 1, 1, self.length, dtype.type(1 / self.length)),)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain sin(M omega/2) / (M sin(omega/2)) exp(-j omega (M - 1)/2), M being the length."""
        return boxcar_response(self.length, 1, omega)


@dataclass(frozen=True, slots=True, kw_only=True)
class CIC(LinearBlock):
    """Cascaded integrator-comb filter of unit gain at the input rate: ``order`` moving averages in a row.

    The response is that of the decimating filter before its decimation (Hogenauer, IEEE Trans. ASSP 29, 155,
    1981); take every ``length``-th output to decimate. No integrator runs free, so floats do not overflow.

    Parameters
    ----------
    length : int
        Samples per stage (rate change times differential delay), at least 1.
    order : int
        Number of stages, at least 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    length: int
    order: int = 2

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        whole("length", self.length, 1)
        whole("order", self.order, 1)

    def laws(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Laws:
        """Law of the compiled loop."""
        slots = self.order * (self.length + 1)
        return (BoxcarLaw(slots, self.order, self.length, dtype.type(1 / self.length)),)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain (sin(R omega/2) / (R sin(omega/2)))**order times its delay, R being the length."""
        return boxcar_response(self.length, self.order, omega)


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyKalman(LinearBlock):
    """Kalman filter of a random walk in its steady state, an `EMA` of the best weight for drift and noise.

    Model: s_(k+1) = s_k + drift_std v_k, x_k = s_k + read_std e_k, all v and e independent standard normals.
    The predicted variance P solves the Riccati equation P**2 = d (P + n) with d = drift_std**2 and
    n = read_std**2 (the update leaves P n / (P + n), the next step adds d), so P is
    (d + sqrt(d**2 + 4 d n)) / 2; the gain is P / (P + n).

    Parameters
    ----------
    drift_std : float
        Std of the drift of the quantity per sample, weight units, above 0.
    read_std : float
        Std of the noise of one sample, weight units, at least 0.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    drift_std: float
    read_std: float

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        within("drift_std", self.drift_std, self.drift_std > 0, "a number above 0")
        within("read_std", self.read_std, self.read_std >= 0, "a number >= 0")

    @property
    def predicted_variance(self) -> float:
        """Variance of the error before each sample, weight units squared."""
        drift, noise = self.drift_std**2, self.read_std**2
        return (drift + math.sqrt(drift**2 + 4 * drift * noise)) / 2

    @property
    def gain(self) -> float:
        """Weight of the new sample, the eta of the equal EMA."""
        return self.predicted_variance / (self.predicted_variance + self.read_std**2)

    @property
    def error_variance(self) -> float:
        """Variance of the output's error, weight units squared."""
        return self.gain * self.read_std**2

    def laws(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Laws:
        """Law of the compiled loop."""
        return (EmaLaw(1, 1, dtype.type(self.gain)),)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain of the equal EMA."""
        return ema_response(self.gain, omega)
