"""Why does tracking need a chopper?

Without one, weights and reference can only move together. RIDER filters the reads of P, Q' = Q + eta (P - Q),
and moves W by beta (P - Q). So W - (beta/eta) Q never changes (exactly, if W does what it is asked to): each
cell's pair (Q, W) is bound to the line of slope beta/eta through its start, and the pair that is wanted,
(symmetric point, optimum), lies elsewhere. The bond is exact for an ideal W only: cycle noise and W's own
pull to its symmetric point let W - (beta/eta) Q drift on a real one (by .59 rms in 20000
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
from sptrack.plotting.style import GREEN, headline, house_style, label, look_of, new_figure
from sptrack.results import dataset, provenance
from sptrack.tracking import Method, Problem, Tracker, method, problem

NAMES = ("rider", "e-rider")
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
        "symmetric_point": (("cell",), tracked.p_cells.target.ravel(), weight),
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
    return replace(tracked, w_cells=sample_cells(device, tracked.w_cells.shape))


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


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Paths of a few cells in the plane of Q and W."""
    figure = new_figure(7.2, 5.2)
    slope = float(data["slope"])
    missed = np.sqrt(np.mean((data["optimum"] - slope * data["symmetric_point"]).values ** 2))
    drift = float(np.sqrt((data["drift"].isel(step=-1) ** 2).mean()))
    headline(
        figure,
        "Without a chopper weights and reference are bound to a line that misses the target",
        f"Paths of {SHOWN} of {data.sizes['cell']} cells, ideal W. The targets lie {missed:.2g} off the line "
        f"W = (β/η) Q (RMS, along W); with a W of the default device RIDER drifts {drift:.2g} off it, "
        "away from them.",
    )
    _draw_paths(figure.subplots(), data)
    return figure


def _draw_paths(ax: Axes, data: xr.Dataset) -> None:
    """Paths of W over Q for cells with targets far from the line and from each other."""
    slope = float(data["slope"])
    point, optimum = data["symmetric_point"].values, data["optimum"].values
    for cell in _spread_cells(point, optimum, slope):
        for name in NAMES:
            one, look = data.sel({"method": name}).isel(cell=cell), look_of(name)
            ax.plot(one["q"], one["w"], color=look.colour, linewidth=1.2, alpha=0.85)
            ax.plot(one["q"][-1], one["w"][-1], look.marker, color=look.colour, markersize=7, zorder=4)
        ax.plot(point[cell], optimum[cell], "*", color=GREEN, markersize=16, zorder=3)
    ends = np.array([-1.0, 1.0])
    ax.plot(ends, slope * ends, color="black", linestyle="--", linewidth=1, zorder=0, label="W = (β/η) Q")
    ax.plot(0, 0, "s", color="black", markersize=7, zorder=6, label="start")
    ax.plot([], [], "*", color=GREEN, markersize=12, label="target: (symmetric\npoint, optimum)")
    for name in NAMES:
        look = look_of(name)
        ax.plot([], [], "-", marker=look.marker, color=look.colour, label=_STYLE[name])
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.set(xlim=(-0.8, 1.05), ylim=(-1.25, 0.85))
    label(ax, "", "reference Q (weight units)", "weight W (weight units)")


def _spread_cells(point: np.ndarray, optimum: np.ndarray, slope: float) -> list[int]:
    """The cell farthest from the line, then always the one farthest from those chosen so far."""
    place = np.stack([point, optimum], axis=1)
    chosen = [int(np.argmax(np.abs(optimum - slope * point)))]
    while len(chosen) < SHOWN:
        away = np.min([np.hypot(*(place - place[k]).T) for k in chosen], axis=0)
        chosen.append(int(np.argmax(away)))
    return chosen
