"""A cell known from its measured pulse response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sptrack.fitting.estimate import Estimates
from sptrack.fitting.laws import Floats
from sptrack.fitting.statespace import unpack

__all__ = ["Diagnostics", "Estimate", "MeasuredDevice", "Unidentified", "find_unidentified"]

_FACTOR = 3.0
_SHARE = 0.25


class Estimate(NamedTuple):
    """Estimate of a parameter with its 95 % interval.

    An end that the readings leave open is infinite; one that the search did not find is NaN.
    """

    value: float
    low: float
    high: float


class Unidentified(NamedTuple):
    """Name of a parameter that the readings cannot identify, and why."""

    name: str
    reason: str


class Diagnostics(NamedTuple):
    """Goodness of fit to the readings.

    `log_likelihood` is the plain one at the estimates (constant dropped). `whiteness` is the Ljung-Box
    p-value of the innovations over up to 20 lags: a small one means structure that the model does not have.
    """

    log_likelihood: float
    whiteness: float
    readings: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredDevice:
    """Fit of one measured cell: what `fit_pulse_response` returns.

    Attributes
    ----------
    name : str
        Name of the cell.
    family : str
        One of `FAMILIES`.
    parameters : mapping of str to Estimate
        `step_up`, `step_down`, mean steps at w = 0, or at the symmetric point if 0 was not visited (weight
        units per pulse, both positive); bounds (weight units): `tau_max`, `tau_min` where steps vanish
        linearly, else `w_max`, `w_min`; shape parameters of the family (`gamma_up`, `gamma_down`, or
        `kappa_up`, `kappa_down` in inverse weight units; for the piecewise family `step_up_1`, ... at equally
        spaced nodes on `range`); `symmetric_point` (weight units); `read_noise`, standard deviation of the
        white reading noise (weight units); `cycle_noise`, standard deviation of a step over its mean;
        `slow_noise` (weight units) and its correlation time `slow_memory` (readings), only if the readings
        call for them.
    unidentified : tuple of Unidentified
        Parameters that the readings cannot identify: an interval that is open, a scale whose interval spans
        more than a factor 3, a symmetric point whose interval is wider than a quarter of `range` or leaves
        it.
    range : tuple of float
        Lowest and highest state visited, weight units (means of twentieths of a stretch).
    predicted, deviation, mean, residuals : array [N]
        Each reading as predicted from those before it and the standard deviation of that prediction (weight
        units), the response without any noise (weight units), and innovations over their standard deviation.
    diagnostics : Diagnostics
        Goodness of fit.
    fitted : Estimates
        The fit as the likelihood knows it.
    """

    name: str
    family: str
    parameters: Mapping[str, Estimate]
    unidentified: tuple[Unidentified, ...]
    range: tuple[float, float]
    predicted: Floats
    deviation: Floats
    mean: Floats
    residuals: Floats
    diagnostics: Diagnostics
    fitted: Estimates

    @property
    def dw_min(self) -> float:
        """Granularity: mean of `step_up` and `step_down`, weight units."""
        return 0.5 * (self.parameters["step_up"].value + self.parameters["step_down"].value)

    @property
    def read_noise(self) -> float:
        """Std of a single reading about the state, white and slow noise together, weight units."""
        slow = self.parameters.get("slow_noise")
        return float(np.hypot(self.parameters["read_noise"].value, 0.0 if slow is None else slow.value))

    @property
    def symmetric_point(self) -> Estimate:
        """State at which the mean up and down steps are equal, weight units."""
        return self.parameters["symmetric_point"]

    @property
    def coefficients(self) -> Floats:
        """Coefficients [2, n] of the law."""
        return np.asarray(unpack(self.fitted.problem, self.fitted.theta[:, None]).coefficients[0, 0])


def _rounded(count: float) -> int:
    """A number of readings, rounded up to two digits."""
    unit = 10 ** max(int(np.floor(np.log10(count))) - 1, 0)
    return int(np.ceil(count / unit) * unit)


def find_unidentified(
    parameters: Mapping[str, Estimate], visited: tuple[float, float], readings: int = 0
) -> tuple[Unidentified, ...]:
    """Name the parameters whose interval is too wide or open, each with a reason of one line.

    Parameters
    ----------
    parameters : mapping of str to Estimate
        Estimates by name, as in `MeasuredDevice`.
    visited : tuple of float
        Lowest and highest state visited, weight units.
    readings : int
        Readings behind the estimates: the reason then says how many of the kind would do, as errors fall with
        the root of their number.
    """
    found = []
    for name, (value, low, high) in parameters.items():
        reason = ""
        near, far = sorted((abs(low), abs(high)))
        edge = 1e-3 * (visited[1] - visited[0])
        if name == "symmetric_point" and not visited[0] + edge < value < visited[1] - edge:
            reason = (
                "nowhere among the visited states do up steps fall, and down steps rise, through each other"
            )
        elif np.isnan(low) or np.isnan(high):
            which = "neither end" if np.isnan(low) and np.isnan(high) else "one end"
            reason = f"the search found {which} of the interval"
        elif name == "symmetric_point":
            if not visited[0] < low <= high < visited[1]:
                reason = f"{low:.3g} to {high:.3g} (95 %) leaves visited {visited[0]:.3g} to {visited[1]:.3g}"
            elif high - low > _SHARE * (visited[1] - visited[0]):
                reason = f"{low:.3g} to {high:.3g} (95 %) is wider than a quarter of the visited states"
            if reason and readings and np.isfinite(high - low):
                more = ((high - low) / (_SHARE * (visited[1] - visited[0]))) ** 2
                if more > 1.0:
                    reason += f"; about {_rounded(more * readings):,} readings of this kind would do"
        elif name.endswith("_noise") and low < 0.02 * high:
            unit = " times the mean step" if name == "cycle_noise" else ""
            reason = f"at most {high:.3g}{unit} (95 %); no lower limit"
        elif not np.isfinite(far):
            reason = f"beyond {near:.3g} (95 %); no limit on the other side"
        elif far > _FACTOR * near or low * high < 0.0:
            reason = f"{low:.3g} to {high:.3g} (95 %) spans more than a factor {_FACTOR:g}"
        if reason:
            found.append(Unidentified(name, reason))
    return tuple(found)
