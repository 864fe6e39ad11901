"""Sequential root finding: where bursts up and down bring a cell back to where it was.

A burst of n pulses up and one of n down move a cell by n (up step - down step), averaged over the way
between: this net move vanishes at the symmetric point whatever the response. It is measured at two or more
states and the zero of a line through the moves is taken. The response enters only as a guess of where to
measure and as a weak prior of the line's slope, which keeps cells with two nearby states from a wild zero.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.calibration.interface import (
    Calibrator,
    Driver,
    Estimate,
    NominalUnits,
    check_above_zero,
    check_range,
    drawn_inside,
    split_reads,
)
from sptrack.values import check_number, check_whole

Array = NDArray[Any]

_POINTS = 3
_FEWEST = 4
_LEAST_SLOPE = 0.25
_FARTHEST = 0.98
_TINY = 1e-18
_PROBE = 32
"""A stage over the pulses that show how long its bursts should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootFinding(Calibrator):
    """Calibrator that looks for the state where bursts up and down cancel.

    It sends "up", "down" and programs per cell, at least 16 pulses a state.

    Parameters
    ----------
    stages : int
        States at which bursts are compared in the first pulse count; every further count adds one.
    reads : int
        Reads of each cell per pulse count: at least 3 per state.
    nominal : (float, float)
        Nominal bounds, weight units.
    reach : float
        How far a burst after the first state carries the median cell, in units of half the nominal range.
    slope_spread : float
        Relative std of the slope about that of steps which end at the nominal bounds.
    curvature : float
        Relative change of the slope over half the range: how far a state may be and still count in full.
    within : float
        Std of the symmetric points about the middle, in units of half the nominal range: draws cells that
        show little toward it. Infinity: no such prior.
    cycle_noise : float
        Relative std of the steps: how the moves are weighted.

    Raises
    ------
    ParameterError
        A setting outside its range.
    """

    name: ClassVar[str] = "root finding"

    stages: int = 3
    reads: int = 24
    nominal: tuple[float, float] = (-1.0, 1.0)
    reach: float = 0.2
    slope_spread: float = 0.5
    curvature: float = 0.5
    within: float = 0.6
    cycle_noise: float = 0.3

    def __post_init__(self) -> None:
        check_range(self.nominal)
        check_whole("stages", self.stages, 2)
        check_whole("reads", self.reads, self.fewest_reads)
        check_number("curvature", self.curvature, least=0)
        check_number("cycle_noise", self.cycle_noise, least=0)
        check_number("reach", self.reach, least=0.001)
        check_number("slope_spread", self.slope_spread, least=0.01)
        check_above_zero(within=self.within)

    @property
    def fewest_reads(self) -> int:
        """Fewest reads of a cell per pulse count."""
        return _POINTS * self.stages + 1

    @property
    def _fewest_pulses(self) -> int:
        return 4 * _FEWEST * self.stages

    def _estimates(self, driver: Driver, counts: tuple[int, ...]) -> Iterator[Estimate]:
        search = _Search(self, driver)
        for count in counts:
            stages = self.stages if count == counts[0] else 1
            reads = split_reads(self.reads - (count == counts[0]), _POINTS * stages)
            for k in range(stages):
                stage = (count - driver.pulses) / (stages - k)
                search.state(driver.pulses + stage, reads[_POINTS * k : _POINTS * (k + 1)])
            placement = float(np.mean(np.abs(search.pulses_to(search.points))))
            yield search.estimate(
                search.points, search.sigma, placement, float(np.mean(search.prior_fraction))
            )


class _Move(NamedTuple):
    """A comparison of bursts: where it was centred, net move per pulse, variance and steps, each [cells]."""

    at: Array
    move: Array
    variance: Array
    up: Array
    down: Array


