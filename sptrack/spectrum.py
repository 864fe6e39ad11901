"""Spectra and frequency responses measured from streams [time, cells].

One convention, that of the choppers' ``psd`` and of theory: omega is in rad per sample and a density is
two-sided, per cycle per sample. Its mean over one turn of omega, (1 / 2 pi) times the integral from -pi to
pi, is the power; white noise of variance 1 has the density 1. A line has a power, not a density.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv, stdtrit

from sptrack.errors import ParameterError
from sptrack.intervals import positive_interval
from sptrack.values import as_seed, real_array

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
Density = Callable[[Real], Any]
Centre = Literal["none", "stream"]
Interval = Literal["chi-square", "cells"]

_LEVEL = 0.95
_ENDS = ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2)
_MANY_CELLS = 16
_FINE = 16
"""Grid points per sample of a segment on which a density is taken to its autocovariance."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spectrum:
    """Estimate of a density.

    Attributes
    ----------
    omega : array [bins]
        0 to pi, rad per sample.
    density : array [bins]
        Two-sided, units squared per cycle per sample (module text), mean over cells.
    low, high : arrays [bins]
        Ends of its 95 % interval.
    freedom : array [bins]
        Degrees of freedom of the chi-square law of ``density``, all cells together.
    interval : {"chi-square", "cells"}
        Where the interval comes from, see `Welch.estimate`.
    segments, cells : int
        Segments of a cell, cells.
    power : float
        Mean square of the stream as estimated: the mean of ``density`` over one turn.
    """

    omega: Real
    density: Real
    low: Real
    high: Real
    freedom: Real
    interval: Interval
    segments: int
    cells: int
    power: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Welch:
    """Welch's estimator: mean of windowed periodograms over overlapping segments and over cells.

    Densities are two-sided, per cycle per sample (module text).

    Parameters
    ----------
    segment : int
        Samples of a segment, at least 8; bins lie at 2 pi k / segment.
    overlap : float
        Share of a segment that the next one repeats, 0 to 0.95.
    window : str
        A window of `scipy.signal.get_window` that takes no parameter.
    centre : {"stream", "none"}
        "stream" takes each cell's mean over all of its stream off first, so that the first bins hold no line
        at omega = 0; "none" takes nothing off. Segments are never detrended one by one.

    Raises
    ------
    ParameterError
        A value outside its range, an unknown window.
    """

    segment: int
    overlap: float = 0.5
    window: str = "hann"
    centre: Centre = "stream"

    def __post_init__(self) -> None:
        if not (isinstance(self.segment, (int, np.integer)) and self.segment >= 8):
            raise ParameterError(f"segment = {self.segment}: a whole number >= 8 wanted")
        if not 0 <= self.overlap <= 0.95:
            raise ParameterError(f"overlap = {self.overlap}: a number between 0 and 0.95 wanted")
        if self.centre not in get_args(Centre):
            raise ParameterError(f"centre = {self.centre!r}: one of {', '.join(get_args(Centre))} wanted")
        try:
            self.taper()
        except (ValueError, TypeError, AttributeError):
            raise ParameterError(
                f"window = {self.window!r}: a window of scipy.signal without parameters wanted"
            ) from None

    def taper(self) -> Real:
        """Window [segment]."""
        from scipy.signal import get_window

        return np.asarray(get_window(self.window, self.segment), np.float64)

    @property
    def hop(self) -> int:
        """Samples between the starts of segments."""
        return self.segment - int(self.overlap * self.segment)

    @property
    def omega(self) -> Real:
        """Bins from 0 to pi, rad per sample."""
        return np.asarray(2 * np.pi * np.fft.rfftfreq(self.segment))

    def segments(self, samples: int) -> int:
        """Number of segments in a stream of ``samples``."""
        return (samples - self.segment) // self.hop + 1

    def freedom(self, samples: int) -> Real:
        """Degrees of freedom [bins] of the estimate from one stream of ``samples``.

        2 mean^2 / variance of a mean of K overlapping periodograms of a Gaussian stream whose density is flat
        over a bin: the variance is (1/K)(r_0 + 2 sum over m of (1 - m/K) r_m) of mean^2, where r_m =
        (|c_m|^2 + |d_m|^2) / c_0^2 is the correlation of periodograms m hops apart, c_m the sum of
        w_n w_(n + m hop) and d_m its transform at 2 omega, which halves the count at omega = 0 and pi
        (Percival and Walden 1993, section 6.17, for the first term).
        """
        taper, count = self.taper(), self.segments(samples)
        variance = np.zeros(len(self.omega))
        power = float(taper @ taper)
        bins = 2 * np.arange(len(self.omega)) % self.segment
        for m in range(min(count, -(-self.segment // self.hop))):
            shifted = taper[m * self.hop :]
            product = np.zeros(self.segment)
            product[: len(shifted)] = taper[: len(shifted)] * shifted
            image = np.fft.fft(product)[bins]
            correlation = (product.sum() ** 2 + np.abs(image) ** 2) / power**2
            variance += (1 if m == 0 else 2) * (1 - m / count) * correlation / count
        return np.asarray(2 / variance)

    def estimate(
        self, x: ArrayLike, *, interval: Interval | None = None, independent: bool = True
    ) -> Spectrum:
        """Density of streams, averaged over cells, with its 95 % interval.

        Two-sided density per cycle per sample (module text).

        Parameters
        ----------
        x : array_like, shape [time] or [time, cells]
            At least a segment.
        interval : {"chi-square", "cells"}, optional
            "chi-square": the law of a Gaussian stream, with the degrees of freedom of `freedom` times the
            number of cells; all cells must have the same density. "cells": from the spread of the cells'
            own estimates (t of the mean, on the logarithmic scale), whatever their law; at least two cells.
            Default: "cells" for 16 independent cells or more, else "chi-square".
        independent : bool
            Whether the cells' streams are independent. If not (a chopper in common), they count as one.

        Raises
        ------
        ParameterError
            Too short a stream, values that are not finite, "cells" with less than two independent cells.
        """
        streams = self._streams(x)
        each = self._periodograms(streams)
        density = each.mean(axis=1)
        cells = each.shape[1]
        if interval is None:
            interval = "cells" if independent and cells >= _MANY_CELLS else "chi-square"
        if interval == "cells":
            if not independent or cells < 2:
                raise ParameterError(
                    f"interval from {cells} cells, independent = {independent}: "
                    "two independent ones or more wanted"
                )
            low, high, freedom = _over_cells(each)
        elif interval == "chi-square":
            freedom = self.freedom(len(streams)) * (cells if independent else 1)
            low, high = (density * freedom / (2 * gammaincinv(freedom / 2, end)) for end in _ENDS[::-1])
        else:
            raise ParameterError(f"interval = {interval!r}: one of {', '.join(get_args(Interval))} wanted")
        return Spectrum(
            omega=self.omega,
            density=density,
            low=np.asarray(low),
            high=np.asarray(high),
            freedom=freedom,
            interval=interval,
            segments=self.segments(len(streams)),
            cells=cells,
            power=float(_turns(self.segment) @ density) / self.segment,
        )

    def expected(self, density: Density, lines: tuple[ArrayLike, ArrayLike] | None = None) -> Real:
        """What `estimate` gives on average [bins]: a density and lines as the window's leakage shows them.

        The mean of a periodogram is the transform of the autocovariance times the autocorrelation of the
        window; a line of power p stands p |W(0)|^2 / sum w^2 high. Two-sided, per cycle per sample. Nothing
        is said about the bias of the first bins by centring.

        Parameters
        ----------
        density : callable
            Two-sided density per cycle per sample at omega [n], such as a chopper's ``psd``.
        lines : (omega [lines], power [lines]), optional
            Lines at both signs of omega, such as a chopper's ``lines()``; with ``centre`` "stream" that at
            omega = 0 is left out.
        """
        from scipy.signal import correlate

        grid = 1 << int(np.ceil(np.log2(_FINE * self.segment)))
        values = np.asarray(density(2 * np.pi * np.arange(grid // 2 + 1) / grid), np.float64)
        lags = np.arange(self.segment)
        covariance = np.fft.irfft(np.broadcast_to(values, grid // 2 + 1), grid)[lags]
        if lines is not None:
            omega, power = (np.asarray(part, np.float64) for part in lines)
            kept = omega != 0 if self.centre == "stream" else np.ones(omega.shape, np.bool_)
            for place, size in zip(omega[kept], power[kept], strict=True):
                covariance = covariance + size * np.cos(place * lags)
        taper = self.taper()
        window = correlate(taper, taper)[self.segment - 1 :] / (taper @ taper)
        seen = covariance * window
        folded = seen.copy()
        folded[1:] += seen[:0:-1]
        return np.asarray(np.fft.rfft(folded).real)

    def _streams(self, x: ArrayLike) -> Real:
        streams = _numbers("x", x)
        if len(streams) < self.segment:
            raise ParameterError(
                f"stream of {len(streams)} samples: at least a segment, {self.segment}, wanted"
            )
        return streams - streams.mean(axis=0) if self.centre == "stream" else streams

    def _periodograms(self, streams: Real) -> Real:
        """Estimates [bins, cells] of every cell."""
        from scipy.signal import welch

        _, one_sided = welch(
            streams,
            window=self.window,
            nperseg=self.segment,
            noverlap=self.segment - self.hop,
            detrend=False,
            axis=0,
        )
        return np.asarray(one_sided / _turns(self.segment)[:, None])


def _turns(segment: int) -> Real:
    """How often each bin from 0 to pi occurs in a turn: twice, but once at 0 and pi."""
    turns = np.full(segment // 2 + 1, 2.0)
    turns[0] = 1.0
    if segment % 2 == 0:
        turns[-1] = 1.0
    return turns


def _numbers(name: str, x: ArrayLike) -> Real:
    """Finite numbers [time, cells] in float64 (ParameterError)."""
    values = real_array(x, name)
    if values.ndim not in (1, 2) or values.size == 0:
        raise ParameterError(
            f"{name} of shape {list(values.shape)}: [time] or [time, cells], not empty, wanted"
        )
    if not np.isfinite(values).all():
        place = np.argwhere(~np.isfinite(values))[0].tolist()
        raise ParameterError(f"{name}{place} = {values[tuple(place)]}: finite numbers wanted")
    return values if values.ndim == 2 else values[:, None]


def _over_cells(each: Real) -> tuple[Real, Real, Real]:
    """Ends of the interval of the mean of estimates [bins, cells], and degrees of freedom 2 mean^2/var."""
    cells = each.shape[1]
    mean, error = each.mean(axis=1), each.std(axis=1, ddof=1) / np.sqrt(cells)
    share = np.divide(error, mean, out=np.zeros_like(mean), where=mean > 0)
    low, high = positive_interval(each, axis=1).T
    freedom = np.divide(2.0, share**2, out=np.full_like(mean, np.inf), where=share > 0)
    return low, high, freedom


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
        if self.period < 4:
            raise ParameterError(f"period = {self.period}: a whole number >= 4 wanted")
        inside = all(1 <= k < self.period / 2 for k in self.bins)
        if not self.bins or len(set(self.bins)) < len(self.bins) or not inside:
            raise ParameterError(
                f"bins = {list(self.bins)}: different numbers from 1 to below {self.period / 2:g} wanted"
            )
        if not (np.isfinite(self.amplitude) and self.amplitude > 0):
            raise ParameterError(f"amplitude = {self.amplitude}: a number above 0 wanted")

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
        inputs, outputs = _numbers("x", x), _numbers("y", y)
        if len(inputs) != len(outputs) or inputs.shape[1] not in (1, outputs.shape[1]):
            raise ParameterError(
                f"x of shape {list(inputs.shape)}, y of shape {list(outputs.shape)}: equal wanted"
            )
        if skip < 0 or len(outputs) < (skip + 1) * self.period:
            raise ParameterError(
                f"{len(outputs)} samples, skip = {skip}: a block of {self.period} after those skipped wanted"
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
        raise ParameterError("x has no power at some tone: an input with the tones in it wanted")
    gain = sxy / sxx
    rest = np.sum(np.abs(y - gain[:, None] * x) ** 2, axis=(0, 2))
    half = np.full(omega.shape, np.nan)
    if n > 1:
        half = np.asarray(stdtrit(2 * (n - 1), _ENDS[1]) * np.sqrt(rest / (2 * (n - 1) * sxx)))
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
