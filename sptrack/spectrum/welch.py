"""Spectral densities of streams [time, cells] by Welch's method, and the spread of their segments.

One convention, that of the choppers' ``psd`` and of theory: omega is in rad per sample and a density is
two-sided, per cycle per sample. Its mean over one turn of omega, (1 / 2 pi) times the integral from -pi to
pi, is the power; white noise of variance 1 has the density 1. A line has a power, not a density.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv

from sptrack.errors import ParameterError
from sptrack.intervals import positive_interval
from sptrack.spectrum.held import PERCENTILES, HeldSpectrum, held_spectrum
from sptrack.spectrum.streams import ENDS, MANY_CELLS, Density, Real, streams_of
from sptrack.values import check_choice, check_number, check_whole

Centre = Literal["none", "stream"]
Interval = Literal["chi-square", "cells"]

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
        check_whole("segment", self.segment, 8)
        check_number("overlap", self.overlap, least=0, most=0.95)
        check_choice("centre", self.centre, get_args(Centre))
        try:
            self.taper()
        except (ValueError, TypeError, AttributeError):
            raise ParameterError(
                f"window must be one of scipy.signal without parameters, got {self.window!r}"
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
        if interval is not None:
            check_choice("interval", interval, get_args(Interval))
        else:
            interval = "cells" if independent and cells >= MANY_CELLS else "chi-square"
        if interval == "cells":
            if not independent or cells < 2:
                raise ParameterError(
                    f"interval 'cells' must have two independent cells or more, got {cells} with "
                    f"independent = {independent}; use interval 'chi-square'"
                )
            low, high, freedom = over_cells(each)
        else:
            freedom = self.freedom(len(streams)) * (cells if independent else 1)
            low, high = chi_square_ends(density, freedom)
        return Spectrum(
            omega=self.omega,
            density=density,
            low=np.asarray(low),
            high=np.asarray(high),
            freedom=freedom,
            interval=interval,
            segments=self.segments(len(streams)),
            cells=cells,
            power=float(turns_of(self.segment) @ density) / self.segment,
        )

    def expected(self, density: Density, lines: tuple[ArrayLike, ArrayLike] | None = None) -> Real:
        """Expected estimate [bins] of a density and lines, as the window's leakage shows them.

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

    def held(self, x: ArrayLike, *, percentiles: Sequence[float] = PERCENTILES) -> HeldSpectrum:
        """Largest, smallest and percentile of the periodograms of all segments and cells, bin by bin.

        Two-sided densities per cycle per sample (module text). Max-hold shows bursts and lines that come and
        go, which the mean hides; `HeldSpectrum.gaussian` says what a steady Gaussian stream would show.

        Parameters
        ----------
        x : array_like, shape [time] or [time, cells]
            At least a segment.
        percentiles : sequence of float
            Between 0 and 100, rising.

        Raises
        ------
        ParameterError
            As `estimate`; percentiles outside their range or out of order.
        """
        streams = self._streams(x)
        each = self._segment_periodograms(streams)
        return held_spectrum(self.omega, each, percentiles, streams.shape[1])

    def _streams(self, x: ArrayLike) -> Real:
        streams = streams_of("x", x)
        if len(streams) < self.segment:
            raise ParameterError(
                f"x must have at least a segment of {self.segment} samples, got {len(streams)}"
            )
        return streams - streams.mean(axis=0) if self.centre == "stream" else streams

    @property
    def _segments(self) -> dict[str, Any]:
        """Segments as SciPy takes them."""
        segments = {"nperseg": self.segment, "noverlap": self.segment - self.hop}
        return segments | {"window": self.window, "detrend": False, "axis": 0}

    def _periodograms(self, streams: Real) -> Real:
        """Estimates [bins, cells] of every cell."""
        from scipy.signal import welch

        _, one_sided = welch(streams, **self._segments)
        return np.asarray(one_sided / turns_of(self.segment)[:, None])

    def _segment_periodograms(self, streams: Real) -> Real:
        """Periodograms [bins, segments x cells] of every segment of every cell."""
        from scipy.signal import spectrogram

        *_, one_sided = spectrogram(streams, **self._segments)
        return np.asarray(one_sided.reshape(len(one_sided), -1) / turns_of(self.segment)[:, None])


def turns_of(segment: int) -> Real:
    """Multiplicity of each bin from 0 to pi in a turn: two, but one at 0 and pi."""
    turns = np.full(segment // 2 + 1, 2.0)
    turns[0] = 1.0
    if segment % 2 == 0:
        turns[-1] = 1.0
    return turns


def over_cells(each: Real) -> tuple[Real, Real, Real]:
    """Ends of the interval of the mean of estimates [bins, cells], and degrees of freedom 2 mean^2/var."""
    cells = each.shape[1]
    mean, error = each.mean(axis=1), each.std(axis=1, ddof=1) / np.sqrt(cells)
    relative = np.divide(error, mean, out=np.zeros_like(mean), where=mean > 0)
    low, high = positive_interval(each, axis=1).T
    freedom = np.divide(2.0, relative**2, out=np.full_like(mean, np.inf), where=relative > 0)
    return low, high, freedom


def chi_square_ends(mean: Real, freedom: Real) -> tuple[Real, Real]:
    """Ends of the 95 % interval of the mean of a chi-square law with ``freedom``, given one value of it."""
    low, high = (mean * freedom / (2 * gammaincinv(freedom / 2, end)) for end in ENDS[::-1])
    return np.asarray(low), np.asarray(high)
