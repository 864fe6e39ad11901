"""Which reference finds weights and symmetric points with fewest pulses, if all are tuned alike?

E-RIDER with four filters and choppers and O-RIDER with four observers on the default problem (64 coupled
weights, 20000 steps), at read noise 0 and .02 and at most 0.5, 1.1 and 4 pulses per cell and step, W and P
together. Every form is tuned anew for each: the same optimiser (a tree-structured Parzen estimator that
leaves out settings above the limit of pulses), ranges of the same width in decades, a start that an earlier
search found at about 1.1 pulses; 40 trials, 120 for E-RIDER with random chopper and EMA and for the
regression, each on two problems, the start and the best three on ten more. What is shown is their error on 20
problems that no trial has seen, the same for all. Forms stand in groups; of each the form that is best on the
ten problems is drawn. Reads and programming events are counted, not limited.

One sees: observers are ahead at every condition, most where pulses are few and reads noisy: 19 times [14, 26]
in the error of W at 0.5 pulses and read noise .02, 7.0 [5.9, 8.3] at 1.1, 2.3 [2.0, 2.6] at 4; without read
noise 6.6, 3.4 and 2.1 times, with at most a tenth of the reads. E-RIDER's W gets better with pulses, that of
observers does not. Which observer it is matters little for W; the reference of the known response is the
least exact of theirs and still better than E-RIDER's. Of E-RIDER's forms two EMAs with a periodic chopper are
best in five conditions of six, the bias-corrected EMA in one; the mean over whole periods finds the symmetric
points, but is too slow a reference for W, and its search ended at the edge of its range, as that of the two
accumulators did at 0.5 pulses.

The starts were found at one limit of pulses and, those of E-RIDER, without read noise; 40 to 120 trials on
two problems gain little on such a start. So good settings are compared, not proven optima. Forms are chosen
without a look at the 20 problems: on these, E-RIDER with EMA and random chopper is a quarter better at 0.5
pulses and read noise .02 than the form that is drawn.

Estimates of the known response stayed within .95 of the bounds when these data were made, as those of the
regression still do; with the wider limit of today their W changes by .58 to 1.07 times (24 runs). Their law
was exact for short stretches between reads alone; the exact one of today changes W by -13 to +1 % (default
settings, twelve devices and drives, eight problems each), most where the drive is four times that of the
default.

Observers know more than filters: the requested weight changes, nominal step, level, slope and bounds of the
cells, and the read noise. `observer_misknown` shows what is left where they are told wrong.
"""  # noqa: D400

import json
import math
import multiprocessing
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis._sources import data_sources
from sptrack.blocks import EMA, CorrectedEMA, GrowingBoxcar, PeriodicChopper
from sptrack.design import Budget, Plan, Range, SearchSettings, Task, edges, evaluate, run_study
from sptrack.intervals import positive_interval, student_interval
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    PURPLE,
    VERMILLION,
    Look,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)
from sptrack.results import dataset, json_text, provenance, write_atomic
from sptrack.theory.drive import mean_size
from sptrack.tracking import Method, ProblemSettings, method, with_settings

NOISES = (0.0, 0.02)
"""Std of a read, weight units."""
BUDGETS = (0.5, 1.1, 4.0)
"""Most pulses per cell and step."""
GROUPS = {
    "e-rider": "E-RIDER",
    "regression": "O-RIDER, regression",
    "known": "O-RIDER, known response",
    "adaptive": "O-RIDER, adaptive",
}
FORMS = {
    "e-rider": "e-rider",
    "corrected": "e-rider",
    "boxcar": "e-rider",
    "cascade": "e-rider",
    "regression": "regression",
    "scalar": "known",
    "predictor": "known",
    "adaptive": "adaptive",
}
"""Group of every form. Of E-RIDER: EMA and random chopper; the same with a bias-corrected EMA; a mean over
whole periods of a periodic chopper; two EMAs in a row and a periodic chopper."""
LONG = ("e-rider", "regression")
"""Forms of 120 trials."""
_COUNTS = ("pulses", "reads", "programs")
_SETTINGS = ("alpha", "beta", "gamma", "eta", "p", "half_period", "periods", "every", "weight", "drive")


class Effort(NamedTuple):
    """Steps of a run, trials of a form (``long``: of `LONG` ones), problems per trial, finalists, unseen."""

    steps: int = 20000
    trials: int = 40
    long: int = 120
    seeds: int = 2
    finalists: int = 3
    held_out: int = 20


