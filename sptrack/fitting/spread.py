"""Mean and spread of a population of cells, from estimates with errors of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sptrack.fitting.cell import Estimate

__all__ = ["CellSpread", "cell_spread"]

_HALF_WIDTH = 1.96
_CHI = 1.92


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSpread:
    """Mean and standard deviation of a parameter over cells, each with its 95 % interval.

    Attributes
    ----------
    mean, std : Estimate
        Of the population; the sampling error of each cell's estimate is removed from the std.
    cells : int
        Cells with a finite interval, which are the ones used.
    """

    mean: Estimate
    std: Estimate
    cells: int


def cell_spread(estimates: list[Estimate]) -> CellSpread:
    """Mean and std of a population from estimates with their own errors (random-effects model).

    Estimate i is normal with variance tau^2 + s_i^2, s_i a 95 % interval over 3.92. The std tau maximises the
    restricted likelihood; its interval is where that falls by 1.92.

    Parameters
    ----------
    estimates : list of Estimate
        At least 3, with finite intervals.
    """
    from scipy.optimize import brentq, minimize_scalar

    values = np.array([one.value for one in estimates])
    errors = np.array([(one.high - one.low) / (2.0 * _HALF_WIDTH) for one in estimates])
    top = 10.0 * float(np.ptp(values)) + 1e-12

    def cost(tau: float) -> float:
        weight = 1.0 / (tau * tau + errors**2)
        mean = np.sum(weight * values) / weight.sum()
        return float(
            0.5 * np.sum(weight * (values - mean) ** 2 - np.log(weight)) + 0.5 * np.log(weight.sum())
        )

    grid = np.linspace(0.0, top, 200)
    start = grid[int(np.argmin([cost(tau) for tau in grid]))]
    step = grid[1]
    best = float(minimize_scalar(cost, bounds=(max(start - step, 0.0), start + step), method="bounded").x)
    if cost(0.0) <= cost(best):
        best = 0.0
    limit = cost(best) + _CHI

    def excess(tau: float) -> float:
        return cost(tau) - limit

    low = 0.0 if excess(0.0) <= 0.0 else float(brentq(excess, 0.0, best))
    high = top if excess(top) <= 0.0 else float(brentq(excess, best, top))
    weight = 1.0 / (best * best + errors**2)
    mean, half = float(np.sum(weight * values) / weight.sum()), float(_HALF_WIDTH / np.sqrt(weight.sum()))
    return CellSpread(
        mean=Estimate(mean, mean - half, mean + half), std=Estimate(best, low, high), cells=len(estimates)
    )
