"""Does tuning help RIDER and E-RIDER, and does the gain hold on problems it has not seen?

Both start from their default settings and get the same budget: 100 trials over the same wide ranges, each
scored on 4 problems (20000 steps, 64 coupled weights, symmetric points 0.4 +- 0.4), the best five on 10 more.
Defaults and tuned settings then meet on 20 held-out problems, beside the oracle, which is told the symmetric
points, and W left at 0; the numbers are the mean difference and its 95 % interval, paired by problem.

One sees: E-RIDER loses a quarter of its error, which leaves it close to the oracle with its defaults; its
best trial promised more (0.00047 on its four problems, 0.00074 on the unseen), since the best of many owes
its place to luck as well. RIDER gains nothing that can be shown: without a chopper no setting brings W to its
optimum.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.design import Budget, Plan, Task, edges, evaluate, hold_out, run_study
from sptrack.intervals import positive_interval, student_interval
from sptrack.plotting.style import (
    GREY,
    LIGHT,
    VERMILLION,
    Look,
    headline,
    house_style,
    label,
    log_scale,
    look_of,
    new_figure,
)
from sptrack.results import dataset, provenance
from sptrack.tracking import ProblemSettings, method
from sptrack.tracking.problems import problem

METHODS = ("rider", "e-rider")
SETTINGS = {"start": "defaults", "tuned": "tuned"}
_LOOKS = {"rider": Look(VERMILLION, "v"), "e-rider": look_of("e-rider")}
_ERROR = "error of W (weight units²)"


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Tune both methods (``small``: 8 trials of 400 steps with 8 weights).

    Returns
    -------
    Dataset
        Over ``method`` and ``trial``: ``w`` (mean over the tuning problems, NaN where given up) and ``seen``
        (of those, when they were given up). Over ``method`` and ``setting`` ("start", "tuned"): ``held``,
        ``held_ci``, mean over the held-out problems and its 95 % interval. Over ``method``: ``change``,
        ``change_ci``, the same of tuned less start, paired by problem, and ``edge``, the tuned settings at an
        end of their range, by comma. ``oracle`` and ``nothing``: means over the same problems.
    """
    task = Task(settings=ProblemSettings(size=8), steps=400) if small else Task()
    amount = {"trials": 8, "finalists": 1, "held_out": 3} if small else {"held_out": 20}
    budget = Budget(seed=seed, **amount)
    found = [run_study(Plan(start=method(name), task=task, budget=budget)) for name in METHODS]
    held = np.array([[scores["w"] for scores in hold_out(one)] for one in found])
    change = held[:, 1] - held[:, 0]
    seeds = budget.held_out_seeds
    optima = [problem(task.problem, task.settings, seed=one).optimum for one in seeds]
    squared = {"units": "weight units squared"}
    values = [[trial.scores.get("w", np.nan) for trial in one.trials] for one in found]
    variables = {
        "w": (("method", "trial"), values, squared),
        "seen": (("method", "trial"), [[trial.seen for trial in one.trials] for one in found], squared),
        "held": (("method", "setting"), held.mean(axis=2), squared),
        "held_ci": (("method", "setting", "end"), positive_interval(held), squared),
        "change": (("method",), change.mean(axis=1), squared),
        "change_ci": (("method", "end"), student_interval(change), squared),
        "oracle": ((), evaluate(method("oracle"), task, seeds)["w"].mean(), squared),
        "nothing": ((), np.mean(np.square(optima)), squared),
    }
    coordinates = {
        "method": (("method",), list(METHODS), {}),
        "setting": (("setting",), list(SETTINGS), {}),
        "edge": (
            ("method",),
            [",".join(edges(one.plan.space, one.best[one.chosen].point)) for one in found],
            {},
        ),
    }
    asked = {"plans": [one.plan.identity() for one in found], "trials": budget.trials}
    asked |= {"tuned": [one.method for one in found], "held_out": list(seeds)}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Trials and best so far (left); defaults and tuned settings on held-out problems (right)."""
    figure = new_figure(7.2, 4.8)
    headline(figure, finding(data), _setting(data))
    left, right = figure.subplots(1, 2, width_ratios=[1.6, 1], sharey=True)
    trial = np.arange(data.sizes["trial"])
    for name in data["method"].values.tolist():
        one, look = data.sel({"method": name}), _LOOKS[name]
        left.plot(trial, one["seen"].where(np.isnan(one["w"])), "x", color=LIGHT, markersize=4)
        left.plot(trial, one["w"], look.marker, color=look.colour, alpha=0.6, markersize=3.5)
        best = np.fmin.accumulate(one["w"].values)
        left.step(trial, best, where="post", color=look.colour, label=f"{name}, best so far")
    left.plot([], [], "x", color=LIGHT, markersize=4, label="given up")
    log_scale(left, "y")
    _plot_held_out(right, data)
    left.set_ylim(0.4 * float(data["held_ci"].min()), 3 * float(data["w"].max()))
    left.legend(loc="upper right", fontsize=9)
    label(left, "Trials, scored on 4 problems", "trial (0: the defaults)", _ERROR)
    return figure


def finding(data: xr.Dataset) -> str:
    """What each method gained on unseen problems, where that is resolved."""
    parts = []
    for name in data["method"].values.tolist():
        one = data.sel({"method": name})
        low, high = one["change_ci"].values.tolist()
        before, after = (float(one["held"].sel(setting=setting)) for setting in SETTINGS)
        if high < 0:
            parts.append(f"{name} loses {100 * (1 - after / before):.0f} % of its error of W")
        elif low > 0:
            parts.append(f"{name}'s error of W grows by {100 * (after / before - 1):.0f} %")
        else:
            parts.append(f"{name} gains nothing that can be shown")
    return f"Tuned, {'; '.join(parts)}"


def _setting(data: xr.Dataset) -> str:
    pairs = zip(data["method"].values.tolist(), data["edge"].values.tolist(), strict=True)
    at_edge = [f"{name}: {edge}" for name, edge in pairs if edge]
    ends = f" The search ended at the edge of a range ({'; '.join(at_edge)})." if at_edge else ""
    return f"Open: defaults, filled: tuned; unseen problems, mean, 95 %, and difference.{ends}"


def _plot_held_out(ax: Axes, data: xr.Dataset) -> None:
    names = data["method"].values.tolist()
    for k, setting in enumerate(SETTINGS):
        for place, name in enumerate(names):
            one, look = data.sel({"method": name, "setting": setting}), _LOOKS[name]
            open_ = setting == "start" or bool(str(one["edge"].values))
            value = float(one["held"])
            bar = np.abs(one["held_ci"].values - value).reshape(2, 1)
            ax.errorbar(place + 0.2 * k - 0.1, value, bar, fmt=look.marker, color=look.colour, capsize=3,
                        markersize=7, markerfacecolor="white" if open_ else look.colour)  # fmt: skip
    for name, text in (("nothing", "W left at 0"), ("oracle", "oracle, defaults")):
        ax.axhline(float(data[name]), color=GREY, linestyle=":", linewidth=1.2)
        ax.text(-0.48, 1.05 * float(data[name]), text, color=GREY, va="bottom", ha="left", fontsize=9)
    for place, name in enumerate(names):
        one = data.sel({"method": name})
        low, high = one["change_ci"].values
        text = f"{float(one['change']):+.2g}\n({low:+.2g} ..\n{high:+.2g})"
        ends, middle = one["held_ci"].values, np.sqrt(float(data["nothing"]) * float(data["oracle"]))
        above = ends.max() < middle
        ax.text(place, 1.25 * ends.max() if above else 0.8 * ends.min(), text, ha="center", fontsize=9,
                va="bottom" if above else "top")  # fmt: skip
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_xticks(range(len(names)), names)
    label(ax, "On unseen problems", "", "")
