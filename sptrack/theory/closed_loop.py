"""The tracking loop linearised around the symmetric point: poles, spectra, variances and biases of P and Q.

With x = P - w*, gradient g = m + s xi, chopper c, rate alpha, response q0 at w*, slopes G' and F' of the
asymmetric and symmetric parts, eq. (18a) of Xiao et al. 2026 (arXiv 2602.21321) is to first order in x

    x' = (a - alpha F' c m) x - alpha q0 c g + b,        a = 1 - alpha E|g| G'

where b holds the rounding to whole pulses and the cycle noise. P's fluctuation is that of white noise of
variance v = alpha^2 q0^2 s^2 + Var b and of the chopped mean -alpha q0 m c, both through the pole a; Q is
P, plus read noise, through a filter. The mean of both differs from w* for three reasons, each to its
leading order:

- chopper-state correlation: the symmetric part F' acts while P leans to the side of the chopper's state;
- multi-pulse update: the later pulses of a step see the weight that the first ones left, which for E
N(N-1)/2
  pairs of pulses adds dw^2 q0 F' E N(N-1)/2 a step; absent in one Euler step;
- curvature: G'' Var P / 2 pulls the mean of a fluctuating weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from sptrack.devices.constants import additive_levels, local_derivatives, noise_power
from sptrack.errors import ParameterError
from sptrack.theory.chopping import (
    EveryNth,
    Filter,
    FilterShare,
    SignSequence,
    Telegraph,
    chopped_power,
    cycle_mean,
    demodulated_gain,
    loop_pole,
    response_at,
    sign_law,
    white_power,
)
from sptrack.theory.drive import Array, CountLaw, CountMoments, GradientStatistics, count_moments, mean_size
from sptrack.values import check_choice, check_number, real_array

if TYPE_CHECKING:
    from sptrack.devices.cells import Cells

Application = Literal["sequential", "burst", "euler"]

VALIDITY_LIMITS = {"linear": 0.3, "exp-step": 0.1, "pow-step": 0.1, "piecewise-step": 0.1, "custom": 0.1}
"""Largest rms of P around w* over half the range up to which variances hold within 10 %, by family.

