"""Picture of an error budget, drawn from a dataset of `sptrack.evaluation.budget` alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import BLUE, GREY, VERMILLION, headline, house_style, label, new_figure
from sptrack.results import read_provenance

_KINDS = {"saved": (BLUE, "o", -0.16), "added": (VERMILLION, "^", 0.16)}
KEY = (
    "Blue circle: share of the mean square error saved when the source is switched off; red triangle: "
    "error that "
    "the source makes alone. Bars: 95 %, common random numbers."
)
"""Encoding of `plot_sources`."""


@house_style()
def budget_figure(data: xr.Dataset) -> Figure:
    """Fraction of the mean square error of Q of each source: what it saves when off, what it adds alone."""
    figure = new_figure(7.2, 2.4 + 0.42 * (data.sizes["source"] + 1))
    asked = read_provenance(data)["parameters"]
    headline(
        figure,
        f"{asked['method']['name']}: {limiting(data)}",
        f"Problem {asked['problem']}, {asked['steps']:,} steps, {data.sizes['seed']} seeds. {KEY}",
    )
    plot_sources(figure.subplots(), data)
    return figure


def limiting(data: xr.Dataset) -> str:
    """Sentence that names the source whose absence saves most, and how much of the error that is."""
    most = int(np.nanargmax(data["saved"].values))
    saved = 100 * float(data["saved"][most]) / float(data["total"])
    low = float(data["saved_ci"][most].min())
    if low <= 0:
        return "no single source limits the reference"
    return (
        f"{data['source'].values[most]} limits Q; without it {saved:.0f} % of the mean square error is gone"
    )


def plot_sources(ax: Axes, data: xr.Dataset) -> Axes:
    """Savings and additions of the sources in percent of the total mean square error, largest savings first.

    The last row holds the remainders: what switching one source at a time does not explain.
    """
    total = float(data["total"])
    order = np.argsort(-data["saved"].values, kind="stable")
    names = [*(str(data["source"].values[k]) for k in order), "interaction"]
    rows = np.arange(len(names))
    for kind, (colour, marker, shift) in _KINDS.items():
        value = np.append(data[kind].values[order], float(data[f"{kind}_remainder"]))
        ends = np.vstack([data[f"{kind}_ci"].values[order], data[f"{kind}_remainder_ci"].values])
        reach = np.abs(ends - value[:, None]).T
        ax.hlines(rows + shift, 0, 100 * value / total, color=colour, linewidth=3.5, alpha=0.35)
        ax.errorbar(
            100 * value / total, rows + shift, xerr=100 * reach / total, fmt=marker, color=colour,
            markerfacecolor="white", capsize=2, elinewidth=1.2,
        )  # fmt: skip
    ax.axvline(0, color=GREY, linewidth=1)
    ax.axhspan(len(names) - 1.5, len(names) - 0.5, color="#f0f0f0", zorder=0)
    ax.set_yticks(rows, names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    on, off = (np.sqrt(max(float(data[name]), 0.0)) for name in ("total", "floor"))
    text = f"All sources on: RMS error of Q {on:.2g}; all off: {off:.2g}"
    return label(ax, text, "share of the mean $(Q - w^*)^2$ with all sources on (%)", "")
