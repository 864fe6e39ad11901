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

from sptrack.intervals import positive_interval, student_interval
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, provenance
from sptrack.tracking import ProblemSettings, method
from sptrack.tracking.problems import problem
from sptrack.tuning import Budget, Plan, Task, evaluate, hold_out, search

METHODS = ("rider", "e-rider")
SETTINGS = {"start": "defaults", "tuned": "tuned"}
_LOOKS = {"rider": COLOURS[1], "e-rider": COLOURS[0]}
_ERROR = "mean $(W - W^*)^2$ (weight units²)"


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Tune both methods (``small``: 8 trials of 400 steps with 8 weights).

    Returns
    -------
    Dataset
        Over ``method`` and ``trial``: ``w`` (mean over the tuning problems, NaN where given up) and ``seen``
        (of those, when they were given up). Over ``method`` and ``setting`` ("start", "tuned"): ``held``,
        ``held_ci``, mean over the held-out problems and its 95 % interval. Over ``method``: ``change``,
        ``change_ci``, the same of tuned less start, paired by problem. ``oracle`` and ``nothing``: means over
        the same problems.
    """
    task = Task(settings=ProblemSettings(size=8), steps=400) if small else Task()
    amount = {"trials": 8, "finalists": 1, "held_out": 3} if small else {"held_out": 20}
    budget = Budget(seed=seed, **amount)
    found = [search(Plan(start=method(name), task=task, budget=budget)) for name in METHODS]
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
    }
    asked = {"plans": [one.plan.identity() for one in found], "trials": budget.trials}
    asked |= {"tuned": [one.method for one in found], "held_out": list(seeds)}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def plot(data: xr.Dataset) -> Figure:
    """Trials and best so far (left); defaults and tuned settings on held-out problems (right)."""
    figure = new_figure(12.0, 5.2)
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1], sharey=True)
    trial = np.arange(data.sizes["trial"])
    for name in data["method"].values.tolist():
        one, colour = data.sel({"method": name}), _LOOKS[name]
        left.plot(trial, one["seen"].where(np.isnan(one["w"])), "x", color=colour, alpha=0.35, markersize=4)
        left.plot(trial, one["w"], "o", color=colour, alpha=0.5, markersize=4)
        best = np.fmin.accumulate(one["w"].values)
        left.step(trial, best, where="post", color=colour, linewidth=2, label=f"{name}, best so far")
    left.plot([], [], "o", color=GREY, markersize=4, label="trial")
    left.plot([], [], "x", color=GREY, markersize=4, label="trial given up, on fewer problems")
    left.set_yscale("log")
    left.legend(fontsize=9, loc="upper right", ncols=2)
    label(left, "Tuning: each trial scored on 4 problems", "trial (0: the defaults)", _ERROR)
    _plot_held_out(right, data)
    return figure


def _plot_held_out(ax: Axes, data: xr.Dataset) -> None:
    names = data["method"].values.tolist()
    for k, (setting, marker, fill) in enumerate((("start", "D", "white"), ("tuned", "o", None))):
        for place, name in enumerate(names):
            one = data.sel({"method": name, "setting": setting})
            value = float(one["held"])
            bar = np.abs(one["held_ci"].values - value).reshape(2, 1)
            ax.errorbar(place + 0.2 * k - 0.1, value, bar, fmt=marker, color=_LOOKS[name], capsize=4,
                        markersize=8, markerfacecolor=fill)  # fmt: skip
        ax.plot([], [], marker, color=GREY, markerfacecolor=fill, label=SETTINGS[setting])
    for name, text in (("nothing", "W left at 0"), ("oracle", "oracle, defaults")):
        ax.axhline(float(data[name]), color=GREY, linestyle=":")
        ax.text(-0.48, float(data[name]), text, color=GREY, va="bottom", ha="left", fontsize=9)
    for place, name in enumerate(names):
        one = data.sel({"method": name})
        low, high = one["change_ci"].values
        text = f"{float(one['change']):+.2g}\n[{low:+.2g}, {high:+.2g}]"
        below = 0.85 * float(one["held_ci"].min())
        ax.text(place, below, text, ha="center", va="top", fontsize=9)
    ax.legend(fontsize=9, loc="center left")
    ax.set_xlim(-0.5, 1.5)
    ax.set_ylim(bottom=0.4 * float(data["held_ci"].min()))
    ax.set_xticks(range(len(names)), names)
    seeds = "unseen problems: mean, 95 % interval; difference"
    label(ax, f"On {seeds}", "", "")
