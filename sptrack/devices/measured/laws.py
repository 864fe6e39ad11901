"""Step laws of a measured cell: size and slope of the mean step, per direction."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIGNS", "Floats", "Law", "Piecewise", "SoftBounds"]

Floats = NDArray[np.float64]

SIGNS = np.array([1.0, -1.0])[:, None, None]
"""Direction of a pulse along the first axis of a state [2, B, M]: up, down."""


class Law(Protocol):
    """Mean step of one pulse from positive coefficients; B data sets, M parameter vectors each."""

    @property
    def coefficients(self) -> int:
        """Number of coefficients per direction."""

    def step(self, coefficients: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Size of the step and its derivative by the state.

        Parameters
        ----------
        coefficients : array [n, 2, B, M]
            Coefficients of the up (0) and the down (1) direction.
        state : array [2, B, M]
            States, weight units.
        """

    def prior(self) -> Floats:
        """Precision matrix [n, n] of a normal prior on the logarithms of one direction's coefficients."""

    def volume(self, coefficients: Floats) -> Floats:
        """Log determinant [B] of d(what steps are linear in)/d(log coefficients); coefficients [n, 2, B]."""

    def describe(self, coefficients: Floats) -> dict[str, Floats]:
        """Named parameters [B] in weight units, the symmetric point last, of coefficients [n, 2, B]."""


class SoftBounds(NamedTuple):
    """Linear law of eq. (7), Xiao et al. 2026 (arXiv 2602.21321): a (1 - c w) up, a (1 + c w) down.

    Coefficients: a, the step at w = 0 (weight units per pulse), and c = 1/|tau| (inverse weight units).
    """

    coefficients: int = 2

    def step(self, coefficients: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Size and slope of the step; see `Law`."""
        size, curvature = coefficients
        slope = -SIGNS * size * curvature
        return size + slope * state, slope

    def prior(self) -> Floats:
        """No prior."""
        return np.zeros((2, 2))

    def volume(self, coefficients: Floats) -> Floats:
        """Log determinant for the step a and the slope a c; see `Law`."""
        size, curvature = coefficients
        return np.asarray(np.sum(np.log(size * size * curvature), axis=0))

    def describe(self, coefficients: Floats) -> dict[str, Floats]:
        """Name steps at 0, bounds tau and the point w* = (a_up - a_down)/(a_up c_up + a_down c_down)."""
        (up, down), (curvature_up, curvature_down) = coefficients
        return {
            "step_up": up,
            "step_down": down,
            "tau_max": 1.0 / curvature_up,
            "tau_min": -1.0 / curvature_down,
            "symmetric_point": (up - down) / (up * curvature_up + down * curvature_down),
        }


class Piecewise(NamedTuple):
    """Linear interpolation between the steps at equally spaced nodes on [low, high], constant outside.

    Coefficients: the steps at the nodes, weight units per pulse.
    """

    low: float
    high: float
    coefficients: int = 5

    def step(self, coefficients: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Size and slope of the step; see `Law`."""
        width = (self.high - self.low) / (self.coefficients - 1)
        place = (state - self.low) / width
        inside = np.clip(place, 0.0, self.coefficients - 1)
        left = np.minimum(inside.astype(np.intp), self.coefficients - 2)
        below = np.take_along_axis(coefficients, left[None], axis=0)[0]
        rise = np.take_along_axis(coefficients, left[None] + 1, axis=0)[0] - below
        return below + rise * (inside - left), rise / width * (place == inside)

    def prior(self) -> Floats:
        """Let neighbouring steps differ by a factor e (one standard deviation): all nodes stay finite."""
        difference = np.diff(np.eye(self.coefficients), axis=0)
        return np.asarray(difference.T @ difference)

    def volume(self, coefficients: Floats) -> Floats:
        """Log determinant for the steps at the nodes; see `Law`."""
        return np.asarray(np.sum(np.log(coefficients), axis=(0, 1)))

    def describe(self, coefficients: Floats) -> dict[str, Floats]:
        """Name the steps at 0 and at every node (1 = low), and the symmetric point.

        The symmetric point is the first state at which the up step falls below the down step; the end of
        [low, high] where they come closest to it when none does.
        """
        up, down = self.step(coefficients[..., None], np.zeros((2, coefficients.shape[2], 1)))[0][..., 0]
        named = {"step_up": up, "step_down": down}
        for i, (node_up, node_down) in enumerate(coefficients, start=1):
            named |= {f"step_up_{i}": node_up, f"step_down_{i}": node_down}
        return named | {"symmetric_point": self._crossing(coefficients[:, 0] - coefficients[:, 1])}

    def _crossing(self, excess: Floats) -> Floats:
        """First downward zero crossing of node values [n, B]."""
        falls = (excess[:-1] > 0.0) & (excess[1:] <= 0.0)
        left = np.argmax(falls, axis=0)
        columns = np.arange(excess.shape[1])
        before, after = excess[left, columns], excess[left + 1, columns]
        with np.errstate(divide="ignore", invalid="ignore"):
            place = left + before / (before - after)
        end = np.where(excess[-1] > 0.0, self.coefficients - 1.0, 0.0)
        place = np.where(falls.any(axis=0), place, end)
        return np.asarray(self.low + place * (self.high - self.low) / (self.coefficients - 1))
