"""Does tracking converge as one over the square root of the number of steps?

T3.7 of Xiao et al. 2026 (arXiv 2602.21321) says so of RIDER: with rates alpha, beta, eta ~ 1/sqrt(K) the mean
over K steps of ||W - W*||^2 + ||P - Q||^2 + ||G_p(P)||^2 is O(1/sqrt(K)) + Theta(dw), if every element of the
gradient keeps E|g_d| >= C*. That premise cannot hold at an optimum with noise, and without noise only for a
C* that falls with the gradient (`sptrack.theory.premise`); markers are filled where at least half of the
steps and weights met it.

One sees: what decides is not the premise but the conserved W - (beta/eta) Q. RIDER falls as 1/sqrt(K), at
any noise, if both targets lie on the line through its start and W is ideal; from any other start, or with a
real W, which drifts to its own symmetric point, it does not fall at all. E-RIDER and O-RIDER fall with a real
W from anywhere, without the premise. What E-RIDER does need is gradient noise: it drives P to its symmetric
point once the mean gradient is gone. The floor is Theta(dw) if the number of pulses has the variance of its
mean (Poisson), as the theorem assumes of whole pulses; rounding to the two nearest numbers does better.
"""  # noqa: D400

from dataclasses import fields, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis._cells import each
from analysis.rider_invariant import ideal_weights
from sptrack.evaluation.rates import Rate, for_steps, measure_rate, with_optimum
from sptrack.evaluation.scaling import geometric_mean, power_law
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    VERMILLION,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
    text_colour,
)
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
    "rider": _Case("rider", False, False, "RIDER", GREY, "v"),
    "rider-on-line": _Case("rider", True, False, "RIDER, targets\non its line", LIGHT, "D"),
    "rider-on-line-ideal": _Case("rider", True, True, "targets on its\nline, ideal W", GREEN, "s"),
    "e-rider": _Case("e-rider", False, False, "E-RIDER", BLUE, "o"),
    "o-rider": _Case("o-rider", False, False, "O-RIDER", VERMILLION, "^"),
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
    found = each(_measure, [(name, noise, 1e-3, steps, one) for name, noise, steps, one in points])
    low = each(_measure, [(name, 0.2, dw, grid.floor_steps, one, law) for law, name, dw, one in floors])
    shape = (len(CASES), len(NOISES), len(grid.steps), len(seeds))
    values = np.array(found).reshape(*shape, -1)
    tails = np.array(low)[:, MEASURED.index("tail")]
    floor = tails.reshape(len(LAWS), len(FLOORS), len(grid.granularities), -1)
    return _dataset(grid, values, floor, seed)


def _measure(
    name: str, noise: float, granularity: float, steps: int, seed: int, law: str = "rounded"
) -> list[float]:
    """Values of ``MEASURED`` in one run."""
    chosen = for_steps(_method(name), steps)
    found = measure_rate(_problem(name, noise, granularity, seed), chosen, steps, seed=seed, law=law)
    return [getattr(found, name) for name in MEASURED]


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
        made = with_optimum(made, rates.beta / rates.eta * made.p_cells.target.ravel())
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


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Mean error against K at three noises, and the floor of long runs against the granularity."""
    figure = new_figure(7.2, 7.6)
    slopes = {name: float(data["exponent"].sel(case=name, noise=0.2)) for name in CASES}
    headline(
        figure,
        f"With gradient noise E-RIDER and O-RIDER converge with exponents {slopes['e-rider']:.2f} and "
        f"{slopes['o-rider']:.2f} wherever the targets lie; RIDER needs them on its line and an ideal W",
        "Mean over K steps of |W − W*|² + |P − Q|² + G(P)² per cell, rates ~ 1/√K, dw = 0.001; 4 "
        "seeds, 95 %. Filled: "
        "at least half of the steps and weights met the premise. Numbers: exponent of K.",
    )
    panels = figure.subplots(2, 2)
    titles = ("No gradient noise", "Noise 0.002, far below the gradient", "Noise 0.2, the default")
    for ax, noise, title in zip(panels.flat, data["noise"].values, titles, strict=False):
        if ax is not panels[0, 0]:
            ax.sharex(panels[0, 0])
            ax.sharey(panels[0, 0])
        _draw_rates(ax, data.sel(noise=noise), title)
    _draw_floor(panels[1, 1], data)
    for ax in panels[0]:
        ax.set_xlabel("")
    for ax in panels[0, 1:]:
        ax.set_ylabel("")
    ends = []
    for name, case in CASES.items():
        last = _summary(data.sel(case=name, noise=0.002)["total"])[0][-1]
        ends.append((float(last), case.text, text_colour(case.colour)))
    label_ends(panels[0, 1], ends, size=9.0)
    return figure


def _summary(one: xr.DataArray) -> np.ndarray:
    """Geometric mean over the seeds and its interval [3, points]."""
    return np.array([geometric_mean(row) for row in one.values]).T


def _draw_rates(ax: Axes, data: xr.Dataset, title: str) -> None:
    steps = data["steps"].values
    ends = []
    for name, case in CASES.items():
        one = data.sel(case=name)
        value, low, high = _summary(one["total"])
        met = one["premise"].mean("seed").values >= 0.5
        ax.errorbar(steps, value, [value - low, high - value], color=case.colour, capsize=2, elinewidth=1)
        for chosen, face in ((met, case.colour), (~met, "white")):
            ax.plot(
                steps[chosen], value[chosen], case.marker, color=case.colour, markerfacecolor=face,
                markersize=5, zorder=3,
            )  # fmt: skip
        ends.append((float(value[-1]), f"{float(one['exponent']):+.2f}", text_colour(case.colour)))
    guide = _summary(data.sel(case="rider-on-line-ideal")["total"])[0][0] / 3
    ax.plot(steps, guide * np.sqrt(steps[0] / steps), "--", color="black", linewidth=1)
    ax.annotate(
        "∝ 1/√K", (steps[1], guide * np.sqrt(steps[0] / steps[1])), (-8, -20), textcoords="offset points"
    )
    log_scale(ax, "x", most=4)
    log_scale(ax, "y")
    label(ax, title, "steps K of the run", "error per cell (weight units²)")
    if title != "Noise 0.002, far below the gradient":
        label_ends(ax, ends, size=9.0)


def _draw_floor(ax: Axes, data: xr.Dataset) -> None:
    """Error at the end of a long run above that of the finest device."""
    x = data["coarse"].values
    ends = []
    for name in FLOORS:
        case = CASES[name]
        for law, line, face in (("poisson", "-", case.colour), ("rounded", "--", "white")):
            one = data.sel(floor_case=name, law=law)
            ax.plot(
                x, one["excess"], case.marker + line, color=case.colour, markerfacecolor=face, markersize=5,
                linewidth=1.3,
            )  # fmt: skip
            text = f"{float(one['floor_exponent']):.1f} {law}"
            ends.append((float(one["excess"][0]), text, case.colour))
    guide = float(data["excess"].sel(law="poisson").isel(coarse=-1).min()) / 2
    ax.plot(x, guide * x / x[-1], "--", color="black", linewidth=1)
    ax.annotate("∝ dw", (x[1], guide * x[1] / x[-1]), (4, -10), textcoords="offset points")
    log_scale(ax, "x", most=4)
    log_scale(ax, "y")
    label(ax, "Floor, less that of the finest device", "granularity dw (weight units)", "")
    label_ends(ax, ends, size=9.0)
