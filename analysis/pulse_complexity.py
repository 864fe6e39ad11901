"""Who needs the fewest pulses to a given training error, and does that change with the device?

C3.9 of Xiao et al. 2026 (arXiv 2602.21321) gives RIDER O(delta^-2) pulses to a training error delta and
calibrate-then-train O(delta^-2 + delta^-1 dw^-1), and so the tracker the advantage on fine devices. It
counts a fixed number of pulses per step. Here the pulses that are sent are counted, calibration included,
until the mean of (W - W*)^2 over the cells and 200 steps is at most delta.

Every method gets the same number of random settings (rates, steps between reads, and the calibration pulses
of two-stage, which are scaled as 1/dw), tried on two problems with dw = 0.001, the best on four more. For
each target the cheapest is run on eight other problems; so is, for each granularity, the cheapest of the best
few, in pulses and in cost. A run is given up after 20000 steps. RIDER has the settings of the best E-RIDER,
without the chopper. Points are medians over the problems, for a run may not get there.

One sees: pulses grow as 1/dw for all of them, because W alone needs some 0.4/dw to get to its optimum
(dotted), so a finer device does not favour the trackers. E-RIDER is the cheapest to a loose target and pays
most for a tight one, where some of its runs do not get there at all; O-RIDER is the cheapest to tight targets
at every granularity; calibrating first misses them on the coarsest device. RIDER never gets there. O-RIDER's
observer was the regression in the stored data, its default when they were made.
"""  # noqa: D400

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack import CostModel
from sptrack.evaluation.passages import (
    Passage,
    Run,
    cheapest,
    fewest_pulses,
    first_passages,
    random_methods,
)
from sptrack.evaluation.scaling import median_cost, power_law, tie
from sptrack.plotting.style import (
    GREY,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    look_of,
    new_figure,
)
from sptrack.results import dataset, provenance
from sptrack.tracking import Method, Problem, ProblemSettings, problem, with_settings
from sptrack.tracking.problems import default_device

RATES = {"alpha": (5e-4, 0.1), "beta": (5e-4, 0.03), "gamma": (0.1, 2.0)}
SEARCHED: dict[str, dict[str, tuple[float, float]]] = {
    "e-rider": RATES | {"eta": (1e-3, 0.1), "p": (3e-4, 1e-2), "every": (1, 64)},
    "o-rider": RATES | {"eta": (5e-5, 2e-3), "every": (1, 64)},
    "two-stage": RATES | {"pulses": (500, 8000), "every": (1, 64)},
}
NAMES = ("rider", *SEARCHED)
TEXT = {"rider": "RIDER", "e-rider": "E-RIDER", "o-rider": "O-RIDER", "two-stage": "calibrate, then train"}
PRICES = ("pulses", "cost")
TARGETS = (2e-2, 1e-2, 5e-3, 2e-3, 1e-3)
TARGET, GRANULARITY = 2e-3, 1e-3
FIRST, TRIED = 2, 6
"""Problems that every setting is tried on, and those that the best are."""
PAIRS = (("e-rider", "two-stage"), ("o-rider", "two-stage"), ("e-rider", "o-rider"))


class _Grid(NamedTuple):
    granularities: tuple[float, ...]
    settings: int
    best: int
    seeds: int
    steps: int


FULL = _Grid((1e-4, 3e-4, 1e-3, 2e-3, 5e-3), 48, 2, 8, 20000)
SMALL = _Grid((1e-3, 2e-3, 5e-3), 4, 1, 2, 3000)


class _Bench(NamedTuple):
    """Settings that every run shares: the grid, the root seed and the number of threads."""

    grid: _Grid
    seed: int
    threads: int | None

    @property
    def tuning(self) -> range:
        return range(self.seed, self.seed + TRIED)

    @property
    def scored(self) -> range:
        return range(self.seed + 100, self.seed + 100 + self.grid.seeds)

    def go(
        self, methods: Sequence[Method], granularity: float, seeds: range, targets: Sequence[float]
    ) -> dict[str, Any]:
        """Pulses, cost and steps [methods, seeds, targets]."""
        problems = [_problem(granularity, one) for one in seeds]
        adapted = [_adapted(one, granularity) for one in methods]
        runs = [Run(p, m, s) for m in adapted for p, s in zip(problems, seeds, strict=True)]
        found = first_passages(runs, targets, max_steps=self.grid.steps, threads=self.threads)
        return _tables(found, (len(methods), len(seeds), len(targets)))


