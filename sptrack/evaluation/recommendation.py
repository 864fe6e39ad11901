"""The cheapest calibrator for a device, a target and a price of reads: tried on a small array."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.calibration.methods import METHODS, calibrator
from sptrack.cost import CostModel
from sptrack.crossbar import Crossbar
from sptrack.devices import Cells, Device, sample_cells
from sptrack.errors import ParameterError
from sptrack.intervals import Interval, summarise
from sptrack.values import check_number

Array = NDArray[Any]

PILOT = (20, 20)
_READS = (1, 6, 13, 24, 48, 96, 192)
_GROWTH = 1.6
_WORSE = 2.0
_SHORTEST, _MAX = 0.1, 8.0
"""Fewest and most pulses tried, in numbers of states of the device."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Pulses that a calibrator needs for the target, or the error it reaches.

    Attributes
    ----------
    method : str
        Name, as `sptrack.calibration.calibrator` takes it.
    pulses, reads : int
        Pulses and reads of each cell.
    placement : float
        Pulses that then bring the cells to their points; 0 where they end there.
    cost : float
        Of all of it, by the cost model, per cell.
    rms, median, mean : float
        RMS and median |error| and mean error (bias), weight units, ``*_ci`` their 95 % intervals over cells.
    met : bool
        Whether the RMS error is at most the target.
    """

    method: str
    pulses: int
    reads: int
    placement: float
    cost: float
    rms: float
    rms_ci: Interval
    median: float
    median_ci: Interval
    mean: float
    mean_ci: Interval
    met: bool


def trial(
    cells: Cells,
    method: str,
    pulses: int,
    reads: int,
    *,
    target: float,
    read_noise: float = 0.0,
    cost: CostModel | None = None,
    seed: int = 0,
) -> Candidate:
    """Calibrate fresh cells, which start at weight 0, once.

    Parameters
    ----------
    cells : Cells
        The array.
    method : str
        Calibrator, see `sptrack.calibration.calibrator`.
    pulses, reads : int
        Pulses (rounded up to an even number) and reads of each cell.
    target, read_noise : float
        Wanted RMS error and std of the reading noise, weight units.
    cost : CostModel or None
        Weights of pulses and reads.
    seed : int
        Seed of cycle and reading noise.

    Returns
    -------
    Candidate

    Raises
    ------
    ParameterError
        As the calibrator.
    """
    chosen = calibrator(method, cells.device, reads=reads)
    array = Crossbar(cells, seed=seed, threads=1)
    found = chosen.calibrate(array, pulses + pulses % 2, read_noise=read_noise)
    live = np.isfinite(cells.target)
    summary = summarise(np.asarray(found.points[-1], np.float64)[live], cells.target[live])
    (rms, rms_ci), (median, median_ci) = summary["rms"], summary["median"]
    sent, taken = int(found.pulses[-1]), int(found.reads_spent[-1])
    placement = float(found.placement_pulses[-1])
    model = CostModel() if cost is None else cost
    return Candidate(
        method=method,
        pulses=sent,
        reads=taken,
        placement=placement,
        cost=model.total(pulses=sent + placement, reads=taken, columns=cells.shape[1]),
        rms=rms,
        rms_ci=rms_ci,
        median=median,
        median_ci=median_ci,
        mean=summary["mean"][0],
        mean_ci=summary["mean"][1],
        met=rms <= target,
    )


def least_errors(costs: ArrayLike, errors: ArrayLike, budgets: ArrayLike) -> Array:
    """Index of the least error that a budget affords, -1 where it affords none.

    Parameters
    ----------
    costs, errors : array_like [n]
        Cost and error of every way.
    budgets : array_like [m]
        Budgets, in the units of the costs.

    Returns
    -------
    int array [m]
    """
    price, error = np.asarray(costs, np.float64), np.asarray(errors, np.float64)
    chosen = []
    for budget in np.asarray(budgets, np.float64):
        affordable = np.where(price <= budget, error, np.inf)
        chosen.append(int(np.argmin(affordable)) if np.isfinite(affordable).any() else -1)
    return np.array(chosen)


def recommend(
    device: Device,
    *,
    target: float,
    read_noise: float = 0.0,
    cost: CostModel | None = None,
    methods: Sequence[str] = METHODS,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Candidate, ...]:
    """Cheapest way of every calibrator to the target, the cheapest first, those that miss it last.

    For several numbers of reads the fewest pulses to the target are looked for on 20 x 20 cells of the
    device that start at weight 0: pulses grow until the target is met, then one step of interpolation. The
    cells and draws are the same for all.

    Parameters
    ----------
    device : Device
        The kind of cell.
    target, read_noise : float
        Wanted RMS error over the cells and std of the reading noise, weight units.
    cost : CostModel or None
        Weights of pulses and reads.
    methods : sequence of str
        Calibrators to try.
    seed : int
        Root seed of the pilot array, which is not the user's.
    progress : callable or None
        Called with the calibrators done and their number.

    Returns
    -------
    tuple of Candidate

    Raises
    ------
    ParameterError
        A target that is not above 0, an unknown method, or a device without symmetric points.
    """
    check_number("target", target, above=0)
    cells = sample_cells(device, PILOT, seed=seed + _PILOT_SEED)
    if not np.isfinite(cells.target).any():
        raise ParameterError(f"device {device.source.name!r}: no cell has a symmetric point")
    search = _Search(cells, target, read_noise, CostModel() if cost is None else cost, seed)
    found = []
    for number, method in enumerate(methods, start=1):
        found.append(search.best(method))
        if progress is not None:
            progress(number, len(methods))
    return tuple(sorted(found, key=lambda row: (not row.met, row.cost if row.met else row.rms)))


_PILOT_SEED = 7919


@dataclass(frozen=True, slots=True)
class _Search:
    """Pilot array and its requirements."""

    cells: Cells
    target: float
    read_noise: float
    cost: CostModel
    seed: int

    def best(self, method: str) -> Candidate:
        """Cheapest that meets the target over the numbers of reads, else the one with the least error."""
        least = calibrator(method, self.cells.device).fewest_reads
        best = self._fewest(method, least, math.inf)
        worse = 0
        for reads in (n for n in _READS if n > least):
            found = self._fewest(method, reads, best.cost if best.met else math.inf)
            better = _order(found) < _order(best)
            best, worse = (found, 0) if better else (best, worse + 1)
            if best.met and worse == 2:
                break
        return best

    def _fewest(self, method: str, reads: int, dearest: float) -> Candidate:
        """Trial with about the fewest pulses that meet the target, else with the least error.

        Pulses grow by a factor until the target is met, the cost is above ``dearest`` or the error grows.
        """
        pulses = max(_SHORTEST * self.cells.device.states, 4.0 * reads, 64.0)
        missed = best = self._trial(method, pulses, reads)
        while not best.met and best.cost < dearest and pulses < _MAX * self.cells.device.states:
            pulses *= _GROWTH
            found = self._trial(method, pulses, reads)
            if found.rms > _WORSE * best.rms:
                return best
            missed, best = (best, found) if found.rms <= best.rms else (missed, best)
        if not best.met or missed.met:
            return best
        fraction = math.log(missed.rms / self.target) / math.log(missed.rms / best.rms)
        between = self._trial(method, missed.pulses * (best.pulses / missed.pulses) ** fraction, reads)
        return between if between.met and between.cost < best.cost else best

    def _trial(self, method: str, pulses: float, reads: int) -> Candidate:
        return trial(
            self.cells,
            method,
            round(pulses),
            reads,
            target=self.target,
            read_noise=self.read_noise,
            cost=self.cost,
            seed=self.seed,
        )


def _order(row: Candidate) -> tuple[bool, float]:
    return (not row.met, row.cost if row.met else row.rms)
