"""Choppers: sequences of signs c_k = +1 or -1 that move a signal up in frequency.

The power of a sign is 1, shared between a density and lines: (1 / 2 pi) times the integral of `psd` over one
turn of omega plus the sum of the powers of `lines` is 1. Each chopper multiplies its input by its sign.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.blocks.block import Array, Block, Shape, as_shape
from sptrack.errors import ParameterError
from sptrack.kernels.random import stream_key, words_of
from sptrack.kernels.signs import chop_tile
from sptrack.kernels.stages import Stage
from sptrack.values import as_seed, check_choice, check_number, check_whole, real_array

Scope = Literal["array", "column", "cell"]
Real = NDArray[np.float64]

_TO_WORD = 2.0**32
_AT_A_TIME = 1 << 18
_LONGEST_REGISTER = 20


class SpectralLines(NamedTuple):
    """Discrete part of a spectrum: ``omega`` in (-pi, pi], rad per sample, and ``power`` of each line."""

    omega: Real
    power: Real


@dataclass(frozen=True, slots=True, kw_only=True)
class SignSource(Block):
    """Base class of choppers: signs by sample number, spectrum and autocorrelation.

    Parameters
    ----------
    scope : {"array", "column", "cell"}
        Which cells share a sign: all, those of one column (last axis), or none.
    """

    scope: Scope = "array"

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_choice("scope", self.scope, get_args(Scope))

    @abstractmethod
    def group_signs(self, first: int, count: int, groups: int) -> NDArray[np.int8]:
        """Signs [count, groups] of the samples from ``first`` on."""

    def signs_of(self, shape: tuple[int, ...]) -> Callable[[int, int], NDArray[np.int8]]:
        """``signs(first, count)`` [count, groups] for cells of ``shape``, as a stage takes them."""
        return partial(self.group_signs, groups=self.groups(shape))

    def seeded(self, seed: int) -> SignSource:
        """The same chopper with the random signs of ``seed``; itself if its signs are not random."""
        return self

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(chop_tile, 1, signs=self.signs_of(shape)),)

    @abstractmethod
    def autocorrelation(self, lag: ArrayLike) -> Real:
        """E[c_k c_(k+lag)] at whole ``lag``, of the shape of ``lag``, dimensionless."""

    @abstractmethod
    def psd(self, omega: ArrayLike) -> Real:
        """Two-sided density of the power at ``omega`` (rad per sample), of its shape, without the lines."""

    @abstractmethod
    def lines(self) -> SpectralLines:
        """Discrete part of the spectrum."""

    def groups(self, shape: tuple[int, ...]) -> int:
        """Number of independent signs over cells of ``shape``; cell i belongs to group i modulo this."""
        return {"array": 1, "column": shape[-1] if shape else 1, "cell": math.prod(shape)}[self.scope]

    def signs(self, first: int, count: int, shape: Shape = ()) -> NDArray[np.int8]:
        """Signs of the samples ``first`` to ``first + count - 1``.

        Parameters
        ----------
        first, count : int
            At least 0. For random signs the cost grows with ``first + count``.
        shape : int or tuple of int
            Shape of the cells.

        Returns
        -------
        ndarray of int8, shape [count, *shape]
            +1 or -1; the same whatever the cut.

        Raises
        ------
        ParameterError
            A negative number or an empty shape.
        """
        check_whole("first", first, 0)
        check_whole("count", count, 0)
        cells = as_shape(shape)
        groups = self.groups(cells)
        place = np.arange(math.prod(cells)) % groups
        return self.group_signs(first, count, groups)[:, place].reshape(count, *cells)

    def flips(self, first: int, count: int, shape: Shape = ()) -> NDArray[np.bool_]:
        """Whether each sample's sign differs from that of the sample before; arguments as in `signs`."""
        check_whole("first", first, 0)
        signs = self.signs(max(first - 1, 0), count + min(first, 1), shape)
        changed = signs[1:] != signs[:-1]
        return changed if first > 0 else np.concatenate([np.zeros_like(signs[:1], np.bool_), changed])[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chopper(SignSource):
    """Random telegraph: starts at +1 and flips with probability p at every later sample.

    With r = 1 - 2p the autocorrelation is r**abs(k), whose transform is the density
    (1 - r**2) / (1 + r**2 - 2 r cos omega). Source: eq. (17), Xiao et al. 2026 (arXiv 2602.21321).

    Parameters
    ----------
    p : float
        Flip probability, 0 <= p <= 1 (resolution 2**-32).
    seed : int
        Root seed, at least 0.
    stream : str
        Name of the stream of random numbers; draws depend on seed, stream, group and sample number alone.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    p: float
    seed: int = 0
    stream: str = "chopper"

    def __post_init__(self) -> None:
        SignSource.__post_init__(self)
        check_number("p", self.p, least=0, most=1)
        as_seed(self.seed)

    def group_signs(self, first: int, count: int, groups: int) -> NDArray[np.int8]:
        """Signs [count, groups] of the samples from ``first`` on; the flips before them are counted."""
        flipped = np.zeros(groups, np.int64)
        for start in range(0, first, _AT_A_TIME):
            flipped += self._flips(start, min(first, start + _AT_A_TIME), groups).sum(axis=0)
        flips = self._flips(first, first + count, groups)
        total = flipped + np.cumsum(flips, axis=0)
        return np.asarray(1 - 2 * (total & 1), np.int8)

    def _flips(self, start: int, stop: int, groups: int) -> NDArray[np.bool_]:
        """Flips [stop - start, groups]: where a group's word is below p 2**32, but for sample 0."""
        sample = np.arange(start // 4 * 4, (stop + 3) // 4 * 4)
        block, group = sample[::4, None] // 4, np.arange(groups)
        words = np.stack(words_of(block, 0, group, 0, stream_key(self.seed, self.stream)), axis=1)
        flips = words.reshape(-1, groups) < np.uint64(round(self.p * _TO_WORD))
        flips[sample == 0] = False
        return np.asarray(flips[start - sample[0] if sample.size else 0 :][: stop - start])

    def seeded(self, seed: int) -> Chopper:
        """The same chopper with the random signs of ``seed``."""
        return replace(self, seed=seed)

    def autocorrelation(self, lag: ArrayLike) -> Real:
        """(1 - 2p)**abs(lag), of the shape of ``lag``."""
        return np.asarray((1 - 2 * self.p) ** np.abs(real_array(lag, "lag")))

    def psd(self, omega: ArrayLike) -> Real:
        """(1 - r**2) / (1 + r**2 - 2 r cos omega) with r = 1 - 2p; zero for p = 0 and 1, which are lines."""
        r = 1 - 2 * self.p
        cosine = np.cos(real_array(omega, "omega"))
        if abs(r) == 1:
            return np.zeros_like(cosine)
        return np.asarray((1 - r**2) / (1 + r**2 - 2 * r * cosine))

    def lines(self) -> SpectralLines:
        """None, but for p = 0 (one line at 0) and p = 1 (one line at pi)."""
        place = {0.0: [0.0], 1.0: [np.pi]}.get(float(self.p), [])
        return SpectralLines(np.array(place), np.ones(len(place)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternChopper(SignSource):
    """A sequence of signs that repeats: group g (column or cell) runs ``stagger`` * g samples ahead.

    The spectrum consists of lines only.
    """

    stagger: int = 0

    def __post_init__(self) -> None:
        SignSource.__post_init__(self)
        check_whole("stagger", self.stagger, 0)

    @abstractmethod
    def pattern(self) -> Array:
        """One period of signs, shape [period], float64."""

    @property
    @abstractmethod
    def period(self) -> int:
        """Samples after which the signs repeat."""

    def group_signs(self, first: int, count: int, groups: int) -> NDArray[np.int8]:
        """Signs [count, groups] of the samples from ``first`` on."""
        place = np.arange(first, first + count)[:, None] + self.stagger * np.arange(groups)
        return np.asarray(self.pattern()[place % self.period], np.int8)

    def psd(self, omega: ArrayLike) -> Real:
        """Zero everywhere: all of the power is in the lines."""
        return np.zeros_like(real_array(omega, "omega"))

    def _harmonics(self) -> NDArray[np.int64]:
        """Numbers m of the lines at omega = 2 pi m / period in (-pi, pi]."""
        return np.arange(-((self.period - 1) // 2), self.period // 2 + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicChopper(PatternChopper):
    """+1 for the share ``duty`` of each period of 2 ``half_period`` samples, then -1.

    With M samples a period, H of them +1, two signs at lag k differ in 2 min(k, M - k, H, M - H) of the M
    places, and the transform of the period gives the line at 2 pi m / M the power
    (2 sin(pi m H / M) / (M sin(pi m / M)))**2, or (2 H / M - 1)**2 for m = 0. For a duty of 1/2 and T = M/2
    these are the odd lines 1 / (T sin(pi m / 2T))**2.

    Parameters
    ----------
    half_period : int
        Half a period, samples, at least 1.
    duty : float
        Share of +1, between 0 and 1, rounded to whole samples (at least one of each sign).

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    half_period: int
    duty: float = 0.5

    def __post_init__(self) -> None:
        PatternChopper.__post_init__(self)
        check_whole("half_period", self.half_period, 1)
        check_number("duty", self.duty, above=0, below=1)
        if not 0 < self.high < self.period:
            raise ParameterError(
                f"duty must leave a sample of each sign in a period of {self.period}, got {self.duty}"
            )

    @property
    def period(self) -> int:
        """Samples after which the signs repeat."""
        return 2 * self.half_period

    @property
    def high(self) -> int:
        """Samples of +1 in a period."""
        return round(self.duty * self.period)

    def pattern(self) -> Array:
        """One period of signs, shape [period], float64."""
        return np.where(np.arange(self.period) < self.high, 1.0, -1.0)

    def autocorrelation(self, lag: ArrayLike) -> Real:
        """1 - 4 min(k, M - k, H, M - H) / M with k = lag modulo M, of the shape of ``lag``."""
        k = np.mod(np.asarray(lag), self.period)
        least = np.minimum(np.minimum(k, self.period - k), min(self.high, self.period - self.high))
        return np.asarray(1 - 4 * least / self.period)

    def lines(self) -> SpectralLines:
        """Lines at all 2 pi m / M in (-pi, pi]; those of no power are left out."""
        m = self._harmonics()
        angle = np.pi * m / self.period
        amplitude = 2 / self.period * np.sin(angle * self.high) / np.sin(np.where(m == 0, 1.0, angle))
        power = np.where(m == 0, 2 * self.high / self.period - 1, amplitude) ** 2
        kept = power > np.finfo(np.float64).eps ** 2
        return SpectralLines(2 * angle[kept], power[kept])


@dataclass(frozen=True, slots=True, kw_only=True)
class MaximumLengthChopper(PatternChopper):
    """Maximum-length sequence of a shift register: period N = 2**register - 1, one +1 more than -1.

    The autocorrelation is 1 at multiples of N and -1/N elsewhere, the power of the line at 2 pi m / N
    (N + 1) / N**2, but 1/N**2 at m = 0. Taps: primitive polynomials of `scipy.signal.max_len_seq`.

    Parameters
    ----------
    register : int
        Length of the shift register, 2 to 20.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    register: int = field()  # not ABCMeta.register, which would be its default

    def __post_init__(self) -> None:
        PatternChopper.__post_init__(self)
        check_whole("register", self.register, 2, _LONGEST_REGISTER)

    @property
    def period(self) -> int:
        """Samples after which the signs repeat."""
        return int(2**self.register - 1)

    def pattern(self) -> Array:
        """One period of signs, shape [period], float64."""
        from scipy.signal import max_len_seq

        return 2.0 * max_len_seq(self.register)[0] - 1.0

    def autocorrelation(self, lag: ArrayLike) -> Real:
        """1 at multiples of the period, -1 / period elsewhere, of the shape of ``lag``."""
        return np.where(np.mod(np.asarray(lag), self.period) == 0, 1.0, -1.0 / self.period)

    def lines(self) -> SpectralLines:
        """Lines at all 2 pi m / N in (-pi, pi]."""
        m = self._harmonics()
        power = np.where(m == 0, 1.0, self.period + 1.0) / self.period**2
        return SpectralLines(2 * np.pi * m / self.period, power)
