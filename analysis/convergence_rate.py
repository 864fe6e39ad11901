"""Does tracking converge as one over the square root of the number of steps?

T3.7 of Xiao et al. 2026 (arXiv 2602.21321) says so of RIDER: with rates alpha, beta, eta ~ 1/sqrt(K) the mean
over K steps of ||W - W*||^2 + ||P - Q||^2 + ||G_p(P)||^2 is O(1/sqrt(K)) + Theta(dw), if every element of the
gradient keeps E|g_d| >= C*. That premise cannot hold at an optimum with noise, and without noise only for a
C* that falls with the gradient (`sptrack.theory.premise`); the share of steps and weights that met it is
drawn below.

One sees: what decides is not the premise but the conserved W - (beta/eta) Q. RIDER falls as 1/sqrt(K), at
any noise, if both targets lie on the line through its start and W is ideal; from any other start, or with a
real W, which drifts to its own symmetric point, it does not fall at all. E-RIDER and O-RIDER fall with a real
W from anywhere, without the premise. What E-RIDER does need is gradient noise: it drives P to its symmetric
point once the mean gradient is gone. The floor is Theta(dw) if the number of pulses has the variance of its
mean (Poisson), as the theorem assumes of whole pulses; rounding to the two nearest numbers does better.
"""  # noqa: D400

from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, fields, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.rider_invariant import ideal_weights
from sptrack.evaluation.rates import Rate, for_steps, measure_rate, with_optimum
from sptrack.evaluation.scaling import geometric_mean, power_law
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, provenance
from sptrack.tracking import Method, Problem, ProblemSettings, method, problem
from sptrack.tracking.problems import default_device

NOISES = (0.0, 0.002, 0.2)
MEASURED = tuple(item.name for item in fields(Rate) if item.name != "steps") + ("total",)


class _Case(NamedTuple):
    """A method, its problem, and how it is drawn."""

    method: str
    on_line: bool
    ideal: bool
    text: str
    colour: str
    marker: str


CASES = {
    "rider": _Case("rider", False, False, "RIDER", COLOURS[1], "s"),
    "rider-on-line": _Case("rider", True, False, "RIDER, targets on its line", COLOURS[4], "D"),
    "rider-on-line-ideal": _Case("rider", True, True, "targets on its line, ideal W", COLOURS[3], "^"),
    "e-rider": _Case("e-rider", False, False, "E-RIDER", COLOURS[0], "o"),
    "o-rider": _Case("o-rider", False, False, "O-RIDER", COLOURS[2], "v"),
}
FLOORS = ("rider-on-line-ideal", "e-rider", "o-rider")
LAWS = ("poisson", "rounded")


class _Grid(NamedTuple):
    steps: tuple[int, ...]
    seeds: int
    floor_steps: int
    granularities: tuple[float, ...]


