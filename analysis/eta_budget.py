"""How fast should the reference filter be, if the symmetric point must be known after K steps?

RMS error of the filtered reference Q after K = 500, 2000 and 8000 steps against the rate eta of its
exponential average, on a linear device whose P and Q start at 0, a distance of 0.3 from the symmetric point.
Lines are the exact mean square of the linearised loop (two transients, variance, bias), points are simulated
(95 % intervals). Stars mark the optimum, bars the rule ln(4 K' e^2/S0)/(2 K').

One sees: the optimum moves as (ln K)/K, the rule finds it within a fifth and errs to the slow side, and the
slow side is the dear one: four times too slow multiplies the mean square error by 2.5 to 20, four times too
fast by 2 to 3. In doubt, filter faster.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.blocks import Chopper
from sptrack.devices import Asymmetry, CycleNoise, Device, Spread, sample_cells
from sptrack.evaluation.validity import LoopRuns
from sptrack.intervals import error_arms
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    VERMILLION,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)
from sptrack.results import dataset, provenance, read_provenance
from sptrack.theory import GradientStatistics, error_after, optimal_eta

GRADIENTS = ((0.3, 1.0), (1.0, 0.3))
BUDGETS = (500, 2000, 8000)
ALPHA, FLIPS, START = 0.02, 0.1, 0.0
FACTORS = (0.25, 4.0)
WEIGHT, ONE = {"units": "weight units"}, {"units": "1"}


def open_loop(mean: float, std: float, seed: int) -> LoopRuns:
    """Linear device with scales 1.3 and .7 under a chopped gradient."""
    device = Device(spread=Spread(asymmetry=Asymmetry(mean=0.3)), cycle_noise=CycleNoise(std=0.3))
    cells = sample_cells(device, (1, 1), dtype=np.float64)
    gradient = GradientStatistics(mean=mean, std=std)
    return LoopRuns(cells=cells, alpha=ALPHA, gradient=gradient, chopper=Chopper(p=FLIPS), seed=seed)


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Exact error over eta, its optimum and the rule, and simulated errors at nine rates around it."""
    runs, spread = (64, np.geomspace(0.25, 4, 3)) if small else (1024, np.geomspace(0.1, 10, 9))
    budgets = BUDGETS[:2] if small else BUDGETS
    grid = np.geomspace(1e-5, 0.2, 200)
    shape = (len(GRADIENTS), len(budgets))
    exact, table = np.empty((*shape, grid.size)), np.empty((6, *shape))
    rates, found = np.empty((*shape, spread.size)), np.empty((2, *shape, spread.size))
    for i, (mean, std) in enumerate(GRADIENTS):
        loop = open_loop(mean, std, seed)
        start = START - loop.loop.point
        for j, steps in enumerate(budgets):
            best = optimal_eta(loop.loop, steps, start=start, chopper=loop.chopper)
            exact[i, j] = _rms(loop, grid, steps)
            off = _rms(loop, best.eta.item() * np.array(FACTORS), steps) ** 2 / best.rms.item() ** 2
            table[:, i, j] = (*(values.item() for values in best), *off)
            rates[i, j] = np.minimum(best.eta.item() * spread, 0.9)
            measured = loop.after(rates[i, j], steps, start=START, runs=runs, threads=threads)
            found[:, i, j] = [values[:, 0, 0] for values in measured]
    axes = ("gradient", "steps")
    names = ("eta_best", "rms_best", "eta_rule", "rms_rule", "cost_slow", "cost_fast")
    units = (ONE, WEIGHT, ONE, WEIGHT, ONE, ONE)
    return dataset(
        {
            "rms_exact": ((*axes, "eta"), exact, WEIGHT),
            **{name: (axes, table[n], units[n]) for n, name in enumerate(names)},
            "eta_simulated": ((*axes, "rate"), rates, ONE),
            "rms_simulated": ((*axes, "rate"), found[0], WEIGHT),
            "rms_error": ((*axes, "rate"), found[1], WEIGHT),
        },
        {
            "gradient": ("gradient", [f"{mean:g} +- {std:g}" for mean, std in GRADIENTS], {}),
            "steps": ("steps", list(budgets), {"units": "steps"}),
            "eta": ("eta", grid, ONE),
            "rate": ("rate", spread, {"units": "1", "long_name": "eta over its optimum"}),
        },
        provenance(seed=seed, parameters={"alpha": ALPHA, "p": FLIPS, "runs": runs, "start": START}),
    )


def _rms(loop: LoopRuns, rates: np.ndarray, steps: int) -> np.ndarray:
    """Exact root mean square error at each rate."""
    start = START - loop.loop.point
    mean, variance = error_after(loop.loop, rates[:, None, None], steps, start=start, chopper=loop.chopper)
    return np.sqrt(mean**2 + variance)[:, 0, 0]


_LOOKS = ((BLUE, "o"), (VERMILLION, "^"), (GREEN, "s"))


@house_style()
def plot(dataset: xr.Dataset) -> Figure:
    """Error against rate, a panel per gradient."""
    figure = new_figure(7.2, 5.0)
    slow, fast = (float(np.exp(np.log(dataset[name]).mean())) for name in ("cost_slow", "cost_fast"))
    headline(
        figure,
        f"In doubt, filter faster: four times too slow costs {slow:.1f} times the mean square error, "
        "too fast "
        f"{fast:.1f} times",
        f"RMS error of Q after K steps, flip probability {FLIPS:g} (costs: geometric means). Lines: "
        "exact; open "
        "markers: simulated, 95 %. Star: optimum with its rate; bar: rate of the rule.",
    )
    panels = figure.subplots(1, 2, sharey=True)
    for ax, name in zip(panels, dataset["gradient"].values, strict=True):
        ends = _errors(ax, dataset.sel(gradient=name))
        label(ax, f"Gradient {str(name).replace('+-', '±')}", "filter rate eta", "")
    panels[0].set_ylabel("RMS error of Q (weight units)")
    label_ends(panels[1], ends)
    return figure


def _errors(ax: Axes, data: xr.Dataset) -> list[tuple[float, str, str]]:
    runs = read_provenance(data)["parameters"]["runs"]
    low, high = 4e-5, 0.1
    log_scale(ax, "x", most=4)
    log_scale(ax, "y")
    ends = []
    for (colour, marker), steps in zip(_LOOKS, data["steps"].values.tolist(), strict=False):
        one = data.sel(steps=steps)
        inside = (data["eta"].values >= low) & (data["eta"].values <= high)
        exact = one["rms_exact"].values[inside]
        ax.plot(data["eta"].values[inside], exact, color=colour)
        ax.errorbar(
            one["eta_simulated"], one["rms_simulated"],
            error_arms(one["rms_simulated"], one["rms_error"], repeats=runs, positive=True),
            fmt=marker, markersize=4.5, markerfacecolor="white", capsize=2, elinewidth=1, color=colour,
        )  # fmt: skip
        best = (one["eta_best"].item(), one["rms_best"].item())
        ax.plot(
            *best, "*", color=colour, markersize=13, markeredgecolor="white", markeredgewidth=0.6, zorder=5
        )
        ax.plot(
            one["eta_rule"], one["rms_rule"], "|", color="black", markersize=12, markeredgewidth=1.8, zorder=4
        )
        ax.annotate(
            f"{best[0]:.2g}", best, (-8, -6), textcoords="offset points", color=colour, va="top", ha="right"
        )
        ends.append((float(exact[-1]), f"K = {steps:,}", colour))
    ax.set_xlim(low, high)
    return ends