Soft bounds and linear steps are "linear". Measured by `sptrack.evaluation.validity.validity_map`: linear
0.36, square law 0.13, soft-exponential 0.12, piecewise 0.12, and 0.23 for one exponential step, whose
parameters range too far for more than 0.1 to be said of the family.
"""
_MARGIN, _OVERLOAD = 3.0, 1e-3


class Spectrum(NamedTuple):
    """Two-sided spectrum: (1/2 pi) integral of ``density`` + sum of ``line_power`` is the mean square.

    Attributes
    ----------
    omega : ndarray, shape [points]
    density : ndarray, shape [*shape, points]
        Weight units squared.
    line_omega : ndarray, shape [lines]
        In (-pi, pi]; a line at 0 is the square of a mean that the linear model gives (`Prediction.bias` is
        exact).
    line_power : ndarray, shape [*shape, lines]
        Weight units squared.
    """

    omega: Array
    density: Array
    line_omega: Array
    line_power: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """Moments of P and Q in the linear model, once settled; arrays of the shape of the cells, NaN without w*.

    Parameters
    ----------
    bias_correlation, bias_multi_pulse, bias_curvature : ndarray
        Terms of E[P] - w* = E[Q] - w*, weight units. A chopper whose mean sign is not 0 adds to the first.
    var_p, var_q : ndarray
        Variances over time and noise, weight units squared; infinite where the pole is unstable.
    demodulated : ndarray
        E[c_k (P_(k+1) - w*)], weight units: what the mean gradient leaves on P for the transfer to W.
    lock_up, lock_down : ndarray
        P - w* at which P rests while the chopper stays at +1 or -1, weight units.
    low_density : ndarray
        Density of P at omega = 0, weight units squared: Var Q is about eta/2 of it when eta << 1 - a.
    warnings : tuple of str
        Why the numbers may not hold; empty within the limits of the model.
    """

    bias_correlation: Array
    bias_multi_pulse: Array
    bias_curvature: Array
    var_p: Array
    var_q: Array
    demodulated: Array
    lock_up: Array
    lock_down: Array
    low_density: Array
    warnings: tuple[str, ...]

    @property
    def bias(self) -> Array:
        """E[Q] - w*, the sum of the three terms, weight units."""
        return self.bias_correlation + self.bias_multi_pulse + self.bias_curvature

    @property
    def rms_p(self) -> Array:
        """Root mean square of P - w*, weight units."""
        return np.sqrt(self.var_p + self.bias**2)

    @property
    def rms_q(self) -> Array:
        """Root mean square of Q - w*, weight units."""
        return np.sqrt(self.var_q + self.bias**2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loop:
    """Cells and their drive, linearised; arrays of the shape of the cells, float64 (made by `linearise`).

    Parameters
    ----------
    alpha : float
        Rate of the gradient pulses, weight units per unit of gradient.
    gradient_mean, gradient_std, gradient_size : ndarray
        m, s and E|g|.
    response, slope, tilt, curvature : ndarray
        q0 (dimensionless), G' and F' (per weight unit), G'' at the symmetric point.
    pole : ndarray
        a = 1 - alpha E|g| G'.
    pulses : ndarray
        Pulses per step, E N.
    pulse_variance : ndarray
        Var b of whole pulses and cycle noise a step, weight units squared.
    multi_pulse : ndarray
        Mean step that later pulses of a step add, weight units.
    point, half_range, margin : ndarray
        w*, half the distance of the hard bounds, and the distance of w* to the nearer one, weight units.
    limit : float
        Entry of `VALIDITY_LIMITS` for the family.
    warnings : tuple of str
        What holds for any chopper and filter.
    """

    alpha: float
    gradient_mean: Array
    gradient_std: Array
    gradient_size: Array
    response: Array
    slope: Array
    tilt: Array
    curvature: Array
    pole: Array
    pulses: Array
    pulse_variance: Array
    multi_pulse: Array
    point: Array
    half_range: Array
    margin: Array
    limit: float
    warnings: tuple[str, ...]

    @property
    def white(self) -> Array:
        """Variance of what a step adds to P apart from the chopped mean, weight units squared."""
        return (self.alpha * self.response * self.gradient_std) ** 2 + self.pulse_variance

    @property
    def chopped(self) -> Array:
        """Mean step of the gradient while the chopper is -1: alpha q0 m, weight units."""
        return self.alpha * self.response * self.gradient_mean

    @property
    def time(self) -> Array:
        """Time constant -1/ln|a| of the drift to the symmetric point, steps; infinite if there is none."""
        size = np.abs(self.pole)
        with np.errstate(divide="ignore"):
            return np.where(size < 1, -1 / np.log(np.where(size < 1, size, 0.5)), np.inf)

    def correlation_bias(self, chopper: SignSequence | None) -> Array:
        """Mean of x from the chopper alone, weight units: exact for x' = (a - alpha F' m c) x - alpha q0 m c.

        Telegraph: alpha^2 F' q0 m^2 r/((1 - a)(1 - r a) - alpha^2 F'^2 m^2 r). Signs that repeat:
        `cycle_mean`. NaN where the pole of either state is unstable.
        """
        law = sign_law(chopper)
        tilt = self.alpha * self.tilt * self.gradient_mean
        stable = (np.abs(self.pole) + np.abs(tilt) < 1) & np.isfinite(self.pole)
        a, tilt = np.where(stable, self.pole, 0.0), np.where(stable, tilt, 0.0)
        if isinstance(law, Telegraph):
            r = law.correlation
            mean = tilt * self.chopped * r / ((1 - a) * (1 - r * a) - tilt**2 * r)
        else:
            mean = cycle_mean(a, tilt, self.chopped, law.signs)
        return np.where(stable, mean, np.nan)

    def lock(self, sign: int) -> Array:
        """P - w* at which P rests under a chopper that stays at ``sign``, weight units.

        -c m q0/(E|g| G' + c m F'), the limit of rare flips; NaN where that is no attractor.
        """
        pull = self.gradient_size * self.slope + sign * self.gradient_mean * self.tilt
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(pull > 0, -sign * self.gradient_mean * self.response / pull, np.nan)

    def predict(
        self,
        low_pass: Filter,
        chopper: SignSequence | None = None,
        *,
        read_noise: float = 0.0,
        every: int = 1,
    ) -> Prediction:
        """Settled mean and variance of P and Q.

        Parameters
        ----------
        low_pass : float or filter
            Rate eta of an exponential moving average, or a block or chain with a frequency response of gain
            1 at omega = 0.
        chopper : chopper, optional
            Its signs; none if not given.
        read_noise : float
            Std of the white noise of each read of P, weight units; adds to Q alone.
        every : int
            Steps between the reads of P that the filter gets.

        Raises
        ------
        ParameterError
            A chopper that neither repeats nor is a telegraph; eta outside (0, 1]; a negative read noise; less
            than one step between reads.
        ConvergenceError
            A filter whose impulse response does not decay.
        """
        var_q = self.filtered_variance(low_pass, chopper, read_noise=read_noise, every=every)
        drive = self.chopped**2
        var_p = _times(self.white, white_power(self.pole))
        var_p = var_p + _times(drive, chopped_power(self.pole, chopper))
        with np.errstate(divide="ignore", invalid="ignore"):
            late = self.multi_pulse / (1 - self.pole)
            curved = -self.curvature * var_p / (2 * self.slope) if np.any(self.curvature) else 0 * self.pole
            low = self.spectrum(0.0, chopper).density[..., 0]
        return Prediction(
            bias_correlation=self.correlation_bias(chopper),
            bias_multi_pulse=late,
            bias_curvature=curved,
            var_p=var_p,
            var_q=var_q,
            demodulated=-self.chopped * demodulated_gain(self.pole, chopper),
            lock_up=self.lock(1),
            lock_down=self.lock(-1),
            low_density=low,
            warnings=(*self.warnings, *_beyond(self, var_p), *_no_unit_gain(low_pass)),
        )

    def filtered_variance(
        self,
        low_pass: Filter,
        chopper: SignSequence | None = None,
        *,
        read_noise: float = 0.0,
        every: int = 1,
    ) -> Array:
        """Settled variance of Q alone, weight units squared; parameters and errors as in `predict`."""
        _check(low_pass, read_noise)
        if every < 1:
            raise ParameterError(f"every must be at least 1, got {every}")
        fraction = FilterShare(low_pass, every)
        seen = low_pass if every == 1 else EveryNth(low_pass, every)
        white = _times(self.white, white_power(self.pole, fraction)) + read_noise**2 * fraction(0.0)
        return white + _times(self.chopped**2, chopped_power(self.pole, chopper, seen, fraction))

    def spectrum(
        self,
        omega: ArrayLike,
        chopper: SignSequence | None = None,
        *,
        low_pass: Filter | None = None,
        read_noise: float = 0.0,
    ) -> Spectrum:
        """Spectrum of P - w*, or, given a filter, of Q - w*.

        (v + alpha^2 q0^2 m^2 S_c) / |1 - a exp(-j omega)|^2, times |H|^2 behind a filter, S_c being the
        spectrum of the signs; read noise adds its variance in front of the filter.

        Parameters
        ----------
        omega : array_like, shape [points]
            Rad per sample.
        chopper, low_pass, read_noise
            As in `predict`; with read noise and no filter, the spectrum of the reads.
        """
        w = np.atleast_1d(real_array(omega, "omega"))
        places, powers = np.zeros(1), np.ones(1)
        signs = np.zeros(w.shape)
        if chopper is not None:
            signs, (places, powers) = np.asarray(chopper.psd(w)), _lines(chopper)
        white, drive = self.white[..., None], self.chopped[..., None] ** 2
        density = (white + drive * signs) * self._gain(w) + read_noise**2
        lines = drive * powers * self._gain(places)
        if low_pass is not None:
            density = density * np.abs(response_at(low_pass, w)) ** 2
            lines = lines * np.abs(response_at(low_pass, places)) ** 2
        return Spectrum(w, density, places, lines)

    def _gain(self, omega: Array) -> Array:
        """1/|1 - a exp(-j omega)|^2, shape [*shape, points]."""
        a = self.pole[..., None]
        with np.errstate(divide="ignore"):
            return np.where(np.abs(a) < 1, 1 / (1 + a**2 - 2 * a * np.cos(omega)), np.nan)


def linearise(
    cells: Cells,
    *,
    alpha: float,
    gradient: GradientStatistics,
    law: CountLaw = "rounded",
    slots: int = 31,
    application: Application = "sequential",
) -> Loop:
    """Linearise the loop of P around the symmetric point of each cell, for a gradient that P does not change.

    Parameters
    ----------
    cells : cells of a device
        Cells of P.
    alpha : float
        Rate of the gradient pulses, at least 0.
    gradient : GradientStatistics
        Mean and std of the gradient, before the chopper.
    law, slots
        Count law and slots of the binomial one, as in `Tracker`.
    application : {"sequential", "burst", "euler"}
        "euler": all pulses of a step with the response at its start, as in eq. (2) of Xiao et al. 2026.

    Raises
    ------
    ParameterError
        A value outside its range, a gradient whose shape does not fit.
    """
    check_number("alpha", alpha, least=0)
    check_choice("application", application, get_args(Application))
    mean, std = _of_shape(gradient.mean, cells.shape), _of_shape(gradient.std, cells.shape)
    point = np.asarray(cells.symmetric_point, np.float64)
    lower, upper = np.asarray(cells.lower, np.float64), np.asarray(cells.upper, np.float64)
    derivatives = local_derivatives(cells)
    slope = (derivatives.plus + derivatives.minus) / 2
    tilt = (derivatives.minus - derivatives.plus) / 2
    q0 = np.where(np.isfinite(point), cells.q_plus(np.nan_to_num(point)), np.nan)
    counts = count_moments(alpha * mean / cells.dw_min, alpha * std / cells.dw_min, law=law, slots=slots)
    size = mean_size(mean, std)
    pole = np.where(np.isfinite(point), loop_pole(alpha, size, slope), np.nan)
    late = 0.0 if application == "euler" else 0.5 * counts.factorial
    return Loop(
        alpha=float(alpha),
        gradient_mean=mean,
        gradient_std=std,
        gradient_size=size,
        response=q0,
        slope=slope,
        tilt=tilt,
        curvature=derivatives.curvature,
        pole=pole,
        pulses=counts.mean,
        pulse_variance=_pulse_variance(cells, q0, point, counts),
        multi_pulse=cells.dw_min**2 * q0 * tilt * late,
        point=point,
        half_range=(upper - lower) / 2,
        margin=np.minimum(point - lower, upper - point),
        limit=VALIDITY_LIMITS["linear" if cells.linear is not None else cells.device.response.family],
        warnings=_static_warnings(point, pole, counts, slots),
    )


def _of_shape(values: ArrayLike, shape: tuple[int, ...]) -> Array:
    try:
        return np.broadcast_to(np.asarray(values, np.float64), shape)
    except ValueError:
        raise ParameterError(
            f"gradient must be one number or the shape {shape} of the cells, got shape {np.shape(values)}"
        ) from None


def _pulse_variance(cells: Cells, q0: Array, point: Array, counts: CountMoments) -> Array:
    """q0^2 dw^2 E Var(N | g) + dw^2 E N times the noise of one pulse."""
    noise = noise_power(cells, q0, np.hypot(*additive_levels(cells)) / np.sqrt(2), point)
    return np.asarray(cells.dw_min**2 * (q0**2 * counts.variance + noise * counts.mean))


def _static_warnings(point: Array, pole: Array, counts: CountMoments, slots: int) -> tuple[str, ...]:
    out = []
    missing = int(np.isnan(point).sum())
    if missing:
        out.append(f"no symmetric point in {missing} of {point.size} cells: no prediction there")
    unstable = int((np.abs(pole) >= 1).sum())
    if unstable:
        worst = float(pole.flat[np.nanargmax(np.abs(pole))])
        out.append(f"unstable pole {worst:.3g} in {unstable} of {pole.size} cells; stability needs |a| < 1")
    if counts.overload.max() > _OVERLOAD:
        fraction = 100 * float(counts.overload.max())
        out.append(
            f"binomial law: {fraction:.2g} % of the steps ask for more than the {slots} slots, which cut them"
        )
    return tuple(out)


def _beyond(loop: Loop, var_p: Array) -> list[str]:
    """Warnings on the size of the fluctuation."""
    out = []
    std = np.sqrt(np.where(np.isfinite(var_p), var_p, 0.0))
    ratio = std / loop.half_range
    if np.nanmax(ratio, initial=0.0) > loop.limit:
        out.append(
            f"rms of P {np.nanmax(ratio):.2g} of half the range in the worst cell: variances hold within "
            f"10 % up to {loop.limit:g} for this family"
        )
    close = int((_MARGIN * std > loop.margin).sum())
    if close:
        out.append(
            f"symmetric point within {_MARGIN:g} rms of a bound in {close} of {std.size} cells: clipping and "
            "the response near the bound are not in the model"
        )
    return out


def _no_unit_gain(low_pass: Filter) -> list[str]:
    gain = float(np.real(response_at(low_pass, 0.0)))
    return (
        []
        if abs(gain - 1) < 1e-6
        else [f"filter gain {gain:.4g} at omega = 0: the mean of Q is scaled by it"]
    )


def _check(low_pass: Filter, read_noise: float) -> None:
    if isinstance(low_pass, float | int) and not 0 < low_pass <= 1:
        raise ParameterError(f"eta must be a number > 0 and at most 1, got {low_pass}")
    check_number("read_noise", read_noise, least=0)


def _times(weight: Array, power: Array) -> Array:
    """Product in which nothing times infinity is nothing."""
    return np.where(weight == 0, 0.0, np.where(weight == 0, 1.0, weight) * power)


def _lines(chopper: SignSequence) -> tuple[Array, Array]:
    lines = chopper.lines()
    return np.asarray(lines.omega, np.float64), np.asarray(lines.power, np.float64)
