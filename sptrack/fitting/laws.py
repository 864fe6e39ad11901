"""Families that can be fitted: their coefficients, and what these mean in weight units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sptrack.devices.families import LinearStep, PiecewiseStep, Response, SoftBounds
from sptrack.errors import ParameterError, nearest
from sptrack.fitting import _filter as filters

__all__ = ["FAMILIES", "Floats", "Law", "family_law"]

Floats = NDArray[np.float64]

FAMILIES = ("soft-bounds", "pow-step", "exp-step", "soft-exponential", "linear-step", "piecewise")
"""Families in order of their coefficients; what they are: `Law`."""
NODES = 5
"""Nodes per direction of the piecewise family."""
_FARTHEST = 10.0
"""Farthest bound tried, in visited ranges, unless the pulses go a longer way."""
_FALLS = 3.0
"""Standard deviation of the logarithm of the ratio of the falls of up and of down steps."""
_SAMPLES = 33
_BISECTIONS = 45
_KINDS = (
    filters.SOFT_BOUNDS,
    filters.POW_STEP,
    filters.EXP_STEP,
    filters.SOFT_EXPONENTIAL,
    filters.LINEAR_STEP,
    filters.PIECEWISE,
)
_SHAPE_NAMES = {"pow-step": "gamma", "exp-step": "kappa", "soft-exponential": "kappa", "linear-step": "gamma"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A family on one cell's visited range.

    With x the distance from ``origin`` along the pulse, B the distance of the bound ahead and a the step at
    the origin, the mean steps are

    - soft-bounds:      a (1 - x/B)
    - pow-step:         a (1 - x/B)^gamma, at most to B
    - exp-step:         a (1 - exp(kappa (x - B))) / (1 - exp(-kappa B)), which falls late
    - soft-exponential: a (exp(-kappa x) - exp(-kappa B)) / (1 - exp(-kappa B)), which falls early
    - linear-step:      a (1 - g x), cut at a hard bound B
    - piecewise:        interpolation between five free steps on the visited range

    Coefficients are a, 1/B (linear-step: g) and gamma or kappa (linear-step: 1/B), all positive.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    low, high : float
        Visited range, weight units; the origin is its middle.
    """

    family: str
    low: float
    high: float

    @property
    def coefficients(self) -> int:
        """Number of coefficients per direction."""
        return {"soft-bounds": 2, "piecewise": NODES}.get(self.family, 3)

    @property
    def scales(self) -> slice:
        """Coefficients that are steps."""
        return slice(None) if self.family == "piecewise" else slice(1)

    @property
    def origin(self) -> float:
        """Middle of the visited range, weight units."""
        return 0.5 * (self.low + self.high)

    @property
    def shape(self) -> filters.Shape:
        """The law as the kernels want it."""
        return filters.Shape(_KINDS[FAMILIES.index(self.family)], 0.5 * (self.high - self.low))

    def prior(self) -> Floats:
        """Precision matrix [2 n, 2 n] of a normal prior on the logarithms of the coefficients, up then down.

        Neighbouring nodes of the piecewise family differ by a factor e (one standard deviation), so that all
        stay finite. The falls of up and down steps of the other families differ by a factor e^3: readings
        around a symmetric point tell their sum alone.
        """
        if self.family == "piecewise":
            difference = np.diff(np.eye(NODES), axis=0)
            return np.asarray(np.kron(np.eye(2), difference.T @ difference))
        between = np.zeros(2 * self.coefficients)
        between[1], between[self.coefficients + 1] = 1.0 / _FALLS, -1.0 / _FALLS
        return np.outer(between, between)

    def start(self, speeds: Floats, path: float) -> tuple[Floats, Floats]:
        """Logarithms [2, n] of coefficients to start from, and their limits [2, 2, n].

        Parameters
        ----------
        speeds : array [2]
            Mean steps up and down, weight units per pulse.
        path : float
            Way that all pulses of one direction go, weight units. A bound shows by the fall of the steps on
            that way, even if the states visited come nowhere near it.
        """
        span = self.high - self.low
        farthest = max(_FARTHEST, path / span)
        begin = np.repeat(np.log(speeds)[:, None], self.coefficients, axis=1)
        ends = np.array([begin - np.log(200.0), begin + np.log(200.0)])
        if self.family == "piecewise":
            return begin, ends
        begin[:, 1], ends[0, :, 1], ends[1, :, 1] = np.log(np.array([0.5, 1.0 / farthest, 10.0]) / span)
        if self.family == "pow-step":
            begin[:, 2], ends[0, :, 2], ends[1, :, 2] = np.log([1.0, 0.2, 5.0])
        elif self.family in ("exp-step", "soft-exponential"):
            begin[:, 2], ends[0, :, 2], ends[1, :, 2] = np.log(np.array([0.3, 0.05, 8.0]) / span)
        elif self.family == "linear-step":
            begin[:, 2], ends[0, :, 2], ends[1, :, 2] = np.log(np.array([2.1, 0.5, 4.0]) / span)
        return begin, ends

    def starts(self, coefficients: Floats) -> list[tuple[Floats, int]]:
        """Logarithms [B, 2, c] to search from, and the hard bounds that each search has to locate.

        A bound that no state reaches has no slope: a search leaves it where it is. One inside the visited
        range, where `start` has it, ends at a maximum near the outermost readings even if the cell knows no
        bound. So both are tried in each direction, and a bound counts as a parameter only where it is found.
        """
        if self.family != "linear-step":
            return [(coefficients, 0)]
        outside, found = np.log(1.5 / (self.high - self.low)), []
        for sides in ([], [0], [1], [0, 1]):
            tried = coefficients.copy()
            tried[:, sides, 2] = outside
            found.append((tried, 2 - len(sides)))
        return found

    def steps(self, coefficients: Floats, weights: Floats) -> Floats:
        """Mean steps [2, B, n] up and down of coefficients [B, 2, c] at weights [B, n], weight units."""
        out = np.empty((2, *weights.shape))
        for side, sign in enumerate((1.0, -1.0)):
            chosen = np.ascontiguousarray(coefficients[:, side])
            filters.law_steps(self.shape, chosen, sign * (weights - self.origin), out[side])
        return out

    def describe(self, coefficients: Floats) -> dict[str, Floats]:
        """Named parameters [B], the symmetric point last, of coefficients [B, 2, c]."""
        up, down = self.steps(coefficients, self.granularity_point(coefficients)[:, None])[..., 0]
        named = {"step_up": up, "step_down": down}
        if self.family == "piecewise":
            for k in range(NODES):
                named[f"step_up_{k + 1}"] = coefficients[:, 0, k]
                named[f"step_down_{k + 1}"] = coefficients[:, 1, NODES - 1 - k]
        else:
            upper, lower = self.bounds(coefficients)
            soft = self.family == "soft-bounds"
            named |= {"tau_max" if soft else "w_max": upper, "tau_min" if soft else "w_min": lower}
        if self.family in _SHAPE_NAMES:
            name = _SHAPE_NAMES[self.family]
            named |= {f"{name}_{side}": values for side, values in self._shapes(coefficients).items()}
        return named | {"symmetric_point": self.symmetric_point(coefficients)}

    def bounds(self, coefficients: Floats) -> tuple[Floats, Floats]:
        """Upper and lower bound [B], weight units; the visited range for the piecewise family."""
        if self.family == "piecewise":
            return np.full(len(coefficients), self.high), np.full(len(coefficients), self.low)
        inverse = coefficients[:, :, 2 if self.family == "linear-step" else 1]
        return self.origin + 1.0 / inverse[:, 0], self.origin - 1.0 / inverse[:, 1]

    def _shapes(self, coefficients: Floats) -> dict[str, Floats]:
        """Shape parameters of both directions, as the response families define them."""
        if self.family != "linear-step":
            return {"up": coefficients[:, 0, 2], "down": coefficients[:, 1, 2]}
        slope_up, slope_down = coefficients[:, 0, 1], coefficients[:, 1, 1]
        upper, lower = self.bounds(coefficients)
        return {
            "up": slope_up * upper / (1.0 + slope_up * self.origin),
            "down": -slope_down * lower / (1.0 - slope_down * self.origin),
        }

    def symmetric_point(self, coefficients: Floats) -> Floats:
        """Weight [B] at which both mean steps are equal; the end of the searched range where there is none.

        Searched: the visited range and one more to either side, inside the bounds.
        """
        if self.family == "soft-bounds":
            (a, c), (b, d) = coefficients[:, 0].T, coefficients[:, 1].T
            return np.asarray(self.origin + (a - b) / (a * c + b * d))
        span = 0.0 if self.family == "piecewise" else self.high - self.low
        upper, lower = self.bounds(coefficients)
        above, below = np.minimum(upper, self.high + span), np.maximum(lower, self.low - span)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (above + below)
            up, down = self.steps(coefficients, middle[:, None])[..., 0]
            below, above = np.where(up > down, middle, below), np.where(up > down, above, middle)
        return np.asarray(0.5 * (above + below))

    def ends(self, coefficients: Floats) -> tuple[Floats, Floats]:
        """Upper and lower weight [B] of the nodes: the bounds, but not far beyond the visited range.

        Of the piecewise family: where its last piece reaches 0.
        """
        upper, lower = self.bounds(coefficients)
        margin = 0.5 * (self.high - self.low)
        if self.family == "piecewise":
            gap, near = (self.high - self.low) / (NODES - 1), 0.5 * margin
            last, before = coefficients[:, :, -1], coefficients[:, :, -2]
            with np.errstate(divide="ignore"):
                reach = np.where(before > last, last * gap / np.maximum(before - last, 1e-300), np.inf)
            reach = np.minimum(reach, near)
            return upper + reach[:, 0], lower - reach[:, 1]
        return np.minimum(upper, self.high + margin), np.maximum(lower, self.low - margin)

    def nodes(self, coefficients: Floats) -> Floats:
        """Steps [2, B, n], not below 0, at equally spaced weights between the `ends` of the nodes."""
        upper, lower = self.ends(coefficients)
        weights = np.linspace(lower, upper, _SAMPLES, axis=1)
        steps = self.steps(coefficients, weights)
        if self.family == "piecewise":
            gap = (self.high - self.low) / (NODES - 1)
            for side, beyond in enumerate((weights - self.high, self.low - weights)):
                fall = (coefficients[:, side, -2] - coefficients[:, side, -1])[:, None] / gap
                steps[side] -= np.maximum(beyond, 0.0) * np.maximum(fall, 0.0)
        return np.asarray(np.maximum(steps, 0.0))

    def response(self, coefficients: Floats) -> tuple[Response, Floats]:
        """Response family of one cell's coefficients [2, c], and the scales [2] of its steps (weight units).

        The mean of the scales is the granularity: the mean of the up and the down step at w = 0 (see
        `granularity_point`), whatever the family. Families whose own unit of steps is another one, and bounds
        that do not have 0 between them, are given by `sampled` steps.
        """
        one = coefficients[None]
        upper, lower = (float(x[0]) for x in self.bounds(one))
        up, down = self.steps(one, np.zeros((1, 1)))[:, 0, 0]
        plain = self.family in ("soft-bounds", "linear-step")
        if not plain or not lower < 0.0 < upper or min(up, down) <= 0.0:
            return self.sampled(coefficients)
        if self.family == "soft-bounds":
            return SoftBounds(w_max=upper, w_min=lower), np.array([up, down])
        slopes = one[0, :, 1]
        upper, lower = min(upper, self.origin + 1.0 / slopes[0]), max(lower, self.origin - 1.0 / slopes[1])
        if not lower < 0.0 < upper:
            return self.sampled(coefficients)
        return LinearStep(
            w_max=upper,
            w_min=lower,
            gamma_up=float(slopes[0] * upper / (1.0 + slopes[0] * self.origin)),
            gamma_down=float(-slopes[1] * lower / (1.0 - slopes[1] * self.origin)),
        ), np.array([up, down])

    def granularity_point(self, coefficients: Floats) -> Floats:
        """Weight [B] at which the granularity is taken: 0 if it was visited, else the symmetric point."""
        visited = self.low <= 0.0 <= self.high
        point = np.clip(self.symmetric_point(coefficients), self.low, self.high)
        return np.zeros(len(coefficients)) if visited else np.asarray(point)

    def granularity(self, coefficients: Floats) -> Floats:
        """Mean [B] of the up and the down step at the granularity's point, weight units."""
        return np.asarray(
            self.steps(coefficients, self.granularity_point(coefficients)[:, None])[..., 0].mean(axis=0)
        )

    def sampled(self, coefficients: Floats) -> tuple[PiecewiseStep, Floats]:
        """The same steps as interpolated nodes: a form that any coefficients [2, c] have. As `response`."""
        one = coefficients[None]
        upper, lower = (float(x[0]) for x in self.ends(one))
        nodes, scale = self.nodes(one)[:, 0], float(self.granularity(one)[0])
        up, down = (tuple((side / scale).tolist()) for side in nodes)
        made = PiecewiseStep(w_max=upper, w_min=lower, nodes_up=up, nodes_down=down)
        return made, np.array([scale, scale])


def family_law(family: str, low: float, high: float) -> Law:
    """Law of a family on the visited range ``low`` to ``high`` (weight units).

    Raises
    ------
    ParameterError
        Unknown family.
    """
    if family not in FAMILIES:
        raise ParameterError(
            f"family {family!r} is not one of {', '.join(FAMILIES)}{nearest(family, FAMILIES)}"
        )
    return Law(family=family, low=low, high=high)