def _tables(found: Sequence[Passage], shape: tuple[int, ...]) -> dict[str, Any]:
    model = CostModel()
    parts = {
        "pulses": [one.pulses for one in found],
        "cost": [one.cost(model) for one in found],
        "steps": [one.steps for one in found],
    }
    return {name: np.array(values).reshape(shape) for name, values in parts.items()}


def _problem(granularity: float, seed: int) -> Problem:
    return problem(settings=ProblemSettings(device=replace(default_device(), dw_min=granularity)), seed=seed)


def _adapted(base: Method, granularity: float) -> Method:
    """Settings for another granularity: only the calibration scales, as theory says it has to."""
    return with_settings(base, pulses=2 * round(base.pulses * GRANULARITY / granularity / 2))


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Search 48 settings a method, score on 8 problems at 5 granularities and 5 targets (``small``: less).

    Returns
    -------
    Dataset
        Over method, target and seed (dw 0.001): ``target_pulses``, ``target_steps``; over method, granularity
        and seed (target 0.002): ``pulses`` and ``cost``, each with the settings that are cheapest in it; NaN
        where a run did not get there. ``fewest`` and ``target_fewest``, a lower bound on the pulses of any
        method. Exponents over method and ``tie`` over pair, what, each with ``_low`` and ``_high``.
    """
    bench = _Bench(SMALL if small else FULL, seed, threads)
    values = _empty(bench.grid)
    chosen: dict[str, list[Method]] = {}
    for name in SEARCHED:
        for t, best in enumerate(_search(bench, name, chosen)):
            done = bench.go([best], GRANULARITY, bench.scored, [TARGETS[t]])
            for what in ("pulses", "steps"):
                values[f"target_{what}"][NAMES.index(name), t] = done[what][0, :, 0]
    chosen["rider"] = [with_settings(chosen["e-rider"][0], name="rider", sync=True, chopper=None)]
    done = bench.go(chosen["rider"], GRANULARITY, bench.scored, TARGETS)
    for what in ("pulses", "steps"):
        values[f"target_{what}"][0] = done[what][0].T
    for k, name in enumerate(NAMES):
        for g, granularity in enumerate(bench.grid.granularities):
            for price, row in _score(bench, chosen[name], granularity).items():
                values[price][k, g] = row
    return _dataset(bench, values, chosen)


def _search(bench: _Bench, name: str, chosen: dict[str, list[Method]]) -> list[Method]:
    """Cheapest setting in pulses for each target; into ``chosen`` the best few for the main one."""
    grid, at = bench.grid, TARGETS.index(TARGET)
    pool = random_methods(name, SEARCHED[name], grid.settings, seed=bench.seed)
    first = bench.go(pool, GRANULARITY, bench.tuning[:FIRST], TARGETS)
    good = [k for t in range(len(TARGETS)) for k in cheapest(first["pulses"][..., t], grid.best)]
    good += cheapest(first["cost"][..., at], grid.best) or [0]
    finalists = list(dict.fromkeys(good))
    second = bench.go([pool[k] for k in finalists], GRANULARITY, bench.tuning[FIRST:], TARGETS)
    both = {what: np.concatenate([first[what][finalists], second[what]], axis=1) for what in PRICES}
    few = [k for price in PRICES for k in cheapest(both[price][..., at], grid.best)] or [0]
    chosen[name] = [pool[finalists[k]] for k in dict.fromkeys(few)]
    order = [(cheapest(both["pulses"][..., t]) or [0])[0] for t in range(len(TARGETS))]
    return [pool[finalists[k]] for k in order]


def _score(bench: _Bench, pool: list[Method], granularity: float) -> dict[str, Any]:
    """Pulses and cost [seeds] of the settings that are cheapest in each on the tuning problems."""
    picked = dict.fromkeys(PRICES, 0)
    if len(pool) > 1:
        first = bench.go(pool, granularity, bench.tuning[:4], [TARGET])
        picked = {price: (cheapest(first[price][..., 0]) or [0])[0] for price in PRICES}
    done = {i: bench.go([pool[i]], granularity, bench.scored, [TARGET]) for i in set(picked.values())}
    return {price: done[i][price][0, :, 0] for price, i in picked.items()}


def _empty(grid: _Grid) -> dict[str, Any]:
    by_target = (len(NAMES), len(TARGETS), grid.seeds)
    by_granularity = (len(NAMES), len(grid.granularities), grid.seeds)
    return {
        "target_pulses": np.full(by_target, np.nan),
        "target_steps": np.full(by_target, np.nan),
        "pulses": np.full(by_granularity, np.nan),
        "cost": np.full(by_granularity, np.nan),
    }


def _dataset(bench: _Bench, values: dict[str, Any], chosen: dict[str, list[Method]]) -> xr.Dataset:
    grid = bench.grid
    along = {
        "target_pulses": "target",
        "target_steps": "target",
        "pulses": "granularity",
        "cost": "granularity",
    }
    places = {"target": TARGETS, "granularity": grid.granularities}
    units = {"target_steps": "steps", "cost": "pulse units per cell"}
    variables: dict[str, Any] = {}
    for name, array in values.items():
        axis = along[name]
        variables[name] = (("method", axis, "seed"), array, {"units": units.get(name, "pulses per cell")})
        fits = np.array([_exponent(places[axis], row) for row in array]).T
        ties = np.array([_tie(places[axis], array, pair) for pair in PAIRS]).T
        tied = {"units": "weight units" if axis == "granularity" else "weight units squared"}
        for end, fit, at in zip(("", "_low", "_high"), fits, ties, strict=True):
            variables[f"{name}_exponent{end}"] = (("method",), fit, {"units": "1"})
            variables[f"{name}_tie{end}"] = (("pair",), at, tied)
    variables["fewest"] = (
        ("granularity",),
        _fewest(bench, grid.granularities, [TARGET])[:, 0],
        {"units": "pulses per cell"},
    )
    variables["target_fewest"] = (
        ("target",),
        _fewest(bench, [GRANULARITY], TARGETS)[0],
        {"units": "pulses per cell"},
    )
    coordinates = {
        "method": (("method",), list(NAMES), {}),
        "pair": (("pair",), [" / ".join(pair) for pair in PAIRS], {}),
        "target": (("target",), list(TARGETS), {"units": "weight units squared"}),
        "granularity": (("granularity",), list(grid.granularities), {"units": "weight units"}),
        "seed": (("seed",), list(bench.scored), {"units": "1"}),
    }
    asked = {"grid": grid, "ranges": SEARCHED, "chosen": chosen, "cost": CostModel()}
    return dataset(variables, coordinates, provenance(seed=bench.seed, parameters=asked))


def _exponent(x: Sequence[float], costs: np.ndarray) -> tuple[float, float, float]:
    mean = np.array([median_cost(row).value for row in costs])
    known = np.isfinite(mean)
    if known.sum() < 3:
        return np.nan, np.nan, np.nan
    return power_law(np.array(x)[known], mean[known])[:3]


def _tie(x: Sequence[float], costs: np.ndarray, pair: tuple[str, str]) -> tuple[float, float, float]:
    """Where the pair's costs are level; the places may fall."""
    first, second = (costs[NAMES.index(name)] for name in pair)
    order = np.argsort(x)
    return tie(np.array(x)[order], first[order], second[order])


