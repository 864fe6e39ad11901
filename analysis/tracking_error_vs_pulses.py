"""What does each method reach, for how many pulses and at what cost?

All eleven methods on the default problem (64 coupled weights, symmetric points 0.4 +- 0.4, gradient noise
0.2), each with its default settings. Left against pulses per cell of the problem, right against cost, where a
read and a programming event weigh ten pulses each (`sptrack.CostModel`).

One sees: without knowing the symmetric points (dotted and dashed lines) the methods stop near where they
started; the least bad is the one that moves least. Two-stage pays for its zero-shifting before the first step
(its line starts at 6000 pulses) and then follows the oracle. E-RIDER and AGAD find reference and weights
together: AGAD with more pulses, but one read per cell in 64 steps; at equal cost they come close. O-RIDER
finds both from what the cells were asked for and one read in 64 steps: Q better than a calibration does, W
to an RMS error of .05 for a tenth of the cost of any other.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sptrack.plotting.tracking import tracking_figure
from sptrack.tracking.compare import compare
from sptrack.tracking.methods import METHODS

LEVEL = 0.05
"""RMS error of W to which costs are compared, weight units."""


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Compare all methods: 20000 steps on 15 problems (``small``: 2000 steps on 3).

    Returns
    -------
    Dataset
        As `sptrack.tracking.compare.compare`, without ``cost_digital``.
    """
    steps, seeds = (2000, 3) if small else (20000, 15)
    found = compare(tuple(METHODS), steps=steps, seeds=seeds, seed=seed, threads=threads)
    return found.drop_vars("cost_digital")  # shown nowhere, and an eighth of the file


def plot(data: xr.Dataset) -> Figure:
    """Errors of W and Q against pulses and cost."""
    spent = {name: _cost_to(data, name) for name in data["method"].values.tolist() if name != "oracle"}
    own = spent.pop("o-rider")
    others = [value for value in spent.values() if np.isfinite(value)]
    if not others or not np.isfinite(own):
        return tracking_figure(data)
    return tracking_figure(
        data,
        f"With default settings O-RIDER brings W to an RMS error of {LEVEL:g} for "
        f"{100 * own / min(others):.0f} % of the cost of the next method",
    )


def _cost_to(data: xr.Dataset, name: str) -> float:
    """Mean cost at which the mean square error of W falls to ``LEVEL`` squared; infinite if it does not."""
    one = data.sel({"method": name}).mean("seed")
    there = np.flatnonzero(one["w_error"].values <= LEVEL**2)
    return float(one["cost"][there[0]]) if there.size else np.inf
