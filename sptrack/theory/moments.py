"""Exact mean and variance of any pulse program on linear devices, cell by cell, without sampling.

On a linear device one pulse is affine in the weight, so mean and variance over the cycle noise obey a closed
recursion. With x = w - w* the offset from the symmetric point, s the step there, a = -slope_up, b =
slope_down and z = 1 + sigma xi the factor of one pulse (soft-bounds device of Xiao et al. 2026, arXiv
2602.21321, eq. (7)):

    up  x <- x + z (s - a x)          down  x <- x - z (s + b x)

Given the mean m and the variance V before a pulse, or before any fixed program of pulses,

    m <- (1 - loss) m + shift
    V <- (1 - variance_loss) V + quadratic m^2 + linear m + constant

and such maps are closed under composition: an affine map put into a quadratic is a quadratic. Doubling then
gives n repetitions in about log2(n) compositions. Losses are stored instead of factors, because 1 - 1e-6
raised to a power of 8e6 keeps its digits that way, and V is propagated instead of E x^2 - m^2, which
cancels.

The maps know no hard bounds: they are exact while no pulse is clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError

if TYPE_CHECKING:
    from sptrack.devices.cells import Cells

Array = NDArray[np.float64]


class Moments(NamedTuple):
    """Mean and variance of the offset w - w* of each cell.

    Attributes
    ----------
    mean : ndarray, shape [*shape]
        E[w] - w*, weight units.
    variance : ndarray, shape [*shape]
        Var[w] over the draws of pulses and cycle noise, weight units squared.
    """

    mean: Array
    variance: Array

    @property
    def mean_square(self) -> Array:
        """E[(w - w*)^2] of each cell, weight units squared."""
        return self.mean**2 + self.variance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MomentMap:
    """Effect of a pulse program on mean and variance; every field has shape [*shape].

    Parameters
    ----------
    loss, shift : ndarray
        m <- m - loss m + shift (shift in weight units).
    variance_loss : ndarray
        V <- V - variance_loss V + added(m).
    quadratic, linear, constant : ndarray
        added(m) = quadratic m^2 + linear m + constant, weight units squared.
    """

    loss: Array
    shift: Array
    variance_loss: Array
    quadratic: Array
    linear: Array
    constant: Array

    def apply(self, moments: Moments) -> Moments:
        """Moments after the program, from those before it."""
        mean, variance = moments
        added = (self.quadratic * mean + self.linear) * mean + self.constant
        return Moments(mean - self.loss * mean + self.shift, variance - self.variance_loss * variance + added)

    def then(self, after: MomentMap) -> MomentMap:
        """Map of this program followed by `after`."""
        factor = 1.0 - self.loss
        slope = 2.0 * after.quadratic * self.shift + after.linear
        level = (after.quadratic * self.shift + after.linear) * self.shift + after.constant
        keep = 1.0 - after.variance_loss
        return MomentMap(
            loss=self.loss + after.loss - self.loss * after.loss,
            shift=(self.shift + after.shift) - after.loss * self.shift,
            variance_loss=self.variance_loss + after.variance_loss - self.variance_loss * after.variance_loss,
            quadratic=keep * self.quadratic + after.quadratic * factor**2,
            linear=keep * self.linear + slope * factor,
            constant=keep * self.constant + level,
        )

    def repeated(self, times: int) -> MomentMap:
        """Map of the program run `times` times, in about log2(times) compositions.

        Raises
        ------
        ParameterError
            If `times` is negative.
        """
        if times < 0:
            raise ParameterError(f"repetitions must be 0 or more, got {times}")
        if times == 0:
            return MomentMap(**{field.name: 0.0 * self.loss for field in fields(self)})
        powers = [self]
        while 1 << len(powers) <= times:
            powers.append(powers[-1].then(powers[-1]))
        return composed(powers, times)

    def block(self, cut: slice) -> MomentMap:
        """The map of some of the cells, counted row by row; a view."""
        return MomentMap(**{field.name: getattr(self, field.name).reshape(-1)[cut] for field in fields(self)})

    def fixed_point(self) -> Moments:
        """Moments that the program leaves unchanged: the limit of repeating it for ever."""
        mean = self.shift / self.loss
        added = (self.quadratic * mean + self.linear) * mean + self.constant
        return Moments(mean, added / self.variance_loss)

    @classmethod
    def over(cls, rows: Array) -> MomentMap:
        """The map whose fields are the rows of an array [6, *shape]; views."""
        return cls(**dict(zip((field.name for field in fields(cls)), rows, strict=True)))

    def put(self, cut: slice, part: MomentMap) -> None:
        """Fill in the map of some of the cells, counted row by row."""
        for field in fields(self):
            getattr(self, field.name).reshape(-1)[cut] = getattr(part, field.name)


def composed(powers: Sequence[MomentMap], times: int) -> MomentMap:
    """Map of a program run ``times`` times (at least 1), from its maps for 1, 2, 4, 8, ... runs."""
    chosen = [power for level, power in enumerate(powers) if times >> level & 1]
    return reduce(MomentMap.then, chosen)


class _Response(NamedTuple):
    """Step at w*, fractional slopes, and coefficients (quadratic, linear, constant) of the noise variance."""

    step: Array
    up_slope: Array
    down_slope: Array
    up_noise: tuple[Array, Array, Array]
    down_noise: tuple[Array, Array, Array]


def _response(cells: Cells) -> _Response:
    """Linear response about the symmetric point; NaN in cells without one and in cells that overshoot."""
    if cells.linear is None:
        raise ParameterError("device is not linear: exact moments need step sizes linear in the weight")
    if cells.cycle_noise.offset or cells.cycle_noise.slope:
        raise ParameterError("cycle noise with offset or slope: must be proportional or additive alone")
    line = cells.linear
    up_slope = -np.asarray(line.slope_up, dtype=np.float64)
    down_slope = np.asarray(line.slope_down, dtype=np.float64)
    exact = np.isfinite(cells.symmetric_point) & (up_slope < 1) & (down_slope < 1)
    up_slope, down_slope = np.where(exact, up_slope, np.nan), np.where(exact, down_slope, np.nan)
    step = (line.up * down_slope + line.down * up_slope) / (up_slope + down_slope)
    power, zero = cells.cycle_noise.std**2, np.zeros_like(step)
    if cells.cycle_noise.additive:
        up_noise = (zero, zero, power * np.asarray(line.up) ** 2)
        down_noise = (zero, zero, power * np.asarray(line.down) ** 2)
    else:
        up_noise = (power * up_slope**2, -2 * power * step * up_slope, power * step**2)
        down_noise = (power * down_slope**2, 2 * power * step * down_slope, power * step**2)
    return _Response(step, up_slope, down_slope, up_noise, down_noise)


def _pulse(slope: Array, shift: Array, noise: tuple[Array, Array, Array]) -> MomentMap:
    quadratic, linear, constant = noise
    return MomentMap(
        loss=slope,
        shift=shift,
        variance_loss=slope * (2.0 - slope) - quadratic,
        quadratic=quadratic,
        linear=linear,
        constant=constant,
    )


def _pulses(cells: Cells) -> tuple[MomentMap, MomentMap]:
    """Maps of one up pulse and of one down pulse."""
    response = _response(cells)
    return (
        _pulse(response.up_slope, response.step, response.up_noise),
        _pulse(response.down_slope, -response.step, response.down_noise),
    )


def up_map(cells: Cells) -> MomentMap:
    """Moment map of one up pulse.

    Parameters
    ----------
    cells : cells of a device
        Linear cells of any shape. Cells without a symmetric point, and cells that overshoot (a pulse's
        fractional slope is 1 or more), get NaN here and everywhere below.

    Returns
    -------
    MomentMap
        m <- m + s - a m ; V <- (1-a)^2 V + E[noise variance at x], sigma^2 (s - a x)^2 when the noise is
        proportional to the step, sigma^2 up^2 when it is additive (up = step at weight zero).

    Raises
    ------
    ParameterError
        If the device is not linear.
    """
    return _pulses(cells)[0]


def down_map(cells: Cells) -> MomentMap:
    """Moment map of one down pulse; see `up_map`.

    Returns
    -------
    MomentMap
        m <- m - s - b m ; V <- (1-b)^2 V + E[noise variance at x].

    Raises
    ------
    ParameterError
        If the device is not linear.
    """
    return _pulses(cells)[1]


def coin_map(cells: Cells) -> MomentMap:
    """Moment map of one pulse whose direction is a fair coin, drawn for each cell; see `up_map`.

    The law of total variance over the coin: the variances of the two pulses are averaged, and the square of
    half the distance of their means, s + (b - a) m / 2, is added. Repeated n times from x0 this is E x =
    A^n x0 and E x^2 = B^n x0^2 + C x0 (A^n - B^n)/(A - B) + D (1 - B^n)/(1 - B) with A = 1 - (a+b)/2, B = 1
    - (a+b) + kappa (a^2+b^2)/2, C = kappa s (b-a), D = kappa s^2, kappa = 1 + sigma^2 (proportional noise).

    Returns
    -------
    MomentMap
        Fixed point: mean exactly 0, variance D/(1 - B).

    Raises
    ------
    ParameterError
        If the device is not linear.
    """
    up, down = _pulses(cells)
    step, tilt = up.shift, (down.loss - up.loss) / 2
    return MomentMap(
        loss=(up.loss + down.loss) / 2,
        shift=np.zeros_like(step),
        variance_loss=(up.variance_loss + down.variance_loss) / 2,
        quadratic=(up.quadratic + down.quadratic) / 2 + tilt**2,
        linear=(up.linear + down.linear) / 2 + 2 * step * tilt,
        constant=(up.constant + down.constant) / 2 + step**2,
    )


def program_map(cells: Cells, runs: Sequence[int]) -> MomentMap:
    """Moment map of a known pulse program.

    Parameters
    ----------
    cells : cells of a device
        Linear cells, see `up_map`.
    runs : sequence of int
        Signed run lengths in order: +500 is 500 up pulses, -1 one down pulse; a plain list of +1 and -1 is
        a program too. A run costs log2(length) compositions; use `MomentMap.repeated` for a pattern that
        repeats.

    Returns
    -------
    MomentMap

    Raises
    ------
    ParameterError
        If the device is not linear.
    """
    up, down = _pulses(cells)
    parts = [(up if run > 0 else down).repeated(abs(int(run))) for run in runs]
    return reduce(MomentMap.then, parts) if parts else up.repeated(0)