FULL = _Grid(tuple(1000 * 2**k for k in range(8)), 4, 64000, (2e-2, 1e-2, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4))
SMALL = _Grid((300, 600, 1200), 2, 1000, (2e-2, 1e-2, 5e-3, 2e-3, 5e-4))


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Measure on the default problem, 4 seeds, up to 128000 steps; floors with 64000 (``small``: less).

    Returns
    -------
    Dataset
        Over case, noise, steps (K) and seed: the fields of `sptrack.evaluation.rates.Rate` and ``total``;
        over case and noise ``exponent`` of the seeds' geometric mean of the total, with ``_low`` and
        ``_high``. Over count law, floor case, granularity and seed: ``floor``, the total over the last tenth
        of a run with noise 0.2. ``excess``, its mean over that of the finest granularity, and
        ``floor_exponent``, a power law of that.
    """
    grid = SMALL if small else FULL
    seeds = range(seed, seed + grid.seeds)
    points = list(product(CASES, NOISES, grid.steps, seeds))
    floors = list(product(LAWS, FLOORS, grid.granularities, seeds))
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda p: _measure(p[0], p[1], 1e-3, p[2], p[3]), points))
        low = list(pool.map(lambda p: _measure(p[1], 0.2, p[2], grid.floor_steps, p[3], p[0]), floors))
    shape = (len(CASES), len(NOISES), len(grid.steps), len(seeds))
    values = np.array([(*astuple(one)[1:], one.total) for one in found]).reshape(*shape, -1)
    floor = np.array([one.tail for one in low]).reshape(len(LAWS), len(FLOORS), len(grid.granularities), -1)
    return _dataset(grid, values, floor, seed)


def _measure(
    name: str, noise: float, granularity: float, steps: int, seed: int, law: str = "rounded"
) -> Rate:
    chosen = for_steps(_method(name), steps)
    return measure_rate(_problem(name, noise, granularity, seed), chosen, steps, seed=seed, law=law)


def _method(name: str) -> Method:
    """Default settings, at 20000 steps; RIDER with those of E-RIDER."""
    base = method("e-rider")
    if CASES[name].method != "rider":
        return method(CASES[name].method)
    return method("rider", alpha=base.alpha, beta=base.beta, gamma=base.gamma, eta=base.eta)


def _problem(name: str, noise: float, granularity: float, seed: int) -> Problem:
    device = replace(default_device(), dw_min=granularity)
    made = problem(settings=ProblemSettings(gradient_noise=noise, device=device), seed=seed)
    case, rates = CASES[name], _method(name)
    if case.on_line:
        made = with_optimum(made, rates.beta / rates.eta * made.fast.target.ravel())
    return ideal_weights(made) if case.ideal else made


def _dataset(grid: _Grid, values: np.ndarray, floor: np.ndarray, seed: int) -> xr.Dataset:
    axes = ("case", "noise", "steps", "seed")
    units = dict.fromkeys(MEASURED, "weight units squared") | {
        "asymmetry": "1", "premise": "1", "moving": "1", "total": "weight units squared"
    }  # fmt: skip
    variables: dict[str, Any] = {
        name: (axes, values[..., k], {"units": units[name]}) for k, name in enumerate(MEASURED)
    }
    total = np.exp(np.log(values[..., -1]).mean(axis=-1))
    fits = [[power_law(grid.steps, row)[:3] for row in case] for case in total]
    mean = floor.mean(axis=-1)
    excess = mean[..., :-2] - mean[..., -1:]
    floors = [[power_law(grid.granularities[:-2], row)[:3] for row in part] for part in excess]
    for name, where, fit in (("exponent", axes[:2], fits), ("floor_exponent", ("law", "floor_case"), floors)):
        for end, part in zip(("", "_low", "_high"), np.moveaxis(np.array(fit), -1, 0), strict=True):
            variables[f"{name}{end}"] = (where, part, {"units": "1"})
    squared = {"units": "weight units squared"}
    variables["floor"] = (("law", "floor_case", "granularity", "seed"), floor, squared)
    variables["excess"] = (("law", "floor_case", "coarse"), excess, squared)
    coordinates = {
        "case": (("case",), list(CASES), {}),
        "noise": (("noise",), list(NOISES), {"units": "1"}),
        "steps": (("steps",), list(grid.steps), {"units": "steps"}),
        "seed": (("seed",), seed + np.arange(grid.seeds), {"units": "1"}),
        "law": (("law",), list(LAWS), {}),
        "coarse": (("coarse",), list(grid.granularities[:-2]), {"units": "weight units"}),
        "floor_case": (("floor_case",), list(FLOORS), {}),
        "granularity": (("granularity",), list(grid.granularities), {"units": "weight units"}),
    }
    asked = {"methods": {name: _method(name) for name in CASES}, "grid": grid}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def plot(data: xr.Dataset) -> Figure:
    """Mean error against K at three noises; below, the premise, the three terms, the floor."""
    figure = new_figure(15.5, 9.6)
    upper, lower = figure.subplots(2, 3)
    titles = ("no gradient noise", "noise 0.002, far below the gradient", "noise 0.2, the default")
    for ax, noise, title in zip(upper, data["noise"].values, titles, strict=True):
        _draw_rates(ax, data.sel(noise=noise), title)
    low, high = np.exp(np.nanmin(np.log(data["total"].values))), data["total"].values.max()
    for ax in upper:
        ax.set_ylim(low / 150, 1.6 * high)
    _draw_premise(lower[0], data)
    _draw_terms(lower[1], data.sel(noise=0.2))
    _draw_floor(lower[2], data)
    figure.suptitle(
        "Mean over K steps of |W − W*|² + |P − Q|² + G(P)² per cell; rates ~ 1/√K, dw = 0.001\n"
        "filled: at least half of the steps and weights met the premise of the theorem; open: fewer"
    )
    return figure


def _summary(one: xr.DataArray) -> np.ndarray:
    """Geometric mean over the seeds and its interval [3, points]."""
    return np.array([geometric_mean(row) for row in one.values]).T


def _points(ax: Axes, x: np.ndarray, one: xr.DataArray, case: _Case, text: str) -> None:
    value, low, high = _summary(one)
    ax.errorbar(
        x, value, [value - low, high - value], color=case.colour, capsize=3, linewidth=1.2, label=text,
        fmt="-",
    )  # fmt: skip


def _marks(ax: Axes, x: np.ndarray, y: np.ndarray, met: np.ndarray, case: _Case) -> None:
    for filled in (True, False):
        chosen = met == filled
        face = case.colour if filled else "white"
        ax.plot(
            x[chosen], y[chosen], case.marker, color=case.colour, markerfacecolor=face, markersize=7, zorder=3
        )


def _draw_rates(ax: Axes, data: xr.Dataset, title: str) -> None:
    steps = data["steps"].values
    for name, case in CASES.items():
        one = data.sel(case=name)
        ends = [float(one[f"exponent{end}"]) for end in ("", "_low", "_high")]
        text = f"{case.text}: {ends[0]:+.3f} [{ends[1]:+.3f}, {ends[2]:+.3f}]"
        _points(ax, steps, one["total"], case, text)
        _marks(ax, steps, _summary(one["total"])[0], one["premise"].mean("seed").values >= 0.5, case)
    guide = _summary(data.sel(case="rider-on-line-ideal")["total"])[0][0] / 3
    ax.plot(steps, guide * np.sqrt(steps[0] / steps), "--", color=GREY, label="slope −1/2 of the theorem")
    ax.set(xscale="log", yscale="log")
    ax.legend(fontsize=8.5, loc="lower left", title="exponent of K, 95 %", title_fontsize=8.5)
    label(ax, title[0].upper() + title[1:], "steps K of the run", "mean error per cell (weight units²)")


def _draw_premise(ax: Axes, data: xr.Dataset) -> None:
    """Shares of steps and weights with a gradient above the two levels, at noise 0.002."""
    for name, case in CASES.items():
        one = data.sel(case=name, noise=0.002).mean("seed")
        ax.plot(one["steps"], one["moving"], "-", color=case.colour, label=case.text)
        ax.plot(one["steps"], np.maximum(one["premise"], 1e-4), ":", color=case.colour, linewidth=2)
    for style, text in (("-", "RIDER cannot rest"), (":", "C* of the theorem")):
        ax.plot([], [], style, color="black", label=text)
    ax.set(xscale="log", yscale="log", ylim=(5e-6, 1.5))
    ax.legend(fontsize=8.5, loc="lower left", ncols=2)
    title = "Noise 0.002: steps and weights with E|g| large enough"
    label(ax, title, "steps K of the run", "share of steps and weights")


def _draw_terms(ax: Axes, data: xr.Dataset) -> None:
    """The three terms of RIDER and of O-RIDER."""
    styles = {"weights": ("-", "(W − W*)²"), "residual": ("--", "(P − Q)²"), "asymmetry": (":", "G(P)²")}
    for name in ("rider", "o-rider"):
        case, one = CASES[name], data.sel(case=name).mean("seed")
        for term, (style, text) in styles.items():
            ax.plot(
                one["steps"],
                one[term],
                style,
                color=case.colour,
                linewidth=2,
                label=f"{case.text}, {text}",
            )
    ax.set(xscale="log", yscale="log")
    ax.legend(fontsize=8.5, loc="lower left", ncols=2)
    ax.set_ylim(bottom=float(min(data[term].min() for term in styles)) / 8)
    label(ax, "The three terms, noise 0.2", "steps K of the run", "mean per cell (weight units²)")


def _draw_floor(ax: Axes, data: xr.Dataset) -> None:
    """Error at the end of a long run above that of the finest device."""
    x = data["coarse"].values
    for name, law in product(FLOORS, LAWS):
        case, one = CASES[name], data.sel(floor_case=name, law=law)
        ends = [float(one[f"floor_exponent{end}"]) for end in ("", "_low", "_high")]
        text = f"{case.text}, {law}: {ends[0]:.2f} [{ends[1]:.2f}, {ends[2]:.2f}]"
        style, face = ("-", case.colour) if law == "poisson" else ("--", "white")
        ax.plot(x, one["excess"], case.marker + style, color=case.colour, markerfacecolor=face, label=text)
    guide = float(data["excess"].sel(law="poisson").isel(coarse=-1).min()) / 2
    ax.plot(x, guide * x / x[-1], ":", color=GREY, label="∝ dw, as in the theorem")
    ax.set(xscale="log", yscale="log")
    ax.legend(fontsize=8.5, loc="upper left", title="exponent of dw, 95 %, by count law", title_fontsize=8.5)
    ax.set_ylim(top=300 * ax.get_ylim()[1])
    title = "Floor of a long run, less that of the finest device"
    label(ax, title, "granularity dw (weight units)", "error per cell (weight units²)")
