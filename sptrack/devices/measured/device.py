"""A cell known from its measured pulse response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sptrack.devices.measured.laws import Floats

__all__ = ["Diagnostics", "Estimate", "MeasuredDevice", "Unidentified", "find_unidentified"]

_FACTOR = 3.0
_SHARE = 0.25


class Estimate(NamedTuple):
    """Estimate of a parameter with its 95 % interval."""

    value: float
    low: float
    high: float


class Unidentified(NamedTuple):
    """Name of a parameter that the readings cannot identify, and why."""

    name: str
    reason: str


class Diagnostics(NamedTuple):
    """How well the model describes the readings.

    `log_likelihood` is that of the estimates (constant dropped, prior of the piecewise steps included).
    `whiteness` is the Ljung-Box p-value of the innovations over 20 lags: a small one means structure that the
    model does not have.
    `start_gap` is the start of the down run minus the end of the up run, in standard deviations: beyond 2 the
    runs are not consecutive. `block_length` (readings) and `resamples` (converged ones) are the bootstrap's.
    """

    log_likelihood: float
    whiteness: float
    start_gap: float
    block_length: int
    resamples: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredDevice:
    """Fit of one measured cell: what `fit_pulse_response` returns.

    Attributes
    ----------
    family : str
        "soft-bounds" or "piecewise".
    parameters : mapping of str to Estimate
        `start_up`, `start_down` (weight units); `read_noise`, standard deviation of the white reading noise
        (weight units); `cycle_noise`, standard deviation of a step over its mean; `slow_noise` (weight units)
        and its correlation time `slow_memory` (pulses), only if the readings call for them; `step_up`,
        `step_down`, mean steps at w = 0 (weight units per pulse, both positive); then `tau_max`, `tau_min`
        (weight units) or `step_up_1`, `step_down_1`, ... at equally spaced nodes on `range`; and
        `symmetric_point` (weight units).
    draws : array [resamples, parameters]
        Bootstrap refits, columns in the order of `parameters`; the cycle noise of each is a draw from its
        likelihood.
    unidentified : tuple of Unidentified
        Parameters that the readings cannot identify: a scale whose interval spans more than a factor 3, a
        symmetric point whose interval is wider than a quarter of `range` or leaves it.
    range : tuple of float
        Lowest and highest state visited, weight units (means of twentieths of a run).
    diagnostics : Diagnostics
        Goodness of fit.
    """

    family: str
    parameters: Mapping[str, Estimate]
    draws: Floats
    unidentified: tuple[Unidentified, ...]
    range: tuple[float, float]
    diagnostics: Diagnostics

    @property
    def dw_min(self) -> float:
        """Granularity: mean of the up and the down step at w = 0, weight units.

        With it, a_plus = step_up/dw_min and a_minus = step_down/dw_min are dimensionless and average to 1.
        """
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

    def draw(self, shape: tuple[int, ...], seed: int = 0) -> dict[str, Floats]:
        """Draw cells that differ by the uncertainty of the fit: every cell is one bootstrap refit.

        This is what the readings leave open about one cell, not the spread between cells, of which the
        response of one cell says nothing.

        Parameters
        ----------
        shape : tuple of int
            Shape of the array of cells.
        seed : int
            Seed of the draw.

        Returns
        -------
        dict of str to array
            `step_up`, `step_down` [shape], mean steps at w = 0 in weight units per pulse, and `tau_max`,
            `tau_min` [shape] in weight units, or for the piecewise family `nodes_up`, `nodes_down`
            [shape, nodes], steps at equally spaced states on `range`.
        """
        rows = np.random.default_rng(seed).integers(len(self.draws), size=shape)
        columns = {name: self.draws[:, i][rows] for i, name in enumerate(self.parameters)}
        cells = {name: columns[name] for name in ("step_up", "step_down")}
        if self.family == "soft-bounds":
            return cells | {name: columns[name] for name in ("tau_max", "tau_min")}
        for side in ("up", "down"):
            nodes = [name for name in columns if name.startswith(f"step_{side}_")]
            cells[f"nodes_{side}"] = np.stack([columns[name] for name in nodes], axis=-1)
        return cells


def find_unidentified(
    parameters: Mapping[str, Estimate], visited: tuple[float, float], least_cycle: float
) -> tuple[Unidentified, ...]:
    """Name the parameters whose interval is too wide, or at its limit, each with a reason of one line.

    Parameters
    ----------
    parameters : mapping of str to Estimate
        Estimates by name, as in `MeasuredDevice`.
    visited : tuple of float
        Lowest and highest state visited, weight units.
    least_cycle : float
        Least cycle noise that the fit tries.
    """
    found = []
    for name, (_, low, high) in parameters.items():
        reason = ""
        near, far = sorted((abs(low), abs(high)))
        if name == "symmetric_point":
            if not visited[0] < low <= high < visited[1]:
                reason = f"{low:.3g} to {high:.3g} (95 %) leaves visited {visited[0]:.3g} to {visited[1]:.3g}"
            elif high - low > _SHARE * (visited[1] - visited[0]):
                reason = f"{low:.3g} to {high:.3g} (95 %) is wider than a quarter of the visited states"
        elif name == "cycle_noise" and low < 2.0 * least_cycle:
            reason = f"at most {high:.3g} times the mean step (95 %); no lower limit"
        elif not name.startswith("start_") and far > _FACTOR * near:
            reason = f"{low:.3g} to {high:.3g} (95 %) spans more than a factor {_FACTOR:g}"
        if reason:
            found.append(Unidentified(name, reason))
    return tuple(found)