SMALL = Effort(steps=4000, trials=3, long=4, seeds=1, finalists=1, held_out=2)


def start(form: str) -> Method:
    """Where the search of a form begins, but for its alpha.

    For all forms of E-RIDER, and for all of O-RIDER, what a search of 100 or 120 trials over wider ranges
    found at about 1.1 pulses per cell and step.
    """
    if FORMS[form] != "e-rider":
        estimator = "observer" if form == "regression" else f"{form}-observer"
        made = method("o-rider", beta=0.001, gamma=0.08, eta=1e-5, every=100)
        return with_settings(made, estimator=estimator, observing={"weight": 8.0})
    made = method("e-rider", beta=0.0024, gamma=0.33, eta=0.05, p=0.0016)
    chopper = PeriodicChopper(half_period=500)
    if form == "corrected":
        return replace(made, reference=CorrectedEMA(eta=made.eta))
    if form == "boxcar":
        return replace(made, reference=GrowingBoxcar.over(chopper), chopper=chopper)
    if form == "cascade":
        return replace(made, reference=EMA(eta=2 * made.eta, order=2), chopper=chopper)
    return made


def largest_alpha(settings: ProblemSettings, budget: float) -> float:
    """Alpha at which the gradient's noise alone asks for ``budget`` pulses per cell of P and step."""
    return budget * settings.device.dw_min / float(mean_size(0.0, settings.gradient_noise))


def space(form: str, largest: float) -> dict[str, Range]:
    """Ranges of a form: 1.2 decades of alpha, to above the limit, and two of any other rate, gain or time."""
    found = {
        "alpha": Range(low=0.1 * largest, high=1.5 * largest),
        "beta": Range(low=2e-4, high=2e-2),
        "gamma": Range(low=0.03, high=3.0),
    }
    if FORMS[form] != "e-rider":
        found |= {
            "eta": Range(low=1e-6, high=1e-4),
            "every": Range(low=10, high=1000, multiple=1),
            "weight": Range(low=0.8, high=80.0),
        }
        drive = 0.7 * largest * float(mean_size(0.0, ProblemSettings().gradient_noise))
        return found | ({"drive": Range(low=0.1 * drive, high=10 * drive)} if form == "predictor" else {})
    if form == "boxcar":
        found["periods"] = Range(low=1, high=2, multiple=1)
    else:
        found["eta"] = Range(low=5e-3, high=0.5)
    if form in ("boxcar", "cascade"):
        return found | {"half_period": Range(low=15, high=1500, multiple=1)}
    return found | {"p": Range(low=3.3e-4, high=3.3e-2)}


def plan_of(form: str, noise: float, budget: float, effort: Effort, seed: int) -> Plan:
    """Search of a form at a read noise and a limit of pulses per cell and step."""
    settings = ProblemSettings(read_noise=noise)
    largest = largest_alpha(settings, budget)
    begin = replace(start(form), name=form, alpha=0.7 * largest)
    if form == "predictor":
        drive = begin.alpha * float(mean_size(0.0, settings.gradient_noise))
        begin = with_settings(begin, observing={"drive": drive})
    return Plan(
        start=begin,
        task=Task(settings=settings, steps=effort.steps),
        search=SearchSettings(
            space=space(form, largest), limits={"pulses": budget * effort.steps}, prune="none"
        ),
        budget=Budget(
            trials=effort.long if form in LONG else effort.trials,
            seeds=effort.seeds,
            finalists=effort.finalists,
            held_out=effort.held_out,
            seed=seed,
        ),
    )


def tuned(form: str, noise: float, budget: float, effort: Effort, seed: int, kept: str) -> dict[str, Any]:
    """Best setting of a form and its scores on the unseen problems; from the folder ``kept`` if there.

    The search keeps its journal there, and goes on with it after an interrupt.
    """
    plan = plan_of(form, noise, budget, effort, seed)
    path = Path(kept) / f"{form}-{noise:g}-{budget:g}.json" if kept else None
    if path is not None and path.exists():
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return stored
    found = run_study(plan, path and path.with_suffix(".journal"))
    best = found.best[found.chosen]
    scores = evaluate(found.method, plan.task, plan.budget.held_out_seeds)
    states = [trial.state for trial in found.trials]
    record = {
        "point": dict(best.point),
        "edges": list(edges(plan.space, best.point)),
        "tuning": best.scores["w"],
        "final": found.finals[best.slot],
        "excluded": states.count("excluded"),
        "scores": {name: values.tolist() for name, values in scores.items()},
    }
    if path is not None:
        write_atomic(path, json_text(record))
    return record


