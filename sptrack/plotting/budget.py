"""Waterfall of an error budget, drawn from a dataset of `sptrack.evaluation.budget` alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import read_provenance

_TITLES = {
    "saved": "From all sources on: each switched off alone",
    "added": "From all sources off: each switched on alone",
}
_LESS, _MORE = COLOURS[0], COLOURS[1]


def budget_figure(data: xr.Dataset) -> Figure:
    """Two waterfalls of the mean square error of Q: what each source saves, and what each adds."""
    figure = new_figure(13.5, 1.9 + 0.42 * (data.sizes["source"] + 3))
    panels = figure.subplots(1, 2)
    for ax, kind in zip(panels, _TITLES, strict=True):
        plot_waterfall(ax, data, kind)
    asked = read_provenance(data)["parameters"]
    name = asked["method"]["name"]
    figure.suptitle(
        f"What limits the symmetric points that {name} tracks ({asked['problem']}, {asked['steps']} steps, "
        f"{data.sizes['seed']} seeds; bars: 95 % intervals, common random numbers)",
        fontsize=12,
    )
    return figure


def plot_waterfall(ax: Axes, data: xr.Dataset, kind: str) -> Axes:
    """The steps from the error with all sources on to the floor ("saved"), or back up ("added").

    Sources stand by size; the hatched step is the remainder: what switching one at a time does not explain.
    """
    down = kind == "saved"
    order = np.argsort(-data[kind].values)
    ends = ("total", "floor") if down else ("floor", "total")
    steps = [
        (str(data["source"].values[k]), data[kind].values[k], data[f"{kind}_ci"].values[k]) for k in order
    ]
    steps.append(("remainder", float(data[f"{kind}_remainder"]), data[f"{kind}_remainder_ci"].values))
    names = [
        "all on" if down else "all off",
        *(name for name, _, _ in steps),
        "all off" if down else "all on",
    ]
    level = _end(ax, 0, data, ends[0])
    for row, (name, value, interval) in enumerate(steps, start=1):
        change = -value if down else value
        hatch = "///" if name == "remainder" else None
        colour = GREY if name == "remainder" else (_LESS if change < 0 else _MORE)
        ax.barh(row, change, 0.6, left=level, color=colour, alpha=0.8, hatch=hatch, edgecolor="white")
        reach = np.abs(interval - value).reshape(2, 1)
        ax.errorbar(level + change, row, xerr=reach, fmt="none", ecolor="black", capsize=3, linewidth=1)
        ax.plot([level, level], [row - 1, row], color=GREY, linewidth=0.7)
        level += change
    _end(ax, len(names) - 1, data, ends[1])
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.margins(x=0.14)
    for colour, text in ((_LESS, "error falls"), (_MORE, "error rises")):
        ax.barh([0], [0], color=colour, alpha=0.8, label=text)
    ax.legend(loc="lower right" if down else "center left", fontsize=9)
    ax.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3))
    return label(ax, _TITLES[kind], "mean $(Q - w^*)^2$ (weight units²)", "")


def _end(ax: Axes, row: int, data: xr.Dataset, name: str) -> float:
    """The bar of an end of the waterfall, with its RMS beside it."""
    value = float(data[name])
    reach = np.abs(data[f"{name}_ci"].values - value).reshape(2, 1)
    ax.barh(row, value, 0.6, color="#aaaaaa")
    ax.errorbar(value, row, xerr=reach, fmt="none", ecolor="black", capsize=3, linewidth=1)
    text = f"RMS {np.sqrt(max(value, 0.0)):.2g}"
    ax.annotate(text, (value + reach[1, 0], row), (5, 0), textcoords="offset points", va="center", fontsize=9)
    return value