def _fewest(bench: _Bench, granularities: Sequence[float], targets: Sequence[float]) -> np.ndarray:
    """Mean over the scored problems [granularities, targets]."""
    return np.array([
        np.mean([[fewest_pulses(_problem(g, one), t) for t in targets] for one in bench.scored], axis=0)
        for g in granularities
    ])  # fmt: skip


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Pulses and cost against the number of states, pulses against the target, and all exponents."""
    figure = new_figure(7.2, 7.4)
    headline(
        figure,
        "To tight targets O-RIDER and calibrating first need fewer pulses than E-RIDER in the median; "
        "to loose ones E-RIDER needs the fewest",
        "Median over 8 problems, simulated, 95 % (arrow up: some runs do not get there). Calibration "
        "included, "
        "settings searched alike on other problems. RIDER never gets there. Dotted: fewest that can "
        "move W there.",
    )
    panels = figure.subplots(2, 2)
    states = 2 / data["granularity"].values
    (left, right), (below, exponents) = panels
    left.plot(states, data["fewest"], ":", color="black")
    _draw(left, data, "pulses", states)
    _mark_coarse(left, data)
    ends = _draw(right, data, "cost", states)
    below.plot(data["target"], data["target_fewest"], ":", color="black")
    _draw(below, data, "target_pulses", data["target"].values)
    below.invert_xaxis()
    number = "number of states, 2 / dw"
    label(left, f"Pulses to (W − W*)² = {TARGET:g}", number, "pulses per cell")
    label(right, "Cost: a read is 10 pulses", number, "cost per cell (pulses)")
    label(below, f"Pulses at dw = {GRANULARITY:g}", "target (W − W*)² (weight units²)", "pulses per cell")
    _draw_exponents(exponents, data)
    label_ends(right, ends)
    return figure


def _draw(ax: Axes, data: xr.Dataset, name: str, x: np.ndarray) -> list[tuple[float, str, str]]:
    """Medians with intervals, an arrow at the upper edge where those are open; returns the lines' labels."""
    ends = []
    for k, method in enumerate(SEARCHED):
        colour, marker, _ = look_of(method)
        value, low, high = np.array([median_cost(row) for row in data[name].sel({"method": method}).values]).T
        is_open = np.isfinite(value) & ~np.isfinite(high)
        reach = [value - low, np.where(is_open, value, high) - value]
        at = x * 1.04 ** (k - 1)
        ax.errorbar(
            at, value, reach, color=colour, marker=marker, markerfacecolor="white", capsize=2, elinewidth=1,
            markersize=5.5, linewidth=1.5,
        )  # fmt: skip
        ax.errorbar(
            at[is_open], value[is_open], 0.6 * value[is_open], lolims=True, fmt="none", color=colour,
            elinewidth=1,
        )  # fmt: skip
        known = np.flatnonzero(np.isfinite(value))
        if known.size:
            ends.append((float(value[known[np.argmax(x[known])]]), TEXT[method].replace(", ", ",\n"), colour))
    log_scale(ax, "xy", most=5)
    return ends


