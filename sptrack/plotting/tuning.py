"""Pictures of a study of settings, drawn from a dataset of `sptrack.tuning.tuning_dataset` alone."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import read_provenance

TITLES = {
    "w": "mean $(W - W^*)^2$ (weight units²)",
    "q": "mean $(Q - w^*)^2$ (weight units²)",
    "pulses": "pulses per cell",
    "reads": "reads per cell",
    "programs": "programming events per cell",
    "cost": "cost per cell (pulse units)",
}
_SLICES_IN_A_ROW = 5
_COMPLETE, _START, _CHOSEN = COLOURS[0], COLOURS[1], COLOURS[2]


def tuning_figure(data: xr.Dataset) -> Figure:
    """Trials (above left), start and best on held-out problems (right), each setting's slice (below)."""
    names = data["setting"].values.tolist()
    columns = min(len(names), _SLICES_IN_A_ROW)
    rows = math.ceil(len(names) / columns)
    figure = new_figure(13.0, 4.4 + 3.0 * rows)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[4.2, 3.0 * rows])[:, 0]
    left, right = upper.subplots(1, 2, width_ratios=[1.6, 1])
    several = len(_objectives(data)) > 1
    (plot_front if several else plot_history)(left, data)
    (plot_held_out_front if several else plot_held_out)(right, data)
    panels = lower.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for ax, name in zip(panels, names, strict=False):
        plot_slice(ax, data, name)
    for ax in panels[len(names) :]:
        ax.remove()
    for ax in panels[::columns]:
        ax.set_ylabel(TITLES[_objectives(data)[0]])
    asked = read_provenance(data)["parameters"]
    what = f"{asked['start']['name']} on {asked['problem']}, {asked['steps']} steps"
    figure.suptitle(f"{what}; start: {data.attrs['source']}")
    return figure


def plot_history(ax: Axes, data: xr.Dataset) -> Axes:
    """Objective of every trial in turn, with the best so far; trials given up where they stood."""
    (name,) = _objectives(data)
    trial, value, seen = data["trial"].values, data[name].values, data["seen"].values
    ax.plot(trial, seen, "x", color="#aaaaaa", markersize=5, label="given up, as last seen")
    ax.plot(trial, value, "o", color=_COMPLETE, markersize=4, alpha=0.7, label="complete")
    best = np.fmin.accumulate(value)
    ax.step(trial, best, where="post", color=_COMPLETE, linewidth=1.4, label="best so far")
    finals = data["final"].values
    if np.isfinite(finals).any():
        ax.plot(trial, finals, "s", color="black", markersize=6, fillstyle="none",
                label="finalist, on further problems")  # fmt: skip
    ax.plot(trial[:1], value[:1], "D", color=_START, markersize=8, label="start", zorder=4)
    chosen = _chosen(data)
    ax.plot(trial[chosen], value[chosen], "*", color=_CHOSEN, markersize=14, label="taken", zorder=5)
    ax.set_yscale("log")
    ax.legend(fontsize=8, ncols=2)
    seeds = read_provenance(data)["parameters"]["seeds"]
    return label(ax, f"Trials, each scored on {seeds} problems", "trial", TITLES[name])


def plot_front(ax: Axes, data: xr.Dataset) -> Axes:
    """Every complete trial in the plane of the first two objectives, those on the front joined."""
    one, other = _objectives(data)[:2]
    ax.plot(data[one], data[other], "o", color="#aaaaaa", markersize=4, label="complete")
    front = [_index(data, name) for name in data["candidate"].values.tolist()[1:]]
    ax.plot(data[one][front], data[other][front], "o-", color=_COMPLETE, markersize=5, label="front")
    ax.plot(data[one][:1], data[other][:1], "D", color=_START, markersize=8, label="start", zorder=4)
    chosen = _chosen(data)
    ax.plot(
        data[one][chosen], data[other][chosen], "*", color=_CHOSEN, markersize=14, label="taken", zorder=5
    )
    _log_where_positive(ax, data[one].values, data[other].values)
    ax.legend(fontsize=8)
    seeds = read_provenance(data)["parameters"]["seeds"]
    return label(ax, f"Trials, each scored on {seeds} problems", TITLES[one], TITLES[other])


