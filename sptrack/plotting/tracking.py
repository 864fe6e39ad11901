"""Pictures of methods side by side, drawn from a dataset of `sptrack.tracking.compare` alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import (
    GREY,
    LIGHT,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    look_of,
    new_figure,
    text_colour,
)
from sptrack.results import read_provenance

_AXES = {"pulses": "pulses per cell", "cost": "cost per cell (pulse units)"}
_TITLES = {"w": "Weights W", "q": "Reference Q"}
_UNITS = {"w": "mean $(W - W^*)^2$ (weight units²)", "q": "mean $(Q - w^*)^2$ (weight units²)"}
_INFORMED = ("oracle",)
"""Methods that are told the symmetric points: yardsticks, not candidates."""


@house_style()
def tracking_figure(data: xr.Dataset, finding: str | None = None) -> Figure:
    """Errors of W (above) and Q (below) against pulses (left) and against cost (right).

    Recorded gradients have errors of Q alone. The headline is ``finding``, or else the method with the least
    error.
    """
    shown = [error for error in ("w", "q") if np.isfinite(data[f"{error}_error"].values).any()] or ["w"]
    figure = new_figure(7.2, 1.2 + 2.9 * len(shown))
    seeds, steps = data.sizes["seed"], int(data["step"][-1])
    headline(
        figure,
        finding or _finding(data, shown[0]),
        f"Mean over {seeds} problem{'s' if seeds > 1 else ''}, {steps:,} steps, settings as given; "
        "point: last tenth of the steps, 95 % interval.",
    )
    panels = figure.subplots(len(shown), 2, sharex="col", sharey="row", squeeze=False)
    for row, error in zip(panels, shown, strict=True):
        for ax, against in zip(row, _AXES, strict=True):
            plot_error(ax, data, error, against)
        tails = zip(data[f"{error}_tail"].values.tolist(), data["method"].values.tolist(), strict=True)
        texts = [
            (y, name if y > 0 else f"{name} (0)", text_colour(look_of(name).colour)) for y, name in tails
        ]
        label_ends(row[-1], texts, size=9.0)
    for ax in panels[:-1].flat:
        ax.set_xlabel("")
    return figure


def _finding(data: xr.Dataset, error: str) -> str:
    """Method with the least error of W (or Q), and those whose intervals reach as low."""
    names = [name for name in data["method"].values.tolist() if name not in _INFORMED]
    names = names or data["method"].values.tolist()
    tails = {name: float(data[f"{error}_tail"].sel({"method": name})) for name in names}
    known = {name: value for name, value in tails.items() if np.isfinite(value)}
    if not known:
        return "No method has a finite error"
    best = min(known, key=lambda name: known[name])
    top = float(data[f"{error}_tail_ci"].sel({"method": best})[1])
    equal = [
        name
        for name in sorted(known, key=lambda name: known[name])
        if name != best and float(data[f"{error}_tail_ci"].sel({"method": name})[0]) <= top
    ]
    cells = read_provenance(data)["parameters"]["settings"]["size"]
    pulses = float(data["pulses"].sel({"method": best}).isel(sample=-1).mean()) / cells
    what = f"RMS error of {error.upper()} {np.sqrt(known[best]):.2g} after {pulses:,.0f} pulses per cell"
    if equal:
        return f"{', '.join([best, *equal[:2]])} are not told apart: {what} ({best})"
    return f"{best} comes closest: {what}" if len(known) > 1 else f"{best}: {what}"


def plot_error(ax: Axes, data: xr.Dataset, error: str, against: str) -> Axes:
    """Mean error of W ("w") or Q ("q") over the seeds against the pulses or the cost spent so far.

    A line per method; its end point is the mean over the last tenth of the steps, with its 95 % interval.
    """
    cells = read_provenance(data)["parameters"]["settings"]["size"]
    for name in data["method"].values.tolist():
        one = data.sel({"method": name})
        colour, marker, line = look_of(name)
        front = 2 if colour in (GREY, LIGHT) else 3
        spent = one[against].mean("seed").values / cells
        shown = one[f"{error}_error"].mean("seed").values
        ax.plot(spent, shown, line, color=colour, linewidth=1.6, label=name, zorder=front)
        value, ends = float(one[f"{error}_tail"]), one[f"{error}_tail_ci"].values
        if np.isfinite(value):
            bar = np.nan_to_num(np.abs(ends - value)).reshape(2, 1)
            ax.errorbar(
                spent[-1], value, bar, fmt=marker, color=colour, markerfacecolor="white", markersize=5.5,
                capsize=2, elinewidth=1, zorder=front + 1,
            )  # fmt: skip
    if np.nanmax(data[f"{error}_error"].values, initial=0.0) > 0:
        log_scale(ax, "x", most=5)
        log_scale(ax, "y")
    first = against == "pulses"
    return label(
        ax, f"{_TITLES[error]} against {'pulses' if first else 'cost'}", _AXES[against],
        _UNITS[error] if first else "",
    )  # fmt: skip