def _folder(seed: int) -> str:
    """Folder of the journals of these sources and this seed, which an interrupted run goes on with."""
    told = json.dumps([data_sources("observer_vs_filters"), seed], sort_keys=True).encode()
    made = Path(tempfile.gettempdir()) / f"sptrack-frontier-{blake2b(told, digest_size=6).hexdigest()}"
    made.mkdir(exist_ok=True)
    return str(made)


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Tune eight forms at every condition and score them (``small``: 3 trials of 4000 steps).

    Returns
    -------
    Dataset
        Over ``noise``, ``budget``, ``form`` and ``seed`` (problems unseen): ``w``, ``q``, errors over the
        last tenth. Without ``seed``: ``w_ci``, ``q_ci`` (95 % of the mean), ``tuning`` and ``final`` (error
        of W on the two and the ten problems of the search), ``pulses``, ``reads``, ``programs`` (per cell
        and step), ``pulses_most`` (of one problem), ``excluded`` (trials above the limit), ``edge``
        (settings at an end of their range, by comma), ``setting_NAME``. Over ``noise``, ``budget``,
        ``group``: ``chosen`` (form of least ``final``), ``gain_w``, ``gain_q`` (error of E-RIDER's chosen
        form over its own, geometric mean over the problems, paired) and their ``_ci``.
    """
    effort = SMALL if small else Effort()
    noises, budgets = NOISES, BUDGETS[:1] if small else BUDGETS
    places = [(n, b, form) for n in noises for b in budgets for form in FORMS]
    kept = "" if small else _folder(seed)
    asked = [(form, n, b, effort, seed, kept) for n, b, form in places]
    if small or threads == 1:
        records = [tuned(*one) for one in asked]
    else:
        with ProcessPoolExecutor(threads, multiprocessing.get_context("spawn")) as pool:
            records = list(pool.map(tuned, *zip(*asked, strict=True)))
    shape = (len(noises), len(budgets), len(FORMS))
    return _dataset(np.array(records, object).reshape(shape), noises, budgets, effort, seed)


def _dataset(
    records: NDArray[Any], noises: tuple[float, ...], budgets: tuple[float, ...], effort: Effort, seed: int
) -> xr.Dataset:
    axes = ("noise", "budget", "form")
    squared, per_step, one = ({"units": unit} for unit in ("weight units squared", "1/step", "1"))

    def gather(value: Any) -> NDArray[Any]:
        return np.array([value(record) for record in records.ravel()]).reshape(*records.shape, -1)

    variables: dict[str, Any] = {}
    for name in ("w", "q"):
        values = gather(lambda record, name=name: record["scores"][name])
        variables[name] = ((*axes, "seed"), values, squared)
        variables[f"{name}_ci"] = ((*axes, "end"), positive_interval(values), squared)
    for name in ("tuning", "final", "excluded"):
        values = gather(lambda record, name=name: record[name])[..., 0]
        variables[name] = (axes, values, one if name == "excluded" else squared)
    for name in _COUNTS:
        values = gather(lambda record, name=name: record["scores"][name]) / effort.steps
        variables[name] = (axes, values.mean(-1), per_step)
        if name == "pulses":
            variables["pulses_most"] = (axes, values.max(-1), per_step)
    for name in _SETTINGS:
        values = gather(lambda record, name=name: record["point"].get(name, math.nan))[..., 0]
        variables[f"setting_{name}"] = (axes, values.astype(float), one)
    at_edge = gather(lambda record: ",".join(record["edges"]))[..., 0]
    variables |= _groups(variables)
    coordinates = {
        "noise": (("noise",), list(noises), {"units": "weight units"}),
        "budget": (("budget",), list(budgets), {"units": "pulses/step"}),
        "form": (("form",), list(FORMS), {}),
        "group": (("group",), list(GROUPS), {}),
        "edge": (axes, at_edge, {}),
    }
    chosen = variables.pop("chosen")
    coordinates["chosen"] = (("noise", "budget", "group"), np.array(list(FORMS))[chosen], {})
    return dataset(variables, coordinates, provenance(seed=seed, parameters=effort._asdict()))


def _groups(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Form of each group that is best on the final problems, and how far it is ahead of E-RIDER's."""
    final, groups = variables["final"][1], np.array(list(FORMS.values()))
    inside = groups == np.array(list(GROUPS))[:, None]
    chosen = np.where(inside, final[..., None, :], np.inf).argmin(-1)
    found: dict[str, Any] = {"chosen": chosen}
    for name in ("w", "q"):
        values = np.log(np.take_along_axis(variables[name][1], chosen[..., None], axis=2))
        ahead = values[:, :, :1] - values
        about = (("noise", "budget", "group"), np.exp(ahead.mean(-1)), {"units": "1"})
        found[f"gain_{name}"] = about
        ends = np.exp(student_interval(ahead))
        found[f"gain_{name}_ci"] = ((*about[0], "end"), ends, {"units": "1"})
    return found