def plot_held_out(ax: Axes, data: xr.Dataset) -> Axes:
    """Objective of start and best on each held-out problem, joined, and their means."""
    (name,) = _objectives(data)
    held, k = data[f"held_{name}"].values, _candidate(data)
    x = np.array([0.0, 1.0])
    for row in held[[0, k]].T:
        ax.plot(x, row, "o-", color="#aaaaaa", markersize=3, linewidth=0.8)
    means = held[[0, k]].mean(axis=1)
    ax.plot(x, means, color=GREY, linewidth=2)
    for at, mean, colour, marker in zip(x, means, (_START, _CHOSEN), ("D", "*"), strict=True):
        ax.plot(at, mean, marker, color=colour, markersize=9 if marker == "D" else 14, zorder=4)
    low, high = data[f"difference_{name}_ci"].values[k]
    mean = float(data[f"difference_{name}"][k])
    text = f"mean difference {mean:+.2g}\n95 % interval {low:+.2g} to {high:+.2g}"
    ax.text(0.5, 0.98, text, transform=ax.transAxes, ha="center", va="top", fontsize=9)
    ax.set(xlim=(-0.4, 1.4), yscale="log")
    ax.set_xticks(x, ["start", f"tuned ({data.attrs['chosen']})"])
    ax.margins(y=0.25)
    return label(ax, f"{data.sizes['seed']} held-out problems, means bold", "", TITLES[name])


def plot_held_out_front(ax: Axes, data: xr.Dataset) -> Axes:
    """Means over the held-out problems of start and front, in the plane of the first two objectives."""
    one, other = _objectives(data)[:2]
    x, y = (data[f"held_{name}"].mean("seed").values for name in (one, other))
    ax.plot(x[1:], y[1:], "o", color=_COMPLETE, markersize=5, label="front")
    ax.plot(x[0], y[0], "D", color=_START, markersize=8, label="start", zorder=4)
    k = _candidate(data)
    ax.plot(x[k], y[k], "*", color=_CHOSEN, markersize=14, label="taken", zorder=5)
    _log_where_positive(ax, x, y)
    ax.legend(fontsize=8)
    return label(ax, f"Start and front on {data.sizes['seed']} held-out problems", TITLES[one], TITLES[other])


def plot_slice(ax: Axes, data: xr.Dataset, name: str) -> Axes:
    """First objective of every trial against one setting, over the range that was searched."""
    objective = _objectives(data)[0]
    x, range_ = data[f"setting_{name}"].values, read_provenance(data)["parameters"]["vary"][name]
    if "values" in range_:
        words = [str(word) for word in range_["values"]]
        x = np.array([words.index(word) for word in x])
        ax.set_xticks(range(len(words)), words, fontsize=8)
    else:
        ax.set_xscale("log" if range_["log"] else "linear")
        ax.set_xlim(*_wide(range_))
    value, chosen = data[objective].values, _chosen(data)
    ax.plot(x, data["seen"], "x", color="#aaaaaa", markersize=4)
    ax.plot(x, value, "o", color=_COMPLETE, markersize=4, alpha=0.7)
    ax.plot(x[:1], value[:1], "D", color=_START, markersize=7, zorder=4)
    ax.plot(x[chosen], value[chosen], "*", color=_CHOSEN, markersize=13, zorder=5)
    if np.nanmin(value) > 0:
        ax.set_yscale("log")
    share = float(data["importance"].sel({"setting": name}))
    return label(ax, f"{name}, importance {share:.2f}" if np.isfinite(share) else name, name, "")


def _wide(range_: Mapping[str, Any]) -> tuple[float, float]:
    """Ends of the axis: those of the range, with room for the points there."""
    low, high = range_["low"], range_["high"]
    if range_["log"]:
        room = (high / low) ** 0.05
        return low / room, high * room
    room = 0.05 * (high - low)
    return low - room, high + room


def _log_where_positive(ax: Axes, x: Any, y: Any) -> None:
    ax.set_xscale("log" if np.nanmin(x) > 0 else "linear")
    ax.set_yscale("log" if np.nanmin(y) > 0 else "linear")


def _objectives(data: xr.Dataset) -> list[str]:
    found = data.attrs["objectives"]
    return [found] if isinstance(found, str) else list(found)


def _index(data: xr.Dataset, candidate: str) -> int:
    """Row of the trial that a candidate is."""
    return int(np.flatnonzero(data["trial"].values == int(candidate.split()[-1]))[0])


def _chosen(data: xr.Dataset) -> int:
    return _index(data, data.attrs["chosen"])


def _candidate(data: xr.Dataset) -> int:
    return int(data["candidate"].values.tolist().index(data.attrs["chosen"]))
