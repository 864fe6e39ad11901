"""Chopped and white signals behind a pole and a filter: fractions of variance, gains, means over a cycle.

Filters and choppers come as anything with the methods of `LinearFilter` and `SignSequence`; the blocks of
`sptrack.blocks` have them. Spectra are two-sided, in rad per sample: (1/2 pi) times the integral of a
density over one turn, plus the lines, is the power.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import ArrayLike, NDArray

from sptrack.errors import ConvergenceError, ParameterError
from sptrack.theory.state_space import correlated_variance, state_space
from sptrack.values import real_array

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_SHORTEST, _LONGEST, _TAIL = 1 << 10, 1 << 22, 1e-12
_LINES_AT_ONCE, _NEAR = 4096, 1e-4


class LineSpectrum(Protocol):
    """Lines at ``omega`` in (-pi, pi], rad per sample, each of a ``power``; arrays [lines]."""

    @property
    def omega(self) -> Array:
        """Places, rad per sample."""

    @property
    def power(self) -> Array:
        """Powers, of signs a pure number."""


class SignSequence(Protocol):
    """A chopper: a telegraph, or anything that has also ``pattern()``, one period of signs."""

    def autocorrelation(self, lag: ArrayLike) -> Array:
        """E[c_k c_(k+lag)]."""

    def psd(self, omega: ArrayLike) -> Array:
        """Density of the power."""

    def lines(self) -> LineSpectrum:
        """Discrete part of the spectrum."""


@runtime_checkable
class _Repeating(Protocol):
    def pattern(self) -> Array: ...


class LinearFilter(Protocol):
    """A filter that does not change with time."""

    def frequency_response(self, omega: ArrayLike) -> Complex:
        """Complex gain at ``omega``, rad per sample."""


Filter = float | LinearFilter
"""A filter: the rate eta of an exponential moving average, or anything with a frequency response."""


class Telegraph(NamedTuple):
    """Random signs with the autocorrelation ``correlation``**abs(lag), below 1 in size."""

    correlation: float


class Pattern(NamedTuple):
    """Signs that repeat: ``signs`` [period] of +1 and -1."""

    signs: Array

    @property
    def mean(self) -> float:
        """Mean sign."""
        return float(self.signs.mean())


def sign_law(chopper: SignSequence | None) -> Telegraph | Pattern:
    """Which of the two kinds a chopper is; None is no chopper, the pattern of one +1.

    Raises
    ------
    ParameterError
        A chopper that does not repeat and whose autocorrelation is no power of the lag.
    """
    if chopper is None:
        return Pattern(np.ones(1))
    if isinstance(chopper, _Repeating):
        return Pattern(np.asarray(chopper.pattern(), np.float64))
    first, second, third = (float(chopper.autocorrelation(lag)) for lag in (1, 2, 3))
    if abs(second - first**2) > 1e-9 or abs(third - first**3) > 1e-9:
        raise ParameterError(f"chopper must repeat or be a random telegraph, got {chopper}")
    if abs(first) == 1:
        return Pattern(np.array([1.0]) if first > 0 else np.array([1.0, -1.0]))
    return Telegraph(first)


def loop_pole(alpha: ArrayLike, gradient: ArrayLike, slope: ArrayLike) -> Array:
    """Pole a = 1 - alpha E|g| G' of the drift to the symmetric point, from E|g| and the slope G' there.

    The mean of eq. (18a) of Xiao et al. 2026 (arXiv 2602.21321) to first order in P - w*; stable for |a| <
    1.
    """
    return np.asarray(1.0 - np.asarray(alpha) * np.asarray(gradient) * np.asarray(slope))


def passed_fraction(pole: ArrayLike, eta: ArrayLike) -> Array:
    """Share of a signal's variance that the filter with rate ``eta`` lets through.

    The signal has the autocorrelation pole^|n| (one pole: P around its symmetric point, or a telegraph with
    pole r = 1 - 2 p). The sum of eta^2 b^(i + j) pole^|i - j| over i, j >= 0, with b = 1 - eta, is
    eta (1 + pole b) / ((2 - eta) (1 - pole b)). Infinite if |pole| > 1.
    """
    p, e = np.asarray(pole, np.float64), np.asarray(eta, np.float64)
    stable = np.abs(p) <= 1
    product = np.where(stable, p, 0.0) * (1 - e)
    with np.errstate(divide="ignore"):
        fraction = e * (1 + product) / ((2 - e) * (1 - product))
    return np.where(stable & (product < 1), fraction, np.inf)


def passed_fraction_periodic(half_period: float, eta: float) -> float:
    """Share of the power of a periodic chopper, half period T in samples, that the filter lets through.

    In each half the output settles to the sign, 1 - 2 b^k / (1 + b^T) after k = 1 .. T samples, b = 1 - eta
    (the values at both ends are opposite): its mean square.
    """
    if eta == 0:
        return 0.0
    b, top = 1 - eta, 1 + (1 - eta) ** half_period
    first = b * (1 - b**half_period) / (half_period * (1 - b))
    second = b**2 * (1 - b ** (2 * half_period)) / (half_period * (1 - b**2))
    return float(1 - 4 * first / top + 4 * second / top**2)


def telegraph_gain(pole: ArrayLike, correlation: float) -> Array:
    """Demodulated response 1/(1 - r a) of a loop with pole a to a drive chopped by a telegraph, r = 1 - 2 p.

    From x' = a x + c: E[c x'] = a r E[c x'] + 1, since E[c_(k+1) c_k] = r. Infinite for r a = 1.
    """
    gap = 1.0 - correlation * np.asarray(pole, np.float64)
    with np.errstate(divide="ignore"):
        return np.where(gap <= 0, np.inf, 1.0 / gap)


def periodic_gain(pole: ArrayLike, half_period: float) -> Array:
    """The same for a periodic chopper with half period T in steps.

    c x' is (1 - 2 a^k/(1 + a^T))/(1 - a) after k = 1 .. T steps of a half; its mean, 1/2 in the limit a =
    1.
    """
    a = np.asarray(pole, np.float64)
    at_one = a == 1
    a = np.where(at_one, 0.0, a)
    mean = a * (1 - a**half_period) / (half_period * (1 - a))
    return np.where(at_one, 0.5, (1 - 2 * mean / (1 + a**half_period)) / (1 - a))


def demodulated_gain(pole: ArrayLike, chopper: SignSequence | None) -> Array:
    """The same for any chopper: sum over j >= 0 of a^j E[c_k c_(k+j)], of the shape of ``pole``.

    Signs that repeat after M steps: the sum over one period over 1 - a^M; `periodic_gain` for two halves.
    """
    a = np.asarray(pole, np.float64)
    law = sign_law(chopper)
    if isinstance(law, Telegraph):
        return telegraph_gain(a, law.correlation)
    period = law.signs.size
    if (half := period // 2) and (law.signs[:half] == 1).all() and (law.signs[half:] == -1).all():
        with np.errstate(divide="ignore", invalid="ignore"):
            return periodic_gain(a, half)
    correlation = np.ones(1)
    if chopper is not None:
        correlation = np.asarray(chopper.autocorrelation(np.arange(period)), np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(polyval(a, correlation) / (1 - a**period))


def response_at(low_pass: Filter, omega: ArrayLike) -> Complex:
    """Complex gain of a filter at ``omega`` (rad per sample), of its shape."""
    w = real_array(omega, "omega")
    if isinstance(low_pass, float | int):
        return np.asarray(low_pass / (1 - (1 - low_pass) * np.exp(-1j * w)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(low_pass.frequency_response(w), np.complex128)


class EveryNth(NamedTuple):
    """A filter that gets every ``every``-th sample, by the frequency of the samples."""

    low_pass: Filter
    every: int

    def frequency_response(self, omega: ArrayLike) -> Complex:
        """Complex gain at ``omega``, rad per sample before the choice."""
        return response_at(self.low_pass, self.every * real_array(omega, "omega"))


def impulse_response(low_pass: Filter) -> Array:
    """Impulse response [samples], from the frequency response, to 1e-12 of its largest value.

    Raises
    ------
    ConvergenceError
        No decay within 2 million samples.
    """
    points = _SHORTEST
    while points <= _LONGEST:
        omega = 2 * np.pi * np.arange(points // 2 + 1) / points
        response = np.fft.irfft(response_at(low_pass, omega), points)
        size = np.abs(response)
        if np.isfinite(size).all() and size[points // 2 :].max() <= _TAIL * size.max():
            return np.asarray(response[: np.flatnonzero(size > _TAIL * size.max())[-1] + 1])
        points *= 4
    raise ConvergenceError(f"{low_pass}: impulse response has not decayed after {_LONGEST // 2} samples")


class FilterShare:
    """Share of the variance of a signal with autocorrelation z^abs(n) that a filter lets through.

    Exponential moving average: `passed_fraction`. A filter with poles: `correlated_variance` of its state
    space. Any other: C_0 + 2 sum C_n z^n over the autocorrelation C of its impulse response. A filter that
    gets every m-th sample only (``every``) sees the autocorrelation (z^m)^abs(n).
    """

    def __init__(self, low_pass: Filter, every: int = 1) -> None:
        self.every = every
        self.eta = float(low_pass) if isinstance(low_pass, float | int) else None
        self.space = None if isinstance(low_pass, float | int) else state_space(low_pass)
        self.coefficients = np.ones(1)
        if self.eta is None and self.space is None:
            h = impulse_response(low_pass)
            spectrum = np.abs(np.fft.rfft(h, 2 * h.size)) ** 2
            self.coefficients = np.fft.irfft(spectrum, 2 * h.size)[: h.size]
            self.coefficients[1:] *= 2

    def __call__(self, pole: ArrayLike) -> Array:
        """Share at each ``pole``, of its shape; infinite where |pole| > 1."""
        z = np.asarray(pole, np.float64) ** self.every
        if self.eta is not None:
            return passed_fraction(z, self.eta)
        stable = np.abs(z) <= 1
        safe = np.where(stable, z, 0.0)
        passed = (
            polyval(safe, self.coefficients) if self.space is None else correlated_variance(self.space, safe)
        )
        return np.where(stable, passed, np.inf)


def white_power(pole: Array, passes: FilterShare | None = None) -> Array:
    """Variance of white noise of variance 1 behind 1/(1 - a/z) and a filter; infinite if unstable."""
    stable = np.abs(pole) < 1
    safe = np.where(stable, pole, 0.0)
    passed = 1.0 if passes is None else passes(safe)
    return np.where(stable, passed / (1 - safe**2), np.where(np.isnan(pole), np.nan, np.inf))


def chopped_power(
    pole: Array, chopper: SignSequence | None, low_pass: Filter = 1.0, passes: FilterShare | None = None
) -> Array:
    """Variance of chopper signs behind 1/(1 - a/z) and a filter, without the square of their mean.

    Telegraph with correlation r, by partial fractions: (1 - r^2)/((a - r)(1 - a r)) times the difference of
    z S(z)/(1 - z^2) between z = a and z = r, S being the filter's share. Signs that repeat: sum over lines.
    """
    stable = np.abs(pole) < 1
    a = np.where(stable, pole, 0.0)
    law = sign_law(chopper)
    if isinstance(law, Telegraph):
        power = _telegraph_power(a, law.correlation, FilterShare(low_pass) if passes is None else passes)
    else:
        power = np.zeros(a.shape)
        if chopper is not None:
            power = _line_power(a, chopper.lines(), low_pass)
    return np.where(stable, power, np.where(np.isnan(pole), np.nan, np.inf))


def sign_power(chopper: SignSequence, low_pass: Filter) -> float:
    """Power of a chopper's signs behind a filter, with that of their mean; 1 without a filter."""
    lines = chopper.lines()
    still = np.abs(lines.omega) < 1e-12
    at_rest = lines.power[still].sum() * np.abs(response_at(low_pass, np.zeros(1))[0]) ** 2
    return float(chopped_power(np.zeros(1), chopper, low_pass)[0] + at_rest)


def _telegraph_power(a: Array, r: float, passes: FilterShare) -> Array:
    """Divided difference between a and r, drawn apart around their middle where they are too close."""
    middle = (a + r) / 2
    gap = a - r
    least = _NEAR * (1 - np.abs(middle))
    gap = np.where(np.abs(gap) < least, least, gap)
    ends = [z * passes(z) / (1 - z**2) for z in (middle + gap / 2, middle - gap / 2)]
    return np.asarray((1 - r**2) / (1 - a * r) * (ends[0] - ends[1]) / gap)


def _line_power(a: Array, lines: LineSpectrum, low_pass: Filter) -> Array:
    """Sum over the lines above 0; those below are the mirror image of all but the one at pi."""
    above = lines.omega > 1e-12
    omega, power = lines.omega[above], lines.power[above]
    weight = power * np.abs(response_at(low_pass, omega)) ** 2 * np.where(omega < np.pi * (1 - 1e-12), 2, 1)
    total = np.zeros(a.shape)
    for first in range(0, omega.size, _LINES_AT_ONCE):
        cut = slice(first, first + _LINES_AT_ONCE)
        cosine = np.cos(omega[cut]).reshape(-1, *[1] * a.ndim)
        total += np.tensordot(weight[cut], 1 / (1 + a**2 - 2 * a * cosine), axes=1)
    return total


def cycle_mean(pole: Array, tilt: Array, drive: Array, signs: Array) -> Array:
    """Settled mean over a period of x' = (a - c tilt) x - c drive with repeating ``signs`` [period] c.

    One affine map per run of equal signs: x -> f + (x - f) A^n with A = a - c tilt and f = -c drive/(1 -
    A).
    """
    starts = np.flatnonzero(np.diff(signs, prepend=0.0))
    lengths = np.diff(np.append(starts, signs.size))
    sides = {}
    for c in (1.0, -1.0):
        factor = pole - c * tilt
        fixed = -c * drive / (1 - factor)
        sides[c] = {int(n): _run(factor, fixed, int(n)) for n in np.unique(lengths)}
    scale, shift = np.ones_like(pole), np.zeros_like(pole)
    weight, total = np.zeros_like(pole), np.zeros_like(pole)
    for start, n in zip(starts, lengths, strict=True):
        factor, step, gain, level = sides[float(signs[start])][int(n)]
        weight, total = weight + gain * scale, total + gain * shift + level
        scale, shift = factor * scale, factor * shift + step
    return np.asarray((weight * shift / (1 - scale) + total) / signs.size)


def _run(factor: Array, fixed: Array, n: int) -> tuple[Array, Array, Array, Array]:
    """Map x -> scale x + shift of n steps, and the sum gain x + level of the n states on the way."""
    scale = factor**n
    gain = factor * (1 - scale) / (1 - factor)
    return scale, fixed * (1 - scale), gain, fixed * (n - gain)
