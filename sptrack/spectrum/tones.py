"""Frequency responses measured by tones, with intervals from the coherence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from sptrack.errors import ParameterError
from sptrack.spectrum.streams import ENDS, Real, streams_of
from sptrack.values import as_seed, check_number, check_whole

Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tones:
    """A sum of cosines that repeats after ``period`` samples: every tone lies on a bin of such a block.

    Parameters
    ----------
    period : int
        Samples of a block, at least 4.
    bins : tuple of int
        Whole turns of each tone in a block: different numbers from 1 to below period / 2.
    amplitude : float
        Amplitude of each tone, above 0; its power is half the square.
    seed : int
        Seed of the random phases, which keep the peaks of many tones low.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    period: int
    bins: tuple[int, ...]
    amplitude: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole("period", self.period, 4)
        inside = all(1 <= k < self.period / 2 for k in self.bins)
        if not self.bins or len(set(self.bins)) < len(self.bins) or not inside:
            raise ParameterError(
                f"bins must be different numbers from 1 to below {self.period / 2:g}, got {list(self.bins)}"
            )
        check_number("amplitude", self.amplitude, above=0)

    @classmethod
    def spaced(
        cls, period: int, count: int, *, lowest: int = 1, amplitude: float = 1.0, seed: int = 0
    ) -> Tones:
        """At most ``count`` tones on odd bins, evenly spaced on a logarithmic scale from ``lowest`` up.

        On odd bins no tone lies on an even harmonic or on the mean of two others.
        """
        places = np.geomspace(lowest, 0.49 * period, count)
        odd = sorted({int(2 * round((k - 1) / 2) + 1) for k in places})
        return cls(
            period=period, bins=tuple(k for k in odd if k < period / 2), amplitude=amplitude, seed=seed
        )

    @property
    def omega(self) -> Real:
        """Tones [tones], rad per sample."""
        return np.asarray(2 * np.pi * np.array(self.bins) / self.period)

    def samples(self, count: int, first: int = 0) -> Real:
        """Samples ``first`` to ``first + count - 1`` [count]."""
        phase = np.random.default_rng(as_seed(self.seed)).uniform(0, 2 * np.pi, len(self.bins))
        n = np.arange(self.period)
        block = self.amplitude * np.cos(np.outer(n, self.omega) + phase).sum(axis=1)
        return np.asarray(block[(first + np.arange(count)) % self.period])

    def response(
        self, x: ArrayLike, y: ArrayLike, *, skip: int = 1, independent: bool = True
    ) -> ToneResponse:
        """Complex gain from ``x`` to ``y`` at the tones, averaged over blocks and cells.

        H = S_xy / S_xx with the cross-spectrum S_xy, the sum of conj(X) Y over blocks and cells. Intervals
        come from the coherence: with n averages the error of H has in each direction the variance
        |H|^2 (1 - coherence) / (2 coherence (n - 1)) (Bendat and Piersol 2010, section 9.3), t with 2 (n - 1)
        degrees of freedom. Cells of different gain count as noise of the mean gain. Blocks must be long
        against the correlation of the noise.

        Parameters
        ----------
        x, y : array_like, shape [time] or [time, cells]
            Input with the tones in it, and output, of one length; an input without cells is that of all.
        skip : int
            Blocks left out at the start, for the transient.
        independent : bool
            Whether the noise of the cells is independent. If not, their mean counts as one stream.

        Raises
        ------
        ParameterError
            Shapes that do not fit, no whole block after those skipped.
        """
        inputs, outputs = streams_of("x", x), streams_of("y", y)
        if len(inputs) != len(outputs) or inputs.shape[1] not in (1, outputs.shape[1]):
            raise ParameterError(
                f"x and y must have equal shapes, got {list(inputs.shape)} and {list(outputs.shape)}"
            )
        if skip < 0 or len(outputs) < (skip + 1) * self.period:
            raise ParameterError(
                f"x must hold a block of {self.period} samples after the skipped ones, got {len(outputs)} "
                f"samples with skip = {skip}"
            )
        if not independent:
            inputs, outputs = (z.mean(axis=1, keepdims=True) for z in (inputs, outputs))
        return _tone_response(self.omega, self._transform(inputs, skip), self._transform(outputs, skip))

    def _transform(self, x: Real, skip: int) -> Complex:
        """Values [blocks, tones, cells] of the transform of every block at the tones."""
        blocks = len(x) // self.period
        shaped = x[skip * self.period : blocks * self.period].reshape(blocks - skip, self.period, -1)
        return np.asarray(np.fft.rfft(shaped, axis=1)[:, list(self.bins)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToneResponse:
    """Measured frequency response.

    Attributes
    ----------
    omega : array [tones]
        Rad per sample.
    gain : complex array [tones]
        H, output units per input unit.
    coherence : array [tones]
        |S_xy|^2 / (S_xx S_yy), 0 to 1.
    half_width : array [tones]
        Half of the 95 % interval of |H|; NaN for a single average.
    phase_half_width : array [tones]
        Half of that of the phase, rad, at most pi.
    averages : int
        Blocks times cells.
    """

    omega: Real
    gain: Complex
    coherence: Real
    half_width: Real
    phase_half_width: Real
    averages: int


def _tone_response(omega: Real, x: Complex, y: Complex) -> ToneResponse:
    n = y.shape[0] * y.shape[2]
    sxx = np.sum(np.abs(np.broadcast_to(x, y.shape)) ** 2, axis=(0, 2))
    syy = np.sum(np.abs(y) ** 2, axis=(0, 2))
    sxy = np.sum(np.conj(x) * y, axis=(0, 2))
    if not (sxx > 0).all():
        raise ParameterError("x must have power at every tone, got none at some")
    gain = sxy / sxx
    rest = np.sum(np.abs(y - gain[:, None] * x) ** 2, axis=(0, 2))
    half = np.full(omega.shape, np.nan)
    if n > 1:
        half = np.asarray(stdtrit(2 * (n - 1), ENDS[1]) * np.sqrt(rest / (2 * (n - 1) * sxx)))
    size = np.abs(gain)
    sine = np.divide(half, size, out=np.full(omega.shape, np.inf), where=size > 0)
    return ToneResponse(
        omega=omega,
        gain=gain,
        coherence=np.divide(np.abs(sxy) ** 2, sxx * syy, out=np.zeros(omega.shape), where=syy > 0),
        half_width=half,
        phase_half_width=np.where(
            sine < 1, np.arcsin(np.minimum(sine, 1.0)), np.where(np.isnan(sine), sine, np.pi)
        ),
        averages=n,
    )
