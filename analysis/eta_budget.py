"""How fast should the reference filter be, if the symmetric point must be known after K steps?

RMS error of the filtered reference Q after K = 500, 2000 and 8000 steps against the rate eta of its
exponential average, on a linear device whose P and Q start at 0, a distance of 0.3 from the symmetric point.
Lines are the exact mean square of the linearised loop (two transients, variance, bias), points are simulated
(95 % intervals). Stars mark the optimum, triangles the rule ln(4 K' e^2/S0)/(2 K').

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
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
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


def plot(dataset: xr.Dataset) -> Figure:
    """Error against rate, a panel per gradient."""
    figure = new_figure(12.5, 5.6)
    panels = figure.subplots(1, 2, sharey=True)
    for ax, name in zip(panels, dataset["gradient"].values, strict=True):
        _errors(ax, dataset.sel(gradient=name))
        label(ax, f"gradient {name}, flip probability {FLIPS:g}", "filter rate eta", "")
    panels[0].set_ylabel("rms error of Q after K steps (weight units)")
    handles, texts = panels[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle("The best filter rate for K steps: too slow costs more than too fast")
    return figure


def _errors(ax: Axes, data: xr.Dataset) -> None:
    runs = read_provenance(data)["parameters"]["runs"]
    for j, steps in enumerate(data["steps"].values):
        chosen, colour = data.sel(steps=steps), COLOURS[j]
        ax.plot(data["eta"], chosen["rms_exact"], color=colour, label=f"K = {steps}, exact")
        ax.errorbar(
            chosen["eta_simulated"],
            chosen["rms_simulated"],
            error_arms(chosen["rms_simulated"], chosen["rms_error"], repeats=runs, positive=True),
            fmt="o",
            markersize=4,
            capsize=2,
            color=colour,
            label=f"K = {steps}, simulated",
        )
        ax.plot(
            chosen["eta_best"], chosen["rms_best"], "*", color=colour, markersize=15, markeredgecolor="white"
        )
        ax.plot(
            chosen["eta_rule"], chosen["rms_rule"], "^", color=colour, markersize=9, markerfacecolor="none"
        )
        ax.annotate(
            f"eta {chosen['eta_best'].item():.2g}: {chosen['rms_best'].item():.3f}",
            (chosen["eta_best"].item(), chosen["rms_best"].item()),
            xytext=(8, -12),
            textcoords="offset points",
            fontsize=8,
            color=colour,
        )
    ax.plot([], [], "*", color=GREY, markersize=12, label="optimum")
    ax.plot(
        [],
        [],
        "^",
        color=GREY,
        markersize=9,
        markerfacecolor="none",
        label="rule (its rms leaves out the bias)",
    )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(4e-5, 0.1)
    ax.set_ylim(0.02, 0.4)
    ax.set_yticks([0.02, 0.05, 0.1, 0.2, 0.3], ["0.02", "0.05", "0.1", "0.2", "0.3"])
    ax.minorticks_off()
