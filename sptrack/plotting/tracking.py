"""Pictures of methods side by side, drawn from a dataset of `sptrack.tracking.compare` alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import COLOURS, label, new_figure
from sptrack.results import read_provenance

STYLES = {
    "sgd": (COLOURS[5], ":"),
    "tt-v1": (COLOURS[3], ":"),
    "tt-v2": (COLOURS[3], "--"),
    "c-ttv2": (COLOURS[4], "--"),
    "agad": (COLOURS[4], "-"),
    "residual": (COLOURS[0], ":"),
    "rider": (COLOURS[1], ":"),
    "e-rider": (COLOURS[1], "-"),
    "o-rider": (COLOURS[2], "--"),
    "two-stage": (COLOURS[0], "-"),
    "oracle": (COLOURS[2], "-"),
}
"""Colour and line of each method: relatives share a colour."""
_AXES = {"pulses": "pulses per cell", "cost": "cost per cell (pulse units)"}
_TITLES = {"w": "Error of the weights W", "q": "Error of the reference Q"}
_UNITS = {"w": "mean $(W - W^*)^2$ (weight units²)", "q": "mean $(Q - w^*)^2$ (weight units²)"}


def tracking_figure(data: xr.Dataset) -> Figure:
    """Errors of W (above) and Q (below) against pulses (left) and against cost (right).

    Recorded gradients have errors of Q alone.
    """
    shown = [error for error in ("w", "q") if np.isfinite(data[f"{error}_error"].values).any()] or ["w"]
    figure = new_figure(13.0, 4.2 * len(shown))
    panels = figure.subplots(len(shown), 2, sharex="col", sharey="row", squeeze=False)
    for row, error in zip(panels, shown, strict=True):
        for ax, against in zip(row, _AXES, strict=True):
            plot_error(ax, data, error, against)
    by_error = np.argsort(-data[f"{shown[0]}_tail"].values)
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        [handles[k] for k in by_error],
        [names[k] for k in by_error],
        loc="outside right center",
        title="method, worst first",
    )
    seeds, steps = data.sizes["seed"], int(data["step"][-1])
    figure.suptitle(f"{steps} steps, mean over {seeds} problems; bars: 95 % interval of the last tenth")
    return figure


def plot_error(ax: Axes, data: xr.Dataset, error: str, against: str) -> Axes:
    """Mean error of W ("w") or Q ("q") over the seeds against the pulses or the cost spent so far.

    A line per method; its end point is the mean over the last tenth of the steps, with its 95 % interval.
    """
    cells = read_provenance(data)["parameters"]["settings"]["size"]
    for k, name in enumerate(data["method"].values.tolist()):
        one = data.sel({"method": name})
        colour, line = STYLES.get(name, (f"C{k}", "-"))
        spent = one[against].mean("seed").values / cells
        shown = one[f"{error}_error"].mean("seed").values
        ax.plot(spent, shown, line, color=colour, linewidth=1.6, label=name)
        value, ends = float(one[f"{error}_tail"]), one[f"{error}_tail_ci"].values
        if np.isfinite(value):
            bar = np.nan_to_num(np.abs(ends - value)).reshape(2, 1)
            ax.errorbar(spent[-1], value, bar, fmt="o", color=colour, markersize=5, capsize=3)
    if np.nanmax(data[f"{error}_error"].values, initial=0.0) > 0:
        ax.set(xscale="log", yscale="log")
    first = against == "pulses"
    return label(
        ax,
        f"{_TITLES[error]} against {'pulses' if first else 'cost'}",
        _AXES[against],
        _UNITS[error] if first else "",
    )
