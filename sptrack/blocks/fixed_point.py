"""Coefficients of a filter in fixed-point numbers: response, poles and worst deviation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks.averages import EMA, LastSample, SteadyKalman
from sptrack.blocks.block import Block, LinearBlock
from sptrack.blocks.boxcars import CIC, Boxcar
from sptrack.blocks.chain import Chain
from sptrack.blocks.coefficients import FIR, SOS
from sptrack.blocks.loop import TrackingLoop, loop_sections
from sptrack.blocks.times import corner, pole_radius
from sptrack.errors import ParameterError
from sptrack.values import check_choice, check_whole

Real = NDArray[np.float64]
Rounding = Literal["nearest", "floor", "zero"]

_ROUND: dict[str, Any] = {"nearest": np.rint, "floor": np.floor, "zero": np.trunc}
_MAX_BITS = 53
"""Width of the mantissa of a float64."""
_POINTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPoint:
    """A filter of fixed-point coefficients beside the exact one (`fixed_point`).

    Attributes
    ----------
    exact, block : LinearBlock or Chain of them
        The filter, and the one of rounded coefficients.
    bits : int
        Word length of a coefficient, with its sign.
    rounding : {"nearest", "floor", "zero"}
        As given.
    pole : float
        Largest magnitude of the poles of ``block``.
    """

    exact: LinearBlock | Chain
    block: LinearBlock | Chain
    bits: int
    rounding: Rounding
    pole: float

    @property
    def stable(self) -> bool:
        """Whether all poles lie inside the unit circle."""
        return self.pole < 1

    def worst(self) -> tuple[float, float]:
        """Largest |difference of the complex gains|, and the omega (rad per sample) where it is.

        Over 4096 points on a logarithmic scale from a thousandth of the corner to pi and as many on a linear
        one; infinite for a pole on the unit circle.
        """
        low = (corner(self.exact) or 1.0) / 1000
        omega = np.union1d(np.geomspace(low, np.pi, _POINTS), np.linspace(0, np.pi, _POINTS))
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.abs(self.block.frequency_response(omega) - self.exact.frequency_response(omega))
        off = np.where(np.isnan(off), np.inf, off)
        place = int(np.argmax(off))
        return float(off[place]), float(omega[place])


def fixed_point(block: Block, bits: int, *, rounding: Rounding = "nearest") -> FixedPoint:
    """Round the coefficients of a filter to words of ``bits``, two's complement.

    The coefficients of one array share a binary point, placed so that the largest of them just fits: the
    taps of a FIR, numerator and denominator of a section each, eta of an EMA (q + eta (x - q) keeps the gain
    1), alpha and beta of a loop, the factor 1/length^order of moving averages. States and products are exact:
    the width of the reference itself is ``bits`` of a method.

    Parameters
    ----------
    block : LinearBlock or Chain of them, or an estimator that settles to one
        EMA, SteadyKalman, SOS, FIR, Boxcar, CIC, TrackingLoop, LastSample.
    bits : int
        2 to 53.
    rounding : {"nearest", "floor", "zero"}
        To the nearest word (ties to even), toward minus infinity (bits cut off), toward zero.

    Returns
    -------
    FixedPoint

    Raises
    ------
    ParameterError
        A block without coefficients (a filter of a user's own), bits outside their range, an unknown
        rounding.
    """
    check_whole("bits", bits, 2, _MAX_BITS)
    check_choice("rounding", rounding, get_args(Rounding))
    exact = block.settled
    parts = exact.blocks if isinstance(exact, Chain) else (exact,)
    words = partial(fixed_words, bits=bits, rounding=rounding)
    made = [one for part in parts for one in _rounded(part, words)]
    rounded = made[0] if len(made) == 1 else Chain(*made)
    return FixedPoint(
        exact=exact, block=rounded, bits=int(bits), rounding=rounding, pole=pole_radius(rounded)
    )


def fixed_words(values: Any, *, bits: int, rounding: Rounding = "nearest") -> Real:
    """Numbers rounded to words of ``bits`` that share the binary point of the largest.

    A unit of the last place is 2^(e + 1 - bits) where 2^e is the power of two above the largest magnitude;
    a number that rounds to the power itself stands one unit below it.
    """
    x = np.asarray(values, np.float64)
    largest = float(np.abs(x).max(initial=0.0))
    if largest == 0:
        return x.copy()
    unit = 2.0 ** (np.frexp(largest)[1] + 1 - bits)
    top = 2.0 ** (bits - 1)
    return np.asarray(np.clip(_ROUND[rounding](x / unit), -top, top - 1) * unit)


def _rounded(part: Block, words: Any) -> list[LinearBlock]:
    """A block of rounded coefficients, with a gain behind it where it has a factor."""
    clock = part.clock
    if isinstance(part, EMA):
        return [EMA(eta=float(words(part.eta)), order=part.order, clock=clock)]
    if isinstance(part, SteadyKalman):
        return [EMA(eta=float(words(part.gain)), clock=clock)]
    if isinstance(part, TrackingLoop):
        alpha, beta = (float(words(gain)) for gain in part.gains)
        return [loop_sections(alpha, beta, clock=part)]
    if isinstance(part, FIR):
        return [FIR(taps=words(part.taps), clock=clock)]
    if isinstance(part, SOS):
        rows = [np.concatenate([words(row[:3]), [1.0], words(row[4:])]) for row in part.sos]
        return [SOS(sos=np.array(rows), clock=clock)]
    if isinstance(part, Boxcar | CIC):
        factor = float(part.length) ** -(part.order if isinstance(part, CIC) else 1)
        gain = float(words(factor)) / factor
        return [part] if gain == 1 else [part, FIR(taps=np.array([gain]), clock=clock)]
    if isinstance(part, LastSample):
        return [part]
    raise ParameterError(f"{part} has no coefficients to round: use an EMA, SOS, FIR, boxcar, CIC or loop")
