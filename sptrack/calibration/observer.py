"""The input-aware observer on a calibration sequence: regression of moves on the pulses that caused them.

Between two reads r_old and r a cell got N = ups - downs and A = ups + downs pulses. With F and G the
symmetric and the antisymmetric part of its response, taken linear,

    r - r_old = N (f0 + f1 x) - A (g0 + g1 x),   x = (r + r_old)/2,

so that four parameters follow from a linear regression and the symmetric point is -g0/g1. The difference and
the midpoint of the same two reads have uncorrelated noises; any other pairing biases the slopes. For reads of
different cells the sums are all that has to be kept: 10 products, 4 right sides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

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

PARAMETERS = 4
_LEAST_SLOPE = 0.3
_SAME = 2
"""Blocks of one direction in a row."""
_TINY = 1e-12


def regressors(net: Array, total: Array, midpoint: Array) -> Array:
    """Regressors [N, N x, -A, -A x] of f0, f1, g0, g1, stacked on the first axis."""
    return np.stack([net + 0 * midpoint, net * midpoint, -total + 0 * midpoint, -total * midpoint])


@dataclass(slots=True)
class Regression:
    """Sums of a weighted least-squares regression of every cell.

    Attributes
    ----------
    normal : array [cells, 4, 4]
        Sum of weighted products of the regressors.
    right : array [cells, 4]
        Sum of weighted products of regressors and moves.
    """

    normal: Array
    right: Array

    @classmethod
    def of(cls, cells: int) -> "Regression":
        """Empty sums of so many cells."""
        return cls(np.zeros((cells, PARAMETERS, PARAMETERS)), np.zeros((cells, PARAMETERS)))

    def add(self, row: Array, move: Array, weight: Array | float) -> None:
        """Add a move [cells] with its regressors [4, cells] and weight (one over its variance)."""
        self.normal += np.einsum("ic,jc->cij", row * weight, row)
        self.right += (row * weight * move).T

    def solve(self, ridge: Array, centre: Array) -> tuple[Array, Array]:
        """Parameters [cells, 4] and their covariance [cells, 4, 4].

        ``ridge`` [4] or [4, cells] are the weights with which the parameters are drawn to ``centre``, alike.
        """
        strength = np.broadcast_to(np.reshape(ridge, (PARAMETERS, -1)), self.right.T.shape).T
        middle = np.broadcast_to(np.reshape(centre, (PARAMETERS, -1)), self.right.T.shape).T
        full = self.normal + strength[:, :, None] * np.eye(PARAMETERS)
        scale = np.sqrt(np.einsum("cii->ci", full)) + _TINY
        pairs = scale[:, :, None] * scale[:, None, :]
        inverse = np.linalg.inv(full / pairs + _TINY * np.eye(PARAMETERS)) / pairs
        return np.einsum("cij,cj->ci", inverse, self.right + strength * middle), inverse


def points_of(parameters: Array) -> tuple[Array, Array]:
    """Symmetric points -g0/g1 [cells] and the slope g1 used, at least 0.3 of the mean step per half range."""
    f0, _, g0, g1 = parameters.T
    slope = np.maximum(g1, _LEAST_SLOPE * np.maximum(f0, _TINY))
    return -g0 / slope, slope


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverFit(Calibrator):
    """Calibrator that observes known bursts, with reads after every block of them.

    It sends "up", "down" and "alternating", the same to all cells, at least two pulses a block.

    Parameters
    ----------
    reads : int
        Reads of each cell per pulse count, shared by the start of the run and the ends of the blocks.
    blocks : int
        Blocks per pulse count, at least 5. Few blocks with averaged reads do better than many: the regression
        takes the noise of differences for white.
    reach : float
        How far the bursts may carry the median cell, in units of half the nominal range; longer blocks end
        with alternating pulses.
    nominal : (float, float)
        Nominal bounds, weight units.
    cycle_noise : float
        Relative std of the steps: weight and uncertainty.
    ridge : float
        Weight of the prior, as a share of one block's information on the step: draws the response to that of
        equal steps which end at the nominal bounds. 0: flat.
    within : float
        Std of the symmetric points about the middle, in units of half the nominal range: draws cells that
        show little toward it. Infinity: no such prior.

    Raises
    ------
    ParameterError
        A setting outside its range.
    """

    name: ClassVar[str] = "input-aware observer"

    reads: int = 24
    blocks: int = 12
    reach: float = 0.5
    nominal: tuple[float, float] = (-1.0, 1.0)
    cycle_noise: float = 0.3
    ridge: float = 0.0
    within: float = 0.6

    def __post_init__(self) -> None:
        check_range(self.nominal)
        check_whole("blocks", self.blocks, PARAMETERS + 1)
        check_whole("reads", self.reads, self.fewest_reads)
        check_number("cycle_noise", self.cycle_noise, least=0)
        check_number("ridge", self.ridge, least=0)
        check_number("reach", self.reach, least=0.01)
        check_above_zero(within=self.within)

    @property
    def fewest_reads(self) -> int:
        """Fewest reads of a cell per pulse count."""
        return self.blocks + 1

    @property
    def _fewest_pulses(self) -> int:
        return 2 * self.blocks

    def _estimates(self, driver: Driver, counts: tuple[int, ...]) -> Iterator[Estimate]:
        shares = split_reads(self.reads, self.blocks + 1)
        watch = _Watch(self, driver, shares[0])
        for count in counts:
            watch.until(count, shares[1:] if count == counts[0] else split_reads(self.reads, self.blocks))
            points, sigma, prior_fraction = watch.points()
            yield watch.estimate(points, sigma, watch.placement(points), prior_fraction)


class _Watch(NominalUnits):
    """Bursts sent and read so far, in units of half the nominal range."""

    def __init__(self, settings: ObserverFit, driver: Driver, reads: int) -> None:
        super().__init__(driver, settings.nominal)
        self.settings = settings
        self._last, self._noise = self._read(reads)
        self._sums = Regression.of(self._last.size)
        self._direction, self._same, self._moved = 1, 0, 0.0
        self._step, self._block = 0.0, 0.0
        self._parameters = np.zeros((self._last.size, PARAMETERS))

    def until(self, count: int, reads: list[int]) -> None:
        """Send pulses up to a count, in one block of one direction for each number of reads after it."""
        begin = self.driver.pulses
        for place, times in zip(np.linspace(begin, count, len(reads) + 1)[1:], reads, strict=True):
            number = round(place - self.driver.pulses)
            burst = self._longest(number)
            self.driver.burst(self._direction * burst)
            self.driver.send("alternating", number - burst)
            new, noise = self._read(times)
            self._note(new, (self._direction * burst, number), self._noise + noise)
            self._moved += float(np.median(new - self._last))
            self._same += 1
            if self._same == _SAME or self._direction * self._moved > self.settings.reach:
                self._direction, self._same = -self._direction, 0
            self._last, self._noise = new, noise

    def _longest(self, number: int) -> int:
        """Pulses of a block that go in one direction; an even number is left."""
        if not self._step:
            return number
        longest = max(1, int(self.settings.reach / (_SAME * self._step)))
        return number if number <= longest else longest + (number - longest) % 2

    def points(self) -> tuple[Array, Array, float]:
        """Symmetric points and standard errors [cells], and the mean share of the prior."""
        strength = self.settings.ridge * self._block**2 / self._variance(int(self._block), self._noise)
        centre = np.array([self._step, 0.0, 0.0, self._step])
        parameters, inverse = self._sums.solve(np.full(PARAMETERS, strength), centre)
        self._parameters = parameters
        points, slope = points_of(parameters)
        lever = inverse[:, :, 2] + points[:, None] * inverse[:, :, 3]
        spread = lever[:, 2] + points * lever[:, 3]
        prior_fraction = (strength * (lever**2).sum(1) / np.maximum(spread, _TINY**2)).clip(0, 1)
        points, sigma, drawn = drawn_inside(points, np.sqrt(spread.clip(0)) / slope, self.settings.within)
        return points, sigma, float(np.mean(prior_fraction + drawn - prior_fraction * drawn))

    def placement(self, points: Array) -> float:
        """Mean number of pulses from where the cells are to their points."""
        step = np.maximum(self._parameters[:, 0] + self._parameters[:, 1] * points, 0.2 * self._step)
        return float(np.mean(np.abs(points - self._last) / step))

    def _read(self, times: int) -> tuple[Array, float]:
        """Mean of so many reads and the variance of its reading noise."""
        return self.read(times), self.read_variance / times

    def _variance(self, number: int, noise: float) -> float:
        return noise + number * (self.settings.cycle_noise * self._step) ** 2 + _TINY

    def _note(self, new: Array, sent: tuple[int, int], noise: float) -> None:
        """Add a block with its net and total number of pulses."""
        net, number = sent
        move = new - self._last
        if not self._step:
            self._step, self._block = max(float(np.median(np.abs(move))) / number, _TINY), float(number)
        midpoint = 0.5 * (new + self._last)
        row = regressors(np.array(float(net)), np.array(float(number)), midpoint)
        self._sums.add(row, move, 1.0 / self._variance(number, noise))
