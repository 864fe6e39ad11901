"""Linear filters: exponential averages, second-order sections, finite impulse responses, moving averages.

All start at rest (zeros), as `scipy.signal.lfilter` and `scipy.signal.sosfilt` do.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import ArrayLike, NDArray
from scipy.signal import tf2sos

from sptrack.blocks.block import Array, Block, LinearBlock, ZeroPoleGain, frozen
from sptrack.errors import ParameterError
from sptrack.kernels.filters import (
    boxcar_tile,
    corrected_ema_tile,
    ema_tile,
    fir_tile,
    growing_boxcar_tile,
    last_tile,
    sos_tile,
)
from sptrack.kernels.stages import Stage
from sptrack.values import check_number, check_whole, real_array

if TYPE_CHECKING:
    from sptrack.blocks.choppers import PatternChopper

Response = NDArray[np.complex128]


def delay(omega: ArrayLike) -> Response:
    """exp(-j omega), the response of a delay by one sample, of the shape of ``omega``."""
    return np.asarray(np.exp(-1j * real_array(omega, "omega")))


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

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell."""
        return 5

    @property
    def output_row(self) -> int:
        """Row of the memory that holds the output."""
        return 0

    def initial_memory(self, initial: Array) -> Array:
        """The output so far, of no weight."""
        return np.stack([initial, np.zeros_like(initial)])


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSample(LinearBlock):
    """The last sample: no filter. Unbiased only where neither a chopped signal nor noise is on the reads."""

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(last_tile, 1),)

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell."""
        return 0

    @property
    def output_row(self) -> int:
        """Row of the memory that holds the output."""
        return 0

    def initial_memory(self, initial: Array) -> Array:
        """The output so far."""
        return np.array(initial)[None]

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain 1, of the shape of ``omega``."""
        return np.ones(np.shape(omega), np.complex128)


