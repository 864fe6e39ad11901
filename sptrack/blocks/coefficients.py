"""Filters given by their coefficients: second-order sections and finite impulse responses.

All start at rest (zeros), as `scipy.signal.lfilter` and `scipy.signal.sosfilt` do.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import ArrayLike

from sptrack.blocks.block import Array, Block, LinearBlock, Response, ZeroPoleGain, delay, frozen
from sptrack.errors import ParameterError
from sptrack.kernels.filters import fir_tile, sos_tile
from sptrack.kernels.stages import Stage
from sptrack.values import real_array


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
        from scipy.signal import tf2sos

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
