"""Overlapping Allan deviation of streams [time, cells], with intervals, and its expectation.

The stream is the quantity itself (a reference, weight units), not its integral. Averaged over m samples, two
means that follow each other differ by d; the Allan variance at m is E[d^2] / 2. It is the density seen
through 2 sin(m omega / 2)^4 / (m^2 sin(omega / 2)^2): white noise of variance s^2 gives s^2 / m, a drift of v
a sample (m v)^2 / 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.errors import ParameterError
from sptrack.spectrum.streams import MANY_CELLS, Density, Real, streams_of
from sptrack.spectrum.welch import Interval, chi_square_ends, over_cells
from sptrack.values import check_choice, check_number, integer_array, real_array

PowerLaw = Literal["violet", "white", "flicker", "random walk"]
Lines = tuple[ArrayLike, ArrayLike]
Whole = NDArray[np.int64]

_EXPONENTS: dict[PowerLaw, int] = {"violet": 2, "white": 0, "flicker": -1, "random walk": -2}
"""Exponents of omega in the density."""
_IDENTIFIABLE = 30
"""Fewest means from which the noise is identified."""
_GRID = (1 << 14, 1 << 22)
_FINE = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AllanDeviation:
    """Estimate of `allan_deviation`.

    Attributes
    ----------
    averages : int array [points]
        Samples m of a mean.
    deviation, low, high : arrays [points]
        Allan deviation, root mean square over cells, and the ends of its 95 % interval, units of the stream.
    freedom : array [points]
        Degrees of freedom of the chi-square law of the variance, all cells together.
    noise : tuple of str
        Noise at each m whose correlation gave them: identified, or stated.
    interval : {"chi-square", "cells"}
        Origin of the interval.
    cells : int
        Cells.
    """

    averages: Whole
    deviation: Real
    low: Real
    high: Real
    freedom: Real
    noise: tuple[str, ...]
    interval: Interval
    cells: int


def allan_deviation(
    x: ArrayLike,
    averages: Sequence[int] | None = None,
    *,
    noise: PowerLaw | Density | None = None,
    interval: Interval | None = None,
    independent: bool = True,
) -> AllanDeviation:
    """Overlapping Allan deviation with its 95 % interval.

    The mean of d^2 / 2 over all starts has 2 mean^2 / variance degrees of freedom: M over 1 + 2 times the sum
    over j of (1 - j/M) r_j^2 for M differences with the correlation r_j that the noise gives them (the method
    of Greenhall and Riley, PTTI 2003, with the exact correlations of sampled noise).

    Parameters
    ----------
    x : array_like, shape [time] or [time, cells]
        At least 4 samples.
    averages : sequence of int, optional
        Samples m of a mean, 1 to half of the stream. Default: powers of two to a third of it.
    noise : {"violet", "white", "flicker", "random walk"} or callable, optional
        Dominant noise, density proportional to omega to the power 2, 0, -1, -2, or its two-sided density at
        omega [n]. Default: identified at each m from the lag-one correlation of the means (Riley and
        Greenhall, EFTF 2004); with fewer than 30 means, that of the next shorter m.
    interval : {"chi-square", "cells"}, optional
        "chi-square": Gaussian noise of one law in all cells. "cells": from the spread of the cells' own
        variances. Default: "cells" for 16 independent cells or more.
    independent : bool
        Whether the cells' streams are independent. If not, they count as one.

    Returns
    -------
    AllanDeviation

    Raises
    ------
    ParameterError
        A stream that is too short or not finite, averages outside their range, an unknown noise, "cells" with
        less than two independent cells.
    """
    streams = streams_of("x", x)
    if len(streams) < 4:
        raise ParameterError(f"x must have at least 4 samples, got {len(streams)}")
    m = _checked(averages, len(streams))
    cells = streams.shape[1]
    if interval is not None:
        check_choice("interval", interval, get_args(Interval))
    kind = interval or ("cells" if independent and cells >= MANY_CELLS else "chi-square")
    if kind == "cells" and (not independent or cells < 2):
        raise ParameterError(
            f"interval 'cells' must have two independent cells or more, got {cells} with independent = "
            f"{independent}; use interval 'chi-square'"
        )
    each = _variances(streams, m)
    variance = each.mean(axis=1)
    laws: list[PowerLaw | Density]
    if noise is None:
        laws = list(_identified(streams, m))
    else:
        if not callable(noise):
            check_choice("noise", noise, get_args(PowerLaw))
        laws = [noise] * len(m)
    if kind == "cells":
        low, high, freedom = over_cells(each)
    else:
        own = [_freedom(law, n, len(streams)) for law, n in zip(laws, m.tolist(), strict=True)]
        freedom = np.array(own) * (cells if independent else 1)
        low, high = chi_square_ends(variance, freedom)
    return AllanDeviation(
        averages=m,
        deviation=np.sqrt(variance),
        low=np.sqrt(low),
        high=np.sqrt(high),
        freedom=freedom,
        noise=tuple(law if isinstance(law, str) else "stated density" for law in laws),
        interval=kind,
        cells=cells,
    )


def expected_allan(density: Density, averages: ArrayLike, *, lines: Lines | None = None) -> Real:
    """Allan deviation of a density and lines.

    Parameters
    ----------
    density : callable
        Two-sided density at omega [n], rad per sample, units squared per cycle per sample. It must be smooth
        over 1/32 of 2 pi over the largest m.
    averages : array_like of int
        Samples m of a mean, at least 1.
    lines : (omega [lines], power [lines]), optional
        Lines at both signs of omega.

    Returns
    -------
    array
        Of the shape of ``averages``, units of the stream.

    Raises
    ------
    ParameterError
        Averages below 1 or not whole.
    """
    m = _whole(averages)
    points = int(np.clip(2 ** np.ceil(np.log2(2.0 * _FINE * m.max(initial=1))), *_GRID))
    omega = 2 * np.pi * (np.arange(points // 2) + 0.5) / points
    values = np.broadcast_to(np.asarray(density(omega), np.float64), omega.shape)
    variance = np.array([np.mean(values * _seen(omega, n)) for n in m.ravel().tolist()])
    if lines is not None:
        place, power = (np.asarray(part, np.float64) for part in lines)
        moving = place != 0
        for k, n in enumerate(m.ravel().tolist()):
            variance[k] += np.sum(power[moving] * _seen(place[moving], n))
    return np.asarray(np.sqrt(variance).reshape(m.shape))


def one_pole_allan(pole: ArrayLike, variance: ArrayLike, averages: ArrayLike) -> Real:
    """Allan deviation of noise with autocovariance ``variance`` * ``pole``^|lag|, in closed form.

    A mean over m has the variance v (m (1 + a)/(1 - a) - 2 a (1 - a^m)/(1 - a)^2) / m^2, two that follow each
    other the covariance v a ((1 - a^m) / (1 - a))^2 / m^2: the Allan variance is their difference. White
    noise of variance s^2 behind an EMA of rate eta has a = 1 - eta and v = s^2 eta / (2 - eta).

    Parameters
    ----------
    pole : array_like
        a, above -1 and below 1.
    variance : array_like
        v, units squared, at least 0.
    averages : array_like of int
        Samples m of a mean, at least 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """
    a, v, m = real_array(pole, "pole"), real_array(variance, "variance"), _whole(averages)
    for value in a.ravel():
        check_number("pole", value, above=-1, below=1)
    for value in v.ravel():
        check_number("variance", value, least=0)
    lag = (1 - a**m) / (1 - a)
    own = m * (1 + a) / (1 - a) - 2 * a * lag / (1 - a)
    return np.asarray(np.sqrt(v * (own - a * lag**2)) / m)


def _seen(omega: Real, m: int) -> Real:
    """Power of a line of power 1 in the Allan variance at m."""
    half = omega / 2
    return np.asarray(2 * np.sin(m * half) ** 4 / (m * np.sin(half)) ** 2)


def _whole(averages: ArrayLike) -> Whole:
    m: Whole = integer_array(averages, "averages")
    if (m < 1).any():
        raise ParameterError(f"averages must be at least 1, got {m.min()}")
    return m


def _checked(averages: Sequence[int] | None, samples: int) -> Whole:
    if averages is None:
        return np.asarray(2 ** np.arange(int(np.log2(max(samples / 3, 1))) + 1))
    m = _whole(averages)
    if m.ndim != 1 or not m.size or m.max() > samples // 2:
        raise ParameterError(
            f"averages must be numbers from 1 to {samples // 2}, half of the stream, got {list(averages)}"
        )
    return m


def _variances(streams: Real, averages: Whole) -> Real:
    """Allan variances [points, cells]."""
    total = np.zeros((len(streams) + 1, streams.shape[1]))
    np.cumsum(streams - streams.mean(axis=0), axis=0, out=total[1:])
    found = []
    for m in averages.tolist():
        d = (total[2 * m :] - 2 * total[m:-m] + total[: -2 * m]) / m
        found.append(np.mean(d**2, axis=0) / 2)
    return np.array(found)


def _identified(streams: Real, averages: Whole) -> list[PowerLaw]:
    """Noise at each m; "white" where there never are enough means."""
    found: dict[int, PowerLaw] = {}
    latest: PowerLaw = "white"
    for m in sorted(averages.tolist()):
        count = len(streams) // m
        if count >= _IDENTIFIABLE:
            means = streams[: count * m].reshape(count, m, -1).mean(axis=1)
            latest = _power_law(means)
        found[m] = latest
    return [found[m] for m in averages.tolist()]


def _power_law(y: Real) -> PowerLaw:
    """Power law of a stream [time, cells] from the lag-one correlation of it or of its differences.

    A fractionally integrated noise of order d has the lag-one correlation d / (1 - d), so r / (1 + r) is its
    order where that is below 1/4; the exponent is -2 times the order and the number of differences.
    """
    for differences in range(3):
        z = np.diff(y, differences, axis=0)
        z = z - z.mean(axis=0)
        power = float(np.sum(z**2))
        r = float(np.sum(z[1:] * z[:-1])) / power if power > 0 else 0.0
        order = r / (1 + r) if r > -1 else -1.0
        if order < 0.25 or differences == 2:
            break
    exponent = -round(2 * order) - 2 * differences
    known = sorted(_EXPONENTS, key=lambda name: (abs(_EXPONENTS[name] - exponent), _EXPONENTS[name]))
    return known[0]


def _freedom(law: PowerLaw | Density, m: int, samples: int) -> float:
    """Degrees of freedom of the overlapping estimate at m from one stream."""
    count = samples - 2 * m + 1
    lag = np.arange(count)
    correlation = _of_density(law, m, count) if callable(law) else _of_power_law(law, m, lag)
    r = correlation / correlation[0]
    return float(count / (1 + 2 * np.sum((1 - lag[1:] / count) * r[1:] ** 2)))


def _of_power_law(law: PowerLaw, m: int, lag: Whole) -> Real:
    """Autocovariance, but for a factor, of differences of means at ``lag``.

    They are second differences over m of the sum of the stream, whose generalised autocovariance is known:
    -|t|/2 for white noise, (|t|^3 - |t|)/12 for a random walk (both exact for samples), t^2 ln|t| for flicker
    noise, a single 1 at t = 0 for violet noise.
    """

    def of_sum(t: Whole) -> Real:
        size = np.abs(t).astype(np.float64)
        if law == "violet":
            return np.where(size == 0, 1.0, 0.0)
        if law == "white":
            return -size / 2
        if law == "random walk":
            return np.asarray((size**3 - size) / 12)
        return np.asarray(size**2 * np.log(np.maximum(size, 1.0)))

    return np.asarray(
        6 * of_sum(lag) - 4 * (of_sum(lag + m) + of_sum(lag - m)) + of_sum(lag + 2 * m) + of_sum(lag - 2 * m)
    )


def _of_density(density: Density, m: int, count: int) -> Real:
    """Autocovariance of differences of means of noise with a density."""
    points = int(np.clip(2 ** np.ceil(np.log2(4.0 * (count + 2 * m))), *_GRID))
    omega = 2 * np.pi * np.arange(points // 2 + 1) / points
    seen = np.zeros(omega.shape)
    seen[1:] = np.broadcast_to(np.asarray(density(omega[1:]), np.float64), omega[1:].shape) * _seen(
        omega[1:], m
    )
    return np.asarray(np.fft.irfft(seen, points)[:count])
