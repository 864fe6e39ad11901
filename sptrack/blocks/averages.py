"""Averages of one pole and their cascades, and the last sample; all start at rest (zeros)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sptrack.blocks.block import Array, Block, LinearBlock, Response, ZeroPoleGain, delay
from sptrack.kernels.filters import corrected_ema_tile, ema_tile, last_tile
from sptrack.kernels.stages import Stage
from sptrack.values import check_number, check_whole


def ema_response(eta: float, omega: ArrayLike) -> Response:
    """Eta / (1 - (1 - eta) exp(-j omega)): lemma 3.10 of Xiao et al. 2026 (arXiv 2602.21321)."""
    return np.asarray(eta / (1 - (1 - eta) * delay(omega)))


def averaging(eta: float, order: int = 1) -> ZeroPoleGain:
    """Zeros, poles and gain of a cascade of exponential moving averages."""
    return ZeroPoleGain(np.zeros(order, complex), np.full(order, 1 - eta, complex), eta**order)


@dataclass(frozen=True, slots=True, kw_only=True)
class EMA(LinearBlock):
    """Exponential moving average q <- (1 - eta) q + eta x, ``order`` of them in a row.

    Source: eq. (12), Xiao et al. 2026 (arXiv 2602.21321).

    Parameters
    ----------
    eta : float
        Weight of the new sample, 0 < eta <= 1; one pole at z = 1 - eta.
    order : int
        Number of equal stages, at least 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    eta: float
    order: int = 1

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_number("eta", self.eta, above=0, most=1)
        check_whole("order", self.order, 1)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(ema_tile, self.order, (self.eta,), repeats=self.order, one_pole=self.order == 1),)

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell."""
        return 2 * self.order

    @property
    def output_row(self) -> int:
        """Row of the memory that holds the output: that of the last stage."""
        return self.order - 1

    def initial_memory(self, initial: Array) -> Array:
        """Every stage at the output so far."""
        return np.stack([initial] * self.order)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain (eta / (1 - (1 - eta) exp(-j omega)))**order, of the shape of ``omega``."""
        return np.asarray(ema_response(self.eta, omega) ** self.order)

    def zpk(self) -> ZeroPoleGain:
        """All poles at 1 - eta, all zeros at 0."""
        return averaging(self.eta, self.order)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedEMA(Block):
    """Bias-corrected exponential moving average: the EMA started at zero over 1 - (1 - eta)**n at sample n.

    The weighted mean of all samples so far, so it has no transient from its start; with time it becomes
    `EMA`, whose frequency response is that of `settled`. An initial output counts until the first sample.

    Parameters
    ----------
    eta : float
        Weight of the new sample in the long run, 0 < eta <= 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    operations: ClassVar[int] = 5
    output_row: ClassVar[int] = 0

    eta: float

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_number("eta", self.eta, above=0, most=1)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(corrected_ema_tile, 2, (1 - self.eta,)),)

    @property
    def settled(self) -> EMA:
        """The moving average that it becomes."""
        return EMA(eta=self.eta, clock=self.clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSample(LinearBlock):
    """The last sample: no filter. Unbiased only where neither a chopped signal nor noise is on the reads."""

    operations: ClassVar[int] = 0
    output_row: ClassVar[int] = 0

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(last_tile, 1),)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain 1, of the shape of ``omega``."""
        return np.ones(np.shape(omega), np.complex128)


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

    operations: ClassVar[int] = 2
    output_row: ClassVar[int] = 0

    drift_std: float
    read_std: float

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_number("drift_std", self.drift_std, above=0)
        check_number("read_std", self.read_std, least=0)

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

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(ema_tile, 1, (self.gain,), repeats=1, one_pole=True),)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain of the equal EMA."""
        return ema_response(self.gain, omega)

    def zpk(self) -> ZeroPoleGain:
        """Those of the equal EMA."""
        return averaging(self.gain)
