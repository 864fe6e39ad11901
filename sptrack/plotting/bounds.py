"""Figures of bounds compared with simulation, drawn from the dataset of a verify `Report` alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import COLOURS, GREY, label, new_figure

_FORMS = {"corrected": (COLOURS[0], "o", -0.17), "printed": (COLOURS[1], "s", 0.17)}
FAILED = "#f6dddd"
"""Background where a bound lies below the measurement."""
_FAILURE = "#b00020"
_MEANING = {
    "T2.2": "T2.2  stochastic, mean of G² over all pulses",
    "TC.2": "TC.2  stochastic, squared error of the last state",
    "TC.3": "TC.3  cyclic, mean of G² over all pulses",
    "TC.4": "TC.4  cyclic, squared error of the last state",
}


def bounds_figure(data: xr.Dataset) -> Figure:
    """One panel per bound: bound over measurement of every device, granularity and pulse count."""
    devices = list(dict.fromkeys(data["device"].values.tolist()))
    figure = new_figure(13.0, 3.0 + 0.55 * len(devices))
    panels = figure.subplots(2, 2, sharey=True)
    for ax, bound in zip(panels.flat, _MEANING, strict=True):
        plot_bound(ax, data.isel(check=data["bound"].values == bound), devices, _MEANING[bound])
    entries = {
        text: handle
        for ax in panels.flat
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=len(entries), fontsize=10
    )
    figure.suptitle("How tight are the bounds on zero-shifting?  1 = tight, left of 1 = the bound fails")
    return figure


def plot_bound(ax: Axes, data: xr.Dataset, devices: list[str], title: str) -> Axes:
    """Bound over measurement of one bound, a row per device, on a log axis with a line at 1.

    Small, light points are few pulses, dark ones many; failures are red crosses.
    """
    ax.axvspan(1e-6, 1.0, color=FAILED, zorder=0)
    for row, name in enumerate(devices):
        if name not in data["device"].values:
            ax.annotate(
                "does not apply", (1.0, row), (6, 0), textcoords="offset points", va="center", color=GREY
            )
    ax.axvline(1.0, color=GREY, linewidth=1.2)
    for form in dict.fromkeys(data["form"].values.tolist()):
        _plot_form(ax, data.isel(check=data["form"].values == form), devices, form)
    ratio = data["ratio"].values
    ax.set_xscale("log")
    ax.set_xlim(min(0.5, 0.7 * float(ratio.min(initial=1.0))), max(20.0, 2 * float(ratio.max(initial=1.0))))
    ax.set_ylim(len(devices) - 0.5, -0.5)
    ax.set_yticks(range(len(devices)), devices)
    return label(ax, title, "bound / measured", "")


def _plot_form(ax: Axes, data: xr.Dataset, devices: list[str], form: str) -> None:
    colour, marker, shift = _FORMS[form]
    rows = np.array([devices.index(name) for name in data["device"].values.tolist()]) + shift
    ratio, holds = data["ratio"].values, data["holds"].values.astype(bool)
    for row in np.unique(rows):
        ends = ratio[rows == row]
        ax.plot([ends.min(), ends.max()], [row, row], color=colour, linewidth=1.0, alpha=0.5)
    steps = {count: k for k, count in enumerate(np.unique(data["pulses"].values))}
    level = np.array([steps[count] for count in data["pulses"].values]) / max(1, len(steps) - 1)
    ax.scatter(
        ratio[holds], rows[holds], s=14 + 34 * level[holds], c=colour, alpha=0.35 + 0.65 * level[holds],
        marker=marker, linewidths=0, label=f"{form} (larger, darker: more pulses)", zorder=3,
    )  # fmt: skip
    if not holds.all():
        ax.scatter(ratio[~holds], rows[~holds], s=60, c=_FAILURE, marker="X", label="fails", zorder=4)
