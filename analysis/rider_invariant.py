"""Why does tracking need a chopper?

Without one, weights and reference can only move together. RIDER filters the reads of P, Q' = Q + eta (P - Q),
and moves W by beta (P - Q). So W - (beta/eta) Q never changes (exactly, if W does what it is asked to): each
cell's pair (Q, W) is bound to the line of slope beta/eta through its start, and the pair that is wanted,
(symmetric point, optimum), lies elsewhere. The bond is exact for an ideal W only: cycle noise and W's own
pull to its symmetric point let W - (beta/eta) Q drift on a real one (dotted, middle: by .59 rms in 20000
steps with a W of the default device, by .0006 with an ideal one), and away from the targets. E-RIDER moves W
by c (P - Qt) instead, with the chopper's sign c: the two are free of each other.

Both methods with the same rates, the default problem, but an ideal W (fine, symmetric steps, no noise),
except for the drift of RIDER on the default device.
"""  # noqa: D400

from dataclasses import replace

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.devices import ConstantStep, CycleNoise, Device, Spread, sample_cells
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, provenance
from sptrack.tracking import Method, Problem, Tracker, method, problem

NAMES = ("rider", "e-rider")
COLOUR = dict(zip(NAMES, (COLOURS[1], COLOURS[0]), strict=True))
EVERY = 100
SHOWN = 4
_STYLE = {"rider": "RIDER, no chopper", "e-rider": "E-RIDER, chopper"}


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Run both on one problem for 20000 steps (``small``: 4000).

    Returns
    -------
    Dataset
        ``w`` and ``q`` over method, step and cell, ``optimum`` and ``symmetric_point`` over cell, ``slope``
        (beta/eta); ``drift`` over step and cell, change of W - (beta/eta) Q of RIDER with a W of the default
        device.
    """
    steps = 4000 if small else 20000
    tracked = ideal_weights(problem(seed=seed))
    base = method("e-rider")
    methods = (method("rider", alpha=base.alpha, beta=base.beta, gamma=base.gamma, eta=base.eta), base)
    paths = [_path(tracked, item, steps, seed, threads) for item in methods]
    w, q = _path(problem(seed=seed), methods[0], steps, seed, threads)
    moved = w - base.beta / base.eta * q
    weight = {"units": "weight units"}
    variables = {
        "w": (("method", "step", "cell"), [w for w, _ in paths], weight),
        "q": (("method", "step", "cell"), [q for _, q in paths], weight),
        "optimum": (("cell",), tracked.optimum, weight),
        "symmetric_point": (("cell",), tracked.fast.target.ravel(), weight),
        "drift": (("step", "cell"), moved - moved[0], weight),
        "slope": ((), base.beta / base.eta, {"units": "1"}),
    }
    coordinates = {
        "method": (("method",), list(NAMES), {}),
        "step": (("step",), np.arange(0, steps + 1, EVERY), {"units": "steps"}),
    }
    return dataset(
        variables, coordinates, provenance(seed=seed, parameters={"methods": methods, "steps": steps})
    )


def ideal_weights(tracked: Problem) -> Problem:
    """The same problem with a W that does what it is asked to: constant steps of 1e-5, without noise."""
    device = Device(
        response=ConstantStep(w_max=10.0, w_min=-10.0), dw_min=1e-5, spread=Spread(), cycle_noise=CycleNoise()
    )
    return replace(tracked, main=sample_cells(device, tracked.main.shape))


def _path(
    tracked: Problem, item: Method, steps: int, seed: int, threads: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """W and Q [steps, cells] from the start on."""
    tracker = Tracker(tracked, item, seed=seed, threads=threads)
    states = [tracker.result]
    for _ in range(steps // EVERY):
        tracker.run(EVERY, samples=1)
        states.append(tracker.result)
    return np.array([one.weights for one in states]), np.array([one.reference for one in states])


def plot(data: xr.Dataset) -> Figure:
    """Paths of a few cells in the plane of Q and W, the invariant of all cells, the errors of both."""
    figure = new_figure(14.0, 5.2)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.35, 1, 1])
    _draw_paths(left, data)
    _draw_invariant(middle, data)
    _draw_errors(right, data)
    figure.suptitle("Without a chopper W and Q are bound to a line that misses the target")
    return figure


def _draw_paths(ax: Axes, data: xr.Dataset) -> None:
    """Paths of W over Q for cells with targets far from the line and from each other."""
    slope = float(data["slope"])
    point, optimum = data["symmetric_point"].values, data["optimum"].values
    for cell in _spread_cells(point, optimum, slope):
        for name in NAMES:
            one = data.sel({"method": name}).isel(cell=cell)
            ax.plot(one["q"], one["w"], color=COLOUR[name], linewidth=1.0, alpha=0.85)
            ax.plot(one["q"][-1], one["w"][-1], "o", color=COLOUR[name], markersize=7)
        ax.plot(point[cell], optimum[cell], "*", color=COLOURS[2], markersize=16, zorder=5)
    ends = np.array([-1.0, 1.0])
    ax.plot(ends, slope * ends, color=GREY, linestyle="--", linewidth=1, zorder=0)
    ax.plot(0, 0, "s", color="black", markersize=7, zorder=6)
    for marker, colour, text in (
        ("s", "black", "start"),
        ("*", COLOURS[2], "target: (symmetric point, optimum)"),
    ):
        ax.plot([], [], marker, color=colour, markersize=9, label=text)
    for name in NAMES:
        ax.plot([], [], "o-", color=COLOUR[name], label=_STYLE[name])
    ax.plot([], [], "--", color=GREY, label="W = (β/η) Q")
    ax.legend(fontsize=9, loc="lower left")
    ax.set(xlim=(-0.8, 1.05), ylim=(-1.25, 0.85))
    label(ax, f"Paths of {SHOWN} cells", "reference Q (weight units)", "weight W (weight units)")


def _spread_cells(point: np.ndarray, optimum: np.ndarray, slope: float) -> list[int]:
    """The cell farthest from the line, then always the one farthest from those chosen so far."""
    place = np.stack([point, optimum], axis=1)
    chosen = [int(np.argmax(np.abs(optimum - slope * point)))]
    while len(chosen) < SHOWN:
        away = np.min([np.hypot(*(place - place[k]).T) for k in chosen], axis=0)
        chosen.append(int(np.argmax(away)))
    return chosen


def _draw_invariant(ax: Axes, data: xr.Dataset) -> None:
    slope = float(data["slope"])
    for name in NAMES:
        one = data.sel({"method": name})
        moved = one["w"] - slope * one["q"]
        size = np.sqrt(((moved - moved.isel(step=0)) ** 2).mean("cell"))
        ax.plot(data["step"], size, color=COLOUR[name], label=_STYLE[name], linewidth=2)
    drift = np.sqrt((data["drift"] ** 2).mean("cell"))
    ax.plot(
        data["step"], drift, ":", color=COLOUR["rider"], label="RIDER, W of the default device", linewidth=2
    )
    wanted = np.sqrt(np.mean((data["optimum"] - slope * data["symmetric_point"]).values ** 2))
    ax.axhline(wanted, color=COLOURS[2], linestyle="--")
    ax.text(
        float(data["step"][-1]),
        1.04 * wanted,
        "what the targets need",
        color=COLOURS[2],
        va="bottom",
        ha="right",
    )
    note, end = "RIDER, W of the\ndefault device", (float(data["step"][-1]), float(drift[-1]))
    ax.annotate(note, end, (-4, -6), textcoords="offset points", ha="right", va="top", color=COLOUR["rider"])
    ax.set_ylim(-0.03, max(1.3 * wanted, 1.1 * float(drift.max())))
    label(ax, "Change of W − (β/η) Q since the start", "step", "rms of 64 cells (weight units)")


def _draw_errors(ax: Axes, data: xr.Dataset) -> None:
    for name in NAMES:
        one = data.sel({"method": name})
        for values, target, line, text in (
            (one["w"], data["optimum"], "-", "W"), (one["q"], data["symmetric_point"], ":", "Q")
        ):  # fmt: skip
            size = np.sqrt(((values - target) ** 2).mean("cell"))
            ax.plot(
                data["step"], size, line, color=COLOUR[name], linewidth=2, label=f"{text}, {_STYLE[name]}"
            )
    ax.set(yscale="log", ylim=(2e-3, 1.0))
    ax.legend(fontsize=9, loc="lower left")
    label(ax, "Distance from the targets", "step", "rms of 64 cells (weight units)")