_LOOKS = {
    "e-rider": Look(BLUE, "o"),
    "regression": Look(VERMILLION, "^"),
    "known": Look(GREEN, "s", "--"),
    "adaptive": Look(PURPLE, "D", "-."),
}
_SHIFTS = dict(zip(GROUPS, (0.955, 0.985, 1.015, 1.045), strict=True))
"""Factors on the abscissa, that intervals do not cover each other."""


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Errors of W and Q against the limit of pulses, a row per read noise."""
    noises = data["noise"].values.tolist()
    figure = new_figure(7.2, 1.8 + 2.6 * len(noises))
    headline(figure, finding(data), _setting(data))
    panels = figure.subplots(len(noises), 2, squeeze=False, sharex=True, sharey="col")
    ends = []
    for row, noise in zip(panels, noises, strict=True):
        for ax, name in zip(row, ("w", "q"), strict=True):
            log_scale(ax, "xy", most=5)
            ends.append((ax, _draw(ax, data.sel(noise=noise), name)))
            subject = "weights W" if name == "w" else "reference Q"
            label(ax, f"{subject}, read noise {noise:g}", "", "")
            ax.set_xticks(data["budget"].values, [f"{budget:g}" for budget in data["budget"].values])
        row[0].set_ylabel("mean squared error\n(weight units²)")
    for ax in panels[-1]:
        ax.set_xlabel("limit of pulses per cell and step")
    for ax, found in ends:
        if ax in panels[:, 1]:
            label_ends(ax, found)
    return figure


def finding(data: xr.Dataset) -> str:
    """How far the observers are ahead of E-RIDER in W, and where none is, with the conditions resolved."""
    ahead = data.sel(group=[name for name in GROUPS if name != "e-rider"])
    best = ahead["gain_w"].max("group")
    resolved = (ahead["gain_w_ci"].isel(end=0) > 1).any("group")
    count, of = int(resolved.sum()), resolved.size
    where = "at every condition" if count == of else f"at {count} of {of} conditions"
    if not count:
        return "Tuned alike, no observer is ahead of E-RIDER in W beyond the error of the comparison"
    values = best.values[resolved.values]
    low, high = float(values.min()), float(values.max())
    by = f"{low:.2g} to {high:.2g} times" if count > 1 else f"{low:.2g} times"
    return f"Tuned alike, the best observer's error of W is {by} smaller than E-RIDER's, resolved {where}"


def _setting(data: xr.Dataset) -> str:
    drawn = data["edge"].sel(form=data["chosen"])
    edge = "; open: search ended at the edge of a range" if (drawn != "").any() else ""
    return (
        f"Best form of each group, {data.sizes['seed']} unseen problems, 95 %{edge}. Observers know the "
        "increments, nominal cells and read noise."
    )


def _draw(ax: Axes, data: xr.Dataset, name: str) -> list[tuple[float, str, str]]:
    ends = []
    for group, title in GROUPS.items():
        look = _LOOKS[group]
        chosen = data["chosen"].sel(group=group).values
        picked = [data.sel(budget=b, form=f) for b, f in zip(data["budget"].values, chosen, strict=True)]
        x = data["budget"].values * _SHIFTS[group]
        y = np.array([float(one[name].mean()) for one in picked])
        bars = np.abs(np.array([one[f"{name}_ci"].values for one in picked]) - y[:, None]).T
        ax.errorbar(x, y, bars, color=look.colour, linestyle=look.line, linewidth=1.2, capsize=2)
        open_ = np.array([str(one["edge"].values) != "" for one in picked])
        for inside, fill in ((~open_, look.colour), (open_, "white")):
            ax.plot(x[inside], y[inside], look.marker, color=look.colour, markerfacecolor=fill, zorder=5)
        ends.append((float(y[-1]), title.replace(", ", ",\n"), look.colour))
    return ends