def _checked(name: str, values: ArrayLike, dimensions: int) -> Array:
    array = np.array(real_array(values, name))
    if array.ndim != dimensions or array.size == 0 or not np.isfinite(array).all():
        raise ParameterError(
            f"{name} must be finite numbers on {dimensions} axes, not empty, got shape {list(array.shape)}"
        )
    return frozen(array)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Design(LinearBlock):
    """A block made of coefficients; two of equal coefficients are equal."""

    @property
    @abstractmethod
    def _coefficients(self) -> Array:
        """The coefficients."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self.clock == other.clock and np.array_equal(self._coefficients, other._coefficients)

    def __hash__(self) -> int:
        return hash((type(self), self.clock, tuple(self._coefficients.ravel().tolist())))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SOS(_Design):
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
        sos = _checked("sos", self.sos, 2)
        if sos.shape[1] != 6:
            raise ParameterError(f"sos must have 6 numbers per section, got shape {list(sos.shape)}")
        if np.any(sos[:, 3] != 1):
            raise ParameterError(f"sos must be normalised to a0 = 1, got a0 = {sos[sos[:, 3] != 1, 3][0]}")
        object.__setattr__(self, "sos", sos)

    @property
    def _coefficients(self) -> Array:
        return self.sos

    @classmethod
    def from_ba(cls, b: ArrayLike, a: ArrayLike) -> SOS:
        """Sections of a transfer function B(z)/A(z) as `scipy.signal` designs give it, a[0] not 0.

        Raises
        ------
        ParameterError
            Not two rows of finite numbers, or a[0] = 0.
        """
        above, below = _checked("b", b, 1), _checked("a", a, 1)
        if below[0] == 0:
            raise ParameterError("a[0] must not be 0: it scales the newest output")
        if not np.any(above):
            raise ParameterError("b must hold a coefficient other than 0")
        delays = int(np.flatnonzero(above)[0])
        above = np.trim_zeros(above, "f")
        size = max(above.size, below.size)
        above, below = (np.append(one, np.zeros(size - one.size)) for one in (above, below))
        sections = tf2sos(above, below)
        late = [[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]] * (delays // 2) + [[0.0, 1.0, 0.0, 1.0, 0.0, 0.0]] * (
            delays % 2
        )
        return cls(sos=np.concatenate([sections, np.reshape(late, (-1, 6))]))

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        numbers = tuple(np.delete(self.sos, 3, axis=1).ravel().tolist())
        return (Stage(sos_tile, 2 * len(self.sos), numbers, repeats=len(self.sos)),)

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell: five products and four sums a section."""
        return 9 * len(self.sos)

    def initial_memory(self, initial: Array) -> Array:
        """Sections at rest with that output; with no gain at omega = 0 all zeros."""
        gain, rows = 1.0, []
        for section in self.sos:
            gain_of = section[:3].sum() / section[3:].sum() if section[3:].sum() else 0.0
            first = section[1] + section[2] - (section[4] + section[5]) * gain_of
            rows += [gain * first, gain * (section[2] - section[5] * gain_of)]
            gain *= gain_of
        unit = np.array(rows) / gain if gain else np.zeros(len(rows))
        return np.multiply.outer(unit, initial)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain, the product over sections of B(z) / A(z) at z = exp(j omega)."""
        z = delay(omega)
        gain = np.ones_like(z)
        for section in self.sos:
            gain = gain * polyval(z, section[:3]) / polyval(z, section[3:])
        return gain

    def zpk(self) -> ZeroPoleGain:
        """Zeros, poles and gain of all sections, a delay being a zero less."""
        zeros, poles, gain = [], [], 1.0
        for section in self.sos:
            lead = np.flatnonzero(section[:3])
            zeros.append(np.roots(section[:3]))
            poles.append(np.roots(section[3:]))
            gain *= section[lead[0]] if lead.size else 0.0
        return ZeroPoleGain(
            np.concatenate(zeros).astype(complex), np.concatenate(poles).astype(complex), float(gain)
        )

    def label(self) -> str:
        """Name and order."""
        return f"SOS(sections={len(self.sos)})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FIR(_Design):
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
        object.__setattr__(self, "taps", _checked("taps", self.taps, 1))

    @property
    def _coefficients(self) -> Array:
        return self.taps

    def _padded(self) -> Array:
        """Two taps at least."""
        return np.append(self.taps, np.zeros(max(0, 2 - self.taps.size)))

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        taps = self._padded()
        return (Stage(fir_tile, taps.size, tuple(taps.tolist()), repeats=taps.size),)

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell."""
        return 2 * int(self.taps.size) - 1

    def initial_memory(self, initial: Array) -> Array:
        """Samples so far that gave that output; with no gain at omega = 0 zeros."""
        taps = self._padded()
        gain = taps.sum()
        rest = np.append(np.cumsum(taps[::-1])[::-1][1:], 1.0)
        return np.asarray(np.multiply.outer(rest / gain if gain else 0 * rest, initial))

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
    half = real_array(omega, "omega") / 2
    sine = np.sin(half)
    pole = np.abs(sine) < 1e-12
    safe = np.where(pole, 1.0, sine)
    kernel = np.where(pole, np.cos(length * half) / np.cos(half), np.sin(length * half) / (length * safe))
    return np.asarray((kernel * np.exp(-1j * half * (length - 1))) ** stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxcar(LinearBlock):
    """Mean of the last ``length`` samples: nulls at all multiples of 2 pi / length.

    Over a whole number of chopper periods the lines of the chopper fall on its nulls (`Boxcar.over`). Before
    the first sample stand zeros, or the initial output; see `GrowingBoxcar` for a mean of what there is.

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
        check_whole("length", self.length, 1)

    @classmethod
    def over(cls, chopper: PatternChopper, periods: int = 1) -> Boxcar:
        """Moving average over ``periods`` whole periods of ``chopper``, on its clock."""
        check_whole("periods", periods, 1)
        return cls(length=periods * chopper.period, clock=chopper.clock)

    @classmethod
    def like(cls, eta: float) -> Boxcar:
        """The moving average with the mean delay of an `EMA`: 2 / eta - 1 samples, rounded.

        Raises
        ------
        ParameterError
            A rate outside 0 < eta <= 1.
        """
        check_number("eta", eta, above=0, most=1)
        return cls(length=max(1, round(2 / eta - 1)))

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(boxcar_tile, self.length + 1, repeats=1, length=self.length),)

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell."""
        return 3

    def initial_memory(self, initial: Array) -> Array:
        """Samples so far all equal to that output."""
        return np.stack([initial] * (self.length + 1))

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain sin(M omega/2) / (M sin(omega/2)) exp(-j omega (M - 1)/2), M being the length."""
        return boxcar_response(self.length, 1, omega)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowingBoxcar(Block):
    """Mean of the last ``length`` samples, of all samples while they are fewer.

    It has no transient from its start; after ``length`` samples it is a `Boxcar`, whose frequency response is
    that of `settled`. An initial output counts until the first sample.

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
        check_whole("length", self.length, 1)

    @classmethod
    def like(cls, eta: float) -> GrowingBoxcar:
        """The mean with the delay of an `EMA` in the long run, see `Boxcar.like`."""
        return cls(length=Boxcar.like(eta).length)

    @classmethod
    def over(cls, chopper: PatternChopper, periods: int = 1) -> GrowingBoxcar:
        """Mean over ``periods`` whole periods of ``chopper``, on its clock."""
        return cls(length=Boxcar.over(chopper, periods).length, clock=chopper.clock)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(growing_boxcar_tile, self.length + 1, repeats=1, length=self.length),)

    @property
    def settled(self) -> Boxcar:
        """The moving average that it becomes."""
        return Boxcar(length=self.length, clock=self.clock)

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell."""
        return 3


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
        check_whole("length", self.length, 1)
        check_whole("order", self.order, 1)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        rows = self.order * (self.length + 1)
        return (Stage(boxcar_tile, rows, repeats=self.order, length=self.length),)

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell."""
        return 3 * self.order

    def initial_memory(self, initial: Array) -> Array:
        """Samples so far all equal to that output, in every stage."""
        return np.stack([initial] * (self.order * (self.length + 1)))

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

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell."""
        return 2

    @property
    def output_row(self) -> int:
        """Row of the memory that holds the output."""
        return 0

    def initial_memory(self, initial: Array) -> Array:
        """The output so far."""
        return np.array(initial)[None]

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain of the equal EMA."""
        return ema_response(self.gain, omega)

    def zpk(self) -> ZeroPoleGain:
        """Those of the equal EMA."""
        return averaging(self.gain)
