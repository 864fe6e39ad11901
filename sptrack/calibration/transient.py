"""The limit of zero-shifting from its transient: three or more reads of an exponential approach.

Under alternating pulses the mean of a cell follows x_n = x_inf + (x_0 - x_inf) exp(-rate n). The rate is
scanned on a logarithmic grid, limit and amplitude follow from it by least squares (variable projection), and
the curvature of the scan at its minimum says how sure the limit is. Where the transient is too weak to show
its rate, the limit is the last read's and a wrong rate hardly matters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sptrack.calibration.interface import Calibrator, Driver, Estimate
from sptrack.values import check_number, check_whole

Array = NDArray[Any]

_RATES = 48
_FASTEST, _SLOWEST = 30.0, 0.3
"""Fastest and slowest rate that is looked for, in units of one over the pulses sent."""
_GENTLE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class TransientFit(Calibrator):
    """Calibrator that extrapolates the transient of cyclic zero-shifting.

    It sends "alternating", at least two pulses a read; estimates are half a step from the symmetric points,
    as the limit of zero-shifting itself.

    Parameters
    ----------
    reads : int
        Reads of each cell per pulse count, at least 4: one at the start of the run, the others spread evenly.
    spread : float
        Std of the logarithm of the rates over the cells, about the rate of the whole array; it keeps cells
        with a weak transient from a wild one. Infinity: no such prior.

    Raises
    ------
    ParameterError
        A setting outside its range.
    """

    name: ClassVar[str] = "transient fit"
    mode: ClassVar[str] = "cyclic"
    fewest_reads: ClassVar[int] = 4

    reads: int = 24
    spread: float = 0.6

    def __post_init__(self) -> None:
        check_whole("reads", self.reads, self.fewest_reads)
        if not self.spread > 0:
            check_number("spread", self.spread, least=_GENTLE)

    @property
    def _fewest_pulses(self) -> int:
        return 2 * self.reads

    def _estimates(self, driver: Driver, counts: tuple[int, ...]) -> Iterator[Estimate]:
        shape = driver.array.shape
        times, values = [0.0], [driver.read()]
        for begin, count in pairwise((0, *counts)):
            for place in np.linspace(begin, count, self.reads + (begin > 0))[1:]:
                driver.send("alternating", 2 * round(place / 2) - int(driver.pulses))
                times.append(driver.pulses)
                values.append(driver.read())
            cells = np.stack(values).reshape(len(times), -1)
            limit, sigma = fit_limits(np.array(times), cells, driver.read_noise, self.spread)
            yield Estimate(limit.reshape(shape), sigma.reshape(shape))


def fit_limits(times: Array, values: Array, read_noise: float, spread: float) -> tuple[Array, Array]:
    """Limits of exponential transients and their standard errors.

    Parameters
    ----------
    times : array [n]
        Pulses sent at each read, rising.
    values : array [n, cells]
        Reads.
    read_noise : float
        Their std; what scatters beyond it is taken from the residuals of the whole array.
    spread : float
        Std of the prior of each cell's log rate about the array's.

    Returns
    -------
    limit, sigma : array [cells]
    """
    rates = np.geomspace(_SLOWEST, _FASTEST, _RATES) / times[-1]
    fitted = [_at_rate(rate, times, values) for rate in rates]
    limits, costs = (np.stack(rows) for rows in zip(*fitted, strict=True))
    freedom = max(1, len(times) - 3)
    noise = max(float(np.median(costs.min(0))) / freedom, read_noise**2, _GENTLE)
    scaled = costs / noise
    logs = np.log(rates)
    centre = logs[np.argmin(np.minimum(scaled - scaled.min(0), 9.0).sum(1))]
    scaled = scaled + ((logs - centre) / spread)[:, None] ** 2
    weights = np.exp(-0.5 * (scaled - scaled.min(0)))
    weights /= weights.sum(0)
    limit = (weights * limits).sum(0)
    level = np.array([_level_variance(rate, times) for rate in rates])
    variance = (weights * (limits - limit) ** 2).sum(0) + noise * weights.T @ level
    return limit, np.sqrt(variance)


def _design(rate: float, times: Array) -> Array:
    return np.stack([np.ones(len(times)), np.exp(-rate * times)], axis=1)


def _at_rate(rate: float, times: Array, values: Array) -> tuple[Array, Array]:
    """Limit and sum of squared residuals [cells] at one rate."""
    design = _design(rate, times)
    solution = np.linalg.lstsq(design, values, rcond=None)[0]
    return solution[0], ((values - design @ solution) ** 2).sum(0)


def _level_variance(rate: float, times: Array) -> float:
    """Variance of the limit per unit variance of a read."""
    design = _design(rate, times)
    return float(np.linalg.pinv(design.T @ design)[0, 0])