def _draw_exponents(ax: Axes, data: xr.Dataset) -> None:
    """Exponents of states and of 1/target with 95 % intervals."""
    rows = (("pulses", "pulses,\nof states", -1), ("cost", "cost,\nof states", -1),
            ("target_pulses", "pulses,\nof 1/target", -1))  # fmt: skip
    for k, method in enumerate(SEARCHED):
        colour, marker, _ = look_of(method)
        for row, (name, _, sign) in enumerate(rows):
            one = data.sel({"method": method})
            low, value, high = sorted(
                sign * float(one[f"{name}_exponent{end}"]) for end in ("", "_low", "_high")
            )
            if np.isfinite(value):
                ax.errorbar(
                    value, row + 0.2 * (k - 1), xerr=[[value - low], [high - value]], fmt=marker,
                    color=colour, markerfacecolor="white", capsize=2, markersize=5.5, elinewidth=1,
                )  # fmt: skip
    for at in (1.0, 2.0):
        ax.axvline(at, color=GREY, linestyle=":", linewidth=1.2)
    ax.set_yticks(range(len(rows)), [text for _, text, _ in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(-0.05, 2.1)
    label(ax, "Exponents", "exponent, 95 % (dotted: of C3.9)", "")


def _mark_coarse(ax: Axes, data: xr.Dataset) -> None:
    """Between which numbers of states calibrating first begins to get there."""
    states = 2 / data["granularity"].values
    values = data["pulses"].sel({"method": "two-stage"}).values
    reached = np.array([np.isfinite(median_cost(row).value) for row in values])
    if reached.all() or not reached.any():
        return
    low, high = states[~reached].max(), states[reached].min()
    colour = look_of("two-stage").colour
    ax.axvspan(low, high, color=colour, alpha=0.12, linewidth=0)
    text = "calibrating first\ngets there from\nhere on"
    ax.text(1.06 * high, 0.98, text, fontsize=9, color=colour, va="top", transform=ax.get_xaxis_transform())
