"""Model-based calibration: bursts up and down, averaged reads where they turn, a fit of the response.

The first stage sends one burst up and one down and fits the two step sizes of every cell with the nominal
bounds. With unknown bounds further stages follow: every cell is sent near its guess, bursts up and down
around it, and all reads so far are fitted together with the bounds as unknowns. Near the symmetric point
the fit depends on the bounds least.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sptrack.calibration.interface import (
    Calibrator,
    Driver,
    Estimate,
    NominalUnits,
    check_above_zero,
    check_range,
    split_reads,
)
from sptrack.calibration.response import (
    NAMES,
    Bursts,
    Fit,
    Population,
    bounds_prior,
    fit_response,
    pulses_between,
)
from sptrack.errors import ParameterError
from sptrack.values import check_number, check_whole

Array = NDArray[Any]

_POINTS = 3
"""Reads of a stage: before, at the turn, after."""
_FEWEST = 8
_KNOWN = ("up", "down", "start")
_FARTHEST = 1.2
_PROBE = 32
"""A stage over the pulses that show how large the steps are."""
_FIRST_REACH = 0.8
"""Distance that the first burst carries the median cell, in units of half the nominal range."""
_MAX_PAIRS = 100
_TINY = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstFit(Calibrator):
    """Calibrator that fits the linear response of every cell to reads between bursts.

    It sends "up", "down" and programs per cell, at least 16 pulses; every further count adds a stage around
    the last estimate.

    Parameters
    ----------
    bounds : str
        "known": each cell's response ends at the nominal bounds; "unknown": the bounds are fitted too.
    reads : int
        Reads of each cell per pulse count: one of the probe, the others shared by the turning points, at
        least 3 in a stage.
    guess : float
        Share of the first count that goes to the guess from the nominal bounds, if they are unknown.
    nominal : (float, float)
        Nominal bounds, weight units.
    reach : float
        How far a burst after the guess carries the median cell, in units of half the nominal range.
    spread : float
        Std of the logarithms of the unknown bounds about the nominal ones, where no ``prior`` is given.
        Infinity: flat.
    cycle_noise : float
        Relative std of the steps: how the fit weights early and late reads.
    prior : Population or None
        What is known of the cells beforehand (see `population`); None: nothing of their steps, and of their
        bounds what ``spread`` says.

    Raises
    ------
    ParameterError
        A setting outside its range.
    """

    bounds: Literal["known", "unknown"] = "unknown"
    reads: int = 24
    guess: float = 0.4
    nominal: tuple[float, float] = (-1.0, 1.0)
    reach: float = 0.2
    spread: float = 1.0
    cycle_noise: float = 0.3
    prior: Population | None = None

    def __post_init__(self) -> None:
        if self.bounds not in ("known", "unknown"):
            raise ParameterError(f"bounds must be 'known' or 'unknown', got {self.bounds!r}")
        check_range(self.nominal)
        check_whole("reads", self.reads, self.fewest_reads)
        check_number("reach", self.reach, least=0.001)
        check_above_zero(spread=self.spread)
        check_number("cycle_noise", self.cycle_noise, least=0)
        check_number("guess", self.guess, above=0, below=1)

    @property
    def name(self) -> str:
        """Name of the method."""
        return f"bursts, {self.bounds} bounds" + ("" if self.prior is None else ", prior")

    @property
    def fewest_reads(self) -> int:
        """Fewest reads of a cell per pulse count."""
        return 1 + (_POINTS if self.bounds == "known" else 2 * _POINTS)

    @property
    def _fewest_pulses(self) -> int:
        return 2 * _FEWEST

    def _estimates(self, driver: Driver, counts: tuple[int, ...]) -> Iterator[Estimate]:
        run = _Run(self, driver)
        for count in counts:
            for fraction, reads in self._stages(first=count == counts[0]):
                run.stage(driver.pulses + fraction * (count - driver.pulses), reads)
            fit = run.fit
            yield run.estimate(fit.points, fit.sigma, run.placement(), float(np.mean(fit.prior_fraction)))

    def _stages(self, *, first: bool) -> list[tuple[float, list[int]]]:
        """Share of the pulses left and reads at the points, of every stage of a pulse count."""
        if not first:
            return [(1.0, split_reads(self.reads, _POINTS))]
        if self.bounds == "known":
            return [(1.0, split_reads(self.reads - 1, _POINTS))]
        reads = split_reads(self.reads - 1, 2 * _POINTS)
        return [(self.guess, reads[:_POINTS]), (1.0, reads[_POINTS:])]


class _Run(NominalUnits):
    """Bursts and reads of a calibration so far, in units of half the nominal range, and their last fit."""

    def __init__(self, settings: BurstFit, driver: Driver) -> None:
        super().__init__(driver, settings.nominal)
        self.settings = settings
        self._counts: list[Array] = []
        self._places: list[int] = []
        self._reads: list[Array] = []
        self._variances: list[float] = []
        self._fit: Fit | None = None
        self._step = 0.0

    @property
    def fit(self) -> Fit:
        """Fit of all reads so far, once a stage is done."""
        if self._fit is None:
            raise ParameterError("no stage was run yet")
        return self._fit

    def stage(self, until: float, reads: list[int]) -> None:
        """Go near the last estimate, if there is one, then up and down until so many pulses are sent."""
        left = max(until - self.driver.pulses, 2 * _FEWEST)
        if self._fit is None:
            self._read(reads[0])
            left -= self._probe(left)
        else:
            jump = self._jump(left)
            self._leg(jump, reads[0])
            left = max(left - float(np.abs(jump).mean()), 2 * _FEWEST)
        pairs, burst = self._pairs(left), round(self._burst(left))
        for k in range(pairs):
            self._leg(burst, reads[1] if k == 0 else 0)
            self._leg(-burst, reads[2] if k == pairs - 1 else 0)
        self._fit = self._fitted()

    def placement(self) -> float:
        """Mean number of pulses from where the cells are to their points."""
        return float(np.abs(pulses_between(self.fit.theta, self._now(), self.fit.points, np.inf)).mean())

    def _now(self) -> Array:
        return self._reads[-1]

    def _jump(self, left: float) -> Array:
        """Pulses [cells] to half a burst below the estimate, so that the burst up goes around it."""
        fit = self.fit
        goal = fit.points.clip(-_FARTHEST, _FARTHEST)
        u, t = np.exp(fit.theta[[0, 2]])
        start = goal - 0.5 * self._burst(left) * u * np.maximum(1 - goal / t, 0.0)
        bottom = -np.exp(fit.theta[3])
        start = np.maximum(start, 0.5 * (goal + bottom))
        return pulses_between(fit.theta, self._now(), start, left)

    def _probe(self, left: float) -> int:
        """A short burst and a read of it, which tell how large the steps of the array are."""
        number = max(1, round(left / _PROBE))
        self._leg(number, 1)
        self._step = float(np.median(np.abs(self._reads[1] - self._reads[0]))) / number
        return number

    def _pairs(self, left: float) -> int:
        """Bursts up and down in a stage, so that the median cell goes no farther than it may."""
        step, reach = self._step, _FIRST_REACH
        if self._fit is not None:
            step, reach = float(np.median(np.exp(self._fit.theta[:2]))), self.settings.reach
        return max(1, min(_MAX_PAIRS, math.ceil(0.5 * left * step / reach)))

    def _burst(self, left: float) -> float:
        return left / (2 * self._pairs(left))

    def _leg(self, counts: int | Array, reads: int) -> None:
        shape = self.driver.array.shape
        cells = shape[0] * shape[1]
        self.driver.burst(counts if np.ndim(counts) == 0 else np.reshape(counts, shape))
        self._counts.append(np.broadcast_to(np.asarray(counts, np.float64).ravel(), (cells,)))
        self._read(reads)

    def _read(self, times: int) -> None:
        if not times:
            return
        self._places.append(len(self._counts))
        self._reads.append(self.read(times))
        self._variances.append(self.read_variance / times)

    def _fitted(self) -> Fit:
        data = Bursts(np.stack(self._counts), self._places, np.stack(self._reads), np.array(self._variances))
        first, population = self._fit is None, self.settings.prior
        return fit_response(
            data,
            begin=self._begin(data) if first else self.fit.theta[:4],
            free=_KNOWN if self.settings.bounds == "known" else NAMES,
            cycle_noise=self.settings.cycle_noise,
            prior=bounds_prior(self.settings.spread) if population is None else population.prior,
        )

    @staticmethod
    def _begin(data: Bursts) -> Array:
        """Steps as the probe shows them over the array, with the nominal bounds."""
        step = max(float(np.median(np.abs(data.reads[1] - data.reads[0]))), _TINY) / data.counts[0].max()
        return np.array([np.log(step), np.log(step), 0.0, 0.0])
