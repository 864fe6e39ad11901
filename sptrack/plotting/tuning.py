"""Pictures of a study of settings, drawn from a dataset of `sptrack.design.Tuning.labelled` alone."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    VERMILLION,
    headline,
    house_style,
    label,
    log_scale,
    new_figure,
)
from sptrack.results import read_provenance

TITLES = {
    "w": "mean $(W - W^*)^2$ (weight units²)",
    "q": "mean $(Q - w^*)^2$ (weight units²)",
    "pulses": "pulses per cell",
    "reads": "reads per cell",
    "programs": "programming events per cell",
    "cost": "cost per cell (pulse units)",
}
_SHORT = {"w": "error² of W", "q": "error² of Q", "programs": "programming events"}
_SLICES_IN_A_ROW, _SLICES = 3, 6
_COMPLETE, _START, _CHOSEN = BLUE, VERMILLION, GREEN


@house_style()
def tuning_figure(data: xr.Dataset) -> Figure:
    """Trials (above left), start and best on held-out problems (right), slices of the settings (below).

    Of more than six settings the six of largest importance are drawn.
    """
    names = data["setting"].values.tolist()
    order = np.argsort(-np.nan_to_num(data["importance"].values), kind="stable")[:_SLICES]
    shown = [name for k, name in enumerate(names) if k in order]
    columns = min(len(shown), _SLICES_IN_A_ROW)
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(7.2, 5.2 + 2.3 * rows)
    asked = read_provenance(data)["parameters"]
    more = f"; {len(shown)} of {len(names)} settings drawn" if len(names) > len(shown) else ""
    headline(
        figure, _finding(data),
        f"{asked['start']['name']} on {asked['problem']}, {asked['steps']:,} steps; start: "
        f"{data.attrs['source']}. Red "
        "diamond: start, green star: taken, blue: complete trials, line: best so far (or front), grey: "
        "given up or "
        f"dominated, square: finalist on further problems{more}.",
    )  # fmt: skip
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[3.8, 2.3 * rows])[:, 0]
    left, right = upper.subplots(1, 2, width_ratios=[1.35, 1])
    several = len(_objectives(data)) > 1
    (plot_front if several else plot_history)(left, data)
    (plot_held_out_front if several else plot_held_out)(right, data)
    panels = lower.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for ax, name in zip(panels, shown, strict=False):
        plot_slice(ax, data, name)
    for ax in panels[len(shown) :]:
        ax.remove()
    for ax in panels[::columns]:
        ax.set_ylabel(_SHORT.get(_objectives(data)[0], _objectives(data)[0]))
    return figure


def _finding(data: xr.Dataset) -> str:
    """Ratio of the first objective of best and start on held-out problems, and whether it is resolved."""
    name = _objectives(data)[0]
    start, best = (float(data[f"held_{name}"].values[k].mean()) for k in (0, _candidate(data)))
    low, high = data[f"difference_{name}_ci"].values[_candidate(data)].tolist()
    text = f"{_SHORT.get(name, name)}: {start:.2g} at the start, {best:.2g} tuned, on held-out problems"
    return text if low > 0 or high < 0 else f"{text} (not resolved)"


def plot_history(ax: Axes, data: xr.Dataset) -> Axes:
    """Objective of every trial in turn, with the best so far; trials given up where they stood."""
    (name,) = _objectives(data)
    trial, value, seen = data["trial"].values, data[name].values, data["seen"].values
    ax.plot(trial, seen, "x", color=LIGHT, markersize=5, label="given up")
    ax.plot(trial, value, "o", color=_COMPLETE, markersize=4, alpha=0.7, label="complete")
    best = np.fmin.accumulate(value)
    ax.step(trial, best, where="post", color=_COMPLETE, linewidth=1.4, label="best so far")
    finals = data["final"].values
    if np.isfinite(finals).any():
        ax.plot(trial, finals, "s", color="black", markersize=6, fillstyle="none",
                label="finalist")  # fmt: skip
    ax.plot(trial[:1], value[:1], "D", color=_START, markersize=8, label="start", zorder=4)
    chosen = _chosen(data)
    ax.plot(trial[chosen], value[chosen], "*", color=_CHOSEN, markersize=14, label="taken", zorder=5)
    log_scale(ax, "y", most=5)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    seeds = read_provenance(data)["parameters"]["seeds"]
    return label(ax, f"Trials, scored on {seeds} problems", "trial", TITLES[name])


def plot_front(ax: Axes, data: xr.Dataset) -> Axes:
    """Every complete trial in the plane of the first two objectives, those on the front joined."""
    one, other = _objectives(data)[:2]
    ax.plot(data[one], data[other], "o", color=LIGHT, markersize=4, label="complete")
    front = [_index(data, name) for name in data["candidate"].values.tolist()[1:]]
    joined = "o-" if len(_objectives(data)) == 2 else "o"
    front.sort(key=lambda k: float(data[one][k]))
    ax.plot(data[one][front], data[other][front], joined, color=_COMPLETE, markersize=5, label="front")
    ax.plot(data[one][:1], data[other][:1], "D", color=_START, markersize=8, label="start", zorder=4)
    chosen = _chosen(data)
    ax.plot(
        data[one][chosen], data[other][chosen], "*", color=_CHOSEN, markersize=14, label="taken", zorder=5
    )
    _log_where_positive(ax, data[one].values, data[other].values)
    seeds = read_provenance(data)["parameters"]["seeds"]
    return label(ax, f"Trials, scored on {seeds} problems", TITLES[one], TITLES[other])


def plot_held_out(ax: Axes, data: xr.Dataset) -> Axes:
    """Objective of start and best on each held-out problem, joined, and their means."""
    (name,) = _objectives(data)
    held, k = data[f"held_{name}"].values, _candidate(data)
    x = np.array([0.0, 1.0])
    for row in held[[0, k]].T:
        ax.plot(x, row, "o-", color=LIGHT, markersize=3, linewidth=0.8)
    means = held[[0, k]].mean(axis=1)
    ax.plot(x, means, color=GREY, linewidth=2)
    for at, mean, colour, marker in zip(x, means, (_START, _CHOSEN), ("D", "*"), strict=True):
        ax.plot(at, mean, marker, color=colour, markersize=9 if marker == "D" else 14, zorder=4)
    low, high = data[f"difference_{name}_ci"].values[k]
    mean = float(data[f"difference_{name}"][k])
    text = f"difference {mean:+.2g}\n95 %: {low:+.2g} to {high:+.2g}"
    ax.text(0.5, 0.98, text, transform=ax.transAxes, ha="center", va="top", fontsize=9)
    ax.set_xlim(-0.4, 1.4)
    ax.margins(y=0.3)
    log_scale(ax, "y", most=5)
    ax.set_xticks(x, ["start", f"tuned\n({data.attrs['chosen']})"])
    return label(ax, f"{data.sizes['seed']} held-out problems", "", TITLES[name])


def plot_held_out_front(ax: Axes, data: xr.Dataset) -> Axes:
    """Means over the held-out problems of start and front, in the plane of the first two objectives."""
    one, other = _objectives(data)[:2]
    x, y = (data[f"held_{name}"].mean("seed").values for name in (one, other))
    ax.plot(x[1:], y[1:], "o", color=_COMPLETE, markersize=5, label="front")
    ax.plot(x[0], y[0], "D", color=_START, markersize=8, label="start", zorder=4)
    k = _candidate(data)
    ax.plot(x[k], y[k], "*", color=_CHOSEN, markersize=14, label="taken", zorder=5)
    _log_where_positive(ax, x, y)
    return label(ax, f"{data.sizes['seed']} held-out problems", TITLES[one], TITLES[other])


def plot_slice(ax: Axes, data: xr.Dataset, name: str) -> Axes:
    """First objective of every trial against one setting, over the range that was searched."""
    objective = _objectives(data)[0]
    x, range_ = data[f"setting_{name}"].values, read_provenance(data)["parameters"]["vary"][name]
    if "values" in range_:
        words = [str(word) for word in range_["values"]]
        x = np.array([words.index(word) for word in x])
        ax.set_xticks(range(len(words)), words, fontsize=9)
    else:
        if range_["log"]:
            log_scale(ax, "x", most=3)
        else:
            ax.locator_params(axis="x", nbins=3)
        ax.set_xlim(*_wide(range_))
    value, chosen = data[objective].values, _chosen(data)
    ax.plot(x, data["seen"], "x", color=LIGHT, markersize=4)
    ax.plot(x, value, "o", color=_COMPLETE, markersize=4, alpha=0.7)
    ax.plot(x[:1], value[:1], "D", color=_START, markersize=7, zorder=4)
    ax.plot(x[chosen], value[chosen], "*", color=_CHOSEN, markersize=13, zorder=5)
    if np.nanmin(value) > 0:
        log_scale(ax, "y", most=5)
    weight = float(data["importance"].sel({"setting": name}))
    return label(ax, f"importance {weight:.2f}" if np.isfinite(weight) else "", name, "")


def _wide(range_: Mapping[str, Any]) -> tuple[float, float]:
    """Ends of the axis: those of the range, with room for the points there."""
    low, high = range_["low"], range_["high"]
    if range_["log"]:
        margin = (high / low) ** 0.05
        return low / margin, high * margin
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _log_where_positive(ax: Axes, x: Any, y: Any) -> None:
    for direction, values in (("x", x), ("y", y)):
        if np.nanmin(values) > 0:
            log_scale(ax, direction, most=4)  # type: ignore[arg-type]


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
