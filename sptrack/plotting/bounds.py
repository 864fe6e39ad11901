"""Figures of bounds compared with simulation, drawn from the dataset of a verify `Report` alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import BLUE, GREY, VERMILLION, headline, house_style, label, log_scale, new_figure

_FORMS = {"corrected": (BLUE, "o", -0.17), "printed": (VERMILLION, "s", 0.17)}
FAILED = "#f6dddd"
"""Background where a bound lies below the measurement."""
FAILURE = "#b00020"
TITLES = {
    "T2.2": "T2.2  stochastic, mean G²",
    "TC.2": "TC.2  stochastic, last error²",
    "TC.3": "TC.3  cyclic, mean G²",
    "TC.4": "TC.4  cyclic, last error²",
}


@house_style()
def bounds_figure(data: xr.Dataset) -> Figure:
    """One panel per bound: bound over measurement of every device, granularity and pulse count."""
    devices = list(dict.fromkeys(data["device"].values.tolist()))
    figure = new_figure(7.2, 2.6 + 0.5 * len(devices))
    headline(
        figure, failures(data),
        "Bound over simulated value: 1 is tight, in the red zone the bound fails (cross). Blue circle: "
        "corrected, red square: as printed; large and dark: many pulses.",
    )  # fmt: skip
    panels = figure.subplots(2, 2, sharey=True)
    for ax, bound in zip(panels.flat, TITLES, strict=True):
        plot_bound(ax, data.isel(check=data["bound"].values == bound), devices, TITLES[bound])
    for ax in panels[0]:
        ax.set_xlabel("")
    return figure


def failures(data: xr.Dataset) -> str:
    """Sentence that says which bounds fail in a report, by form."""
    told = []
    for form in dict.fromkeys(data["form"].values.tolist()):
        own = data.isel(check=data["form"].values == form)
        failed = own["bound"].values[~own["holds"].values.astype(bool)]
        names = " and ".join(dict.fromkeys(failed.tolist()))
        which = "as corrected" if form == "corrected" else "as printed"
        told.append(f"{which}, {names} fail{'' if ' and ' in names else 's'}" if names
                    else f"{which}, every bound holds")  # fmt: skip
    text = "; ".join(told)
    return text[:1].upper() + text[1:]


def plot_bound(ax: Axes, data: xr.Dataset, devices: list[str], title: str) -> Axes:
    """Bound over measurement of one bound, a row per device, on a log axis with a line at 1.

    Small, light points are few pulses, dark ones many; failures are red crosses.
    """
    ax.axvspan(1e-6, 1.0, color=FAILED, zorder=0)
    for row, name in enumerate(devices):
        if name not in data["device"].values:
            ax.annotate(
                "does not apply", (1.0, row), (6, 0), textcoords="offset points", va="center", color=GREY,
                fontsize=9,
            )  # fmt: skip
    ax.axvline(1.0, color=GREY, linewidth=1.2)
    for form in dict.fromkeys(data["form"].values.tolist()):
        _plot_form(ax, data.isel(check=data["form"].values == form), devices, form)
    ratio = data["ratio"].values
    log_scale(ax, "x", most=4)
    ax.set_xlim(min(0.5, 0.7 * float(ratio.min(initial=1.0))), max(20.0, 2 * float(ratio.max(initial=1.0))))
    ax.set_ylim(len(devices) - 0.5, -0.5)
    ax.set_yticks(range(len(devices)), devices)
    return label(ax, title, "bound / simulated", "")


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
        ratio[holds], rows[holds], s=12 + 26 * level[holds], c=colour, alpha=0.35 + 0.65 * level[holds],
        marker=marker, linewidths=0, zorder=3,
    )  # fmt: skip
    if not holds.all():
        ax.scatter(ratio[~holds], rows[~holds], s=50, c=FAILURE, marker="X", label="fails", zorder=4)