class _Search(NominalUnits):
    """Moves measured so far, in units of half the nominal range, and the zero of the line through them."""

    def __init__(self, settings: RootFinding, driver: Driver) -> None:
        super().__init__(driver, settings.nominal)
        self.settings = settings
        self._step = 0.0
        self.points = self.sigma = self.prior_fraction = self._now = np.zeros(0)
        self._moves: list[_Move] = []

    def state(self, until: float, reads: list[int]) -> None:
        """Go near the last estimate, if there is one, and compare bursts until so many pulses are sent."""
        left = until - self.driver.pulses
        if self._moves:
            jump = self._jump(left)
            self.driver.burst(jump.reshape(self.driver.array.shape))
            left -= float(np.abs(jump).mean())
        before, probe = self.read(reads[0]), 0
        if not self._moves:
            probe = max(1, round(left / _PROBE))
            self.driver.burst(probe)
            self._step = float(np.median(np.abs(self.read(1) - before))) / probe
        pairs, burst = self._plan(left)
        self.driver.burst(burst - probe)
        turn = self.read(reads[1])
        self.driver.burst(-burst)
        for _ in range(pairs - 1):
            self.driver.burst(burst)
            self.driver.burst(-burst)
        after = self._now = self.read(reads[2])
        self._note(burst, pairs, (before, turn, after), reads)
        self.points, self.sigma, self.prior_fraction = drawn_inside(*self._zero(), self.settings.within)

    def pulses_to(self, goal: Array) -> Array:
        """Signed pulses [cells] to a state, by the steps measured last and their fall toward the bounds."""
        last = self._moves[-1]
        low, high = np.minimum(self._now, goal), np.maximum(self._now, goal)
        middle = 0.5 * (low + high)
        up = last.up * ((1 - middle) / (1 - last.at).clip(1e-2)).clip(0.1, 10.0)
        down = last.down * ((1 + middle) / (1 + last.at).clip(1e-2)).clip(0.1, 10.0)
        number = np.round((goal - self._now) / np.where(goal > self._now, up, down))
        return np.asarray(number.astype(np.int64))

    def _jump(self, left: float) -> Array:
        """Pulses to half a burst below the estimate; none to a state outside the nominal range."""
        goal = self.points.clip(-_FARTHEST, _FARTHEST)
        start = np.maximum(goal - 0.5 * self._plan(left)[1] * self._moves[-1].up, 0.5 * (goal - 1.0))
        limit = max(1, int(0.8 * left))
        return self.pulses_to(start).clip(-limit, limit)

    def _plan(self, left: float) -> tuple[int, int]:
        """Pairs of bursts and their length, so that the median cell stays within the reach."""
        pairs = max(1, math.ceil(0.5 * left * self._step / self.settings.reach))
        return min(pairs, _PROBE // 4), max(_FEWEST, round(left / (2 * min(pairs, _PROBE // 4))))

    def _note(self, burst: int, pairs: int, states: tuple[Array, Array, Array], reads: list[int]) -> None:
        before, turn, after = states
        least = max(float(np.median(np.abs(turn - before))) / burst, 1e-9) * 0.02
        sent = pairs * burst
        move = (after - before) / sent
        up = np.maximum((turn - before) / burst, least)
        down = np.maximum(up - move, least)
        cycle = self.settings.cycle_noise**2 * (up**2 + down**2) / sent
        reading = self.read_variance * (1 / reads[0] + 1 / reads[2]) / sent**2
        at = 0.5 * (before + after) + 0.25 * burst * (up + down)
        self._moves.append(_Move(at, move, cycle + reading + _TINY, up, down))

    def _zero(self) -> tuple[Array, Array]:
        """Zero of the weighted line through the moves, with its standard error."""
        last, settings = self._moves[-1], self.settings
        expected = np.mean([_nominal_slope(move) for move in self._moves], axis=0)
        normal = np.zeros((3, len(last.at)))
        right = np.zeros((2, len(last.at)))
        normal[2] = (settings.slope_spread * expected) ** -2
        right[1] = expected * normal[2]
        for move in self._moves:
            x = move.at - last.at
            bend = settings.curvature * np.abs(expected) * x**2
            weight = 1 / (move.variance + bend**2)
            normal += weight * np.stack([np.ones_like(x), x, x * x])
            right += weight * np.stack([move.move, move.move * x])
        det = normal[0] * normal[2] - normal[1] ** 2
        level = (normal[2] * right[0] - normal[1] * right[1]) / det
        slope = (normal[0] * right[1] - normal[1] * right[0]) / det
        slope = np.minimum(slope, _LEAST_SLOPE * expected)
        away = -level / slope
        variance = (normal[2] - 2 * away * normal[1] + away**2 * normal[0]) / det / slope**2
        return last.at + away, np.sqrt(variance)


def _nominal_slope(move: _Move) -> Array:
    """Slope of the net move per pulse, were the steps measured there to end at the nominal bounds."""
    return np.asarray(-(move.up / (1 - move.at).clip(0.1) + move.down / (1 + move.at).clip(0.1)))
