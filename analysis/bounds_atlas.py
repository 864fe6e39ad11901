"""Which bounds on zero-shifting are tight, which are loose, and which fail as published?

Four bounds, as corrected and as printed, over the simulated value, against the number of pulses; a thin line
per device, at its coarsest granularity, and a bold one through the tightest device. A line at 1 is a bound
that cannot be improved; below 1 a bound fails.

One sees: no corrected line enters the red zone. T2.2 and TC.3 pay for the start: loose after few pulses,
nearly tight (TC.3: a factor of 2) once it is forgotten. Then the floor remains, a small factor too large
where responses vary little between the bounds. TC.3 as printed has a floor of another order, so its line
keeps rising, and fails all the same on "sticking", whose weight rests far from its symmetric point. T2.2 as
printed fails on an array, since its floor does not grow with the number of cells. TC.4 as corrected is
exact on the symmetric linear device; as printed it is loose by orders of magnitude everywhere. A missing
line is a device that misses a premise of the bound.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.evaluation.verify import report_dataset, verify
from sptrack.plotting.bounds import FAILED, FAILURE, TITLES, failures
from sptrack.plotting.style import (
    BLUE,
    GREY,
    VERMILLION,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)

PULSES = (10, 30, 100, 300, 1000, 3000, 10000)
SMALL_PULSES = (10, 100, 1000)
LOWEST, HIGHEST = 0.4, 1e7


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Verify the suite of devices, both forms, after many pulse counts."""
    pulses = SMALL_PULSES if small else PULSES
    return report_dataset(verify(printed=True, pulses=pulses, seed=seed, threads=threads))


@house_style()
def plot(dataset: xr.Dataset) -> Figure:
    """Bound over simulation against pulses, a panel per bound: every device, and the tightest of them."""
    figure = new_figure(7.2, 6.2)
    headline(
        figure, failures(dataset),
        "Bound over simulated value at the coarsest granularity. Thin: each device; bold: the tightest "
        "device, "
        "blue as corrected, red as printed. In the red zone a bound fails (cross).",
    )  # fmt: skip
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for ax, (bound, title) in zip(axes.flat, TITLES.items(), strict=True):
        ax.axhspan(LOWEST, 1.0, color=FAILED, zorder=0)
        ax.axhline(1.0, color=GREY, linewidth=1.2)
        of_bound = dataset.isel(check=(dataset["bound"] == bound).values)
        ends = [_form(ax, of_bound, form) for form in ("printed", "corrected")]
        log_scale(ax, "x", most=4)
        log_scale(ax, "y")
        ax.set_ylim(LOWEST, HIGHEST)
        label(
            ax, title, "pulses" if ax in axes[-1] else "",
            "bound / simulated" if ax in axes[:, 0] else "",
        )  # fmt: skip
        if ax is axes[0, 1]:
            last = ends
    label_ends(axes[0, 1], last)
    return figure


def _form(ax: Axes, data: xr.Dataset, form: str) -> tuple[float, str, str]:
    """Ratios of one form of a bound; returns the label of the tightest device's line."""
    colour, line = (BLUE, "-") if form == "corrected" else (VERMILLION, "--")
    own = data.isel(check=(data["form"] == form).values)
    least: dict[int, float] = {}
    for _, of_device in own.groupby("device"):
        coarse = of_device.isel(check=of_device["dw"].values == of_device["dw"].values.max())
        pulses, ratio = coarse["pulses"].values, coarse["ratio"].values
        order = np.argsort(pulses, kind="stable")
        ax.plot(pulses[order], ratio[order], line, color=colour, linewidth=0.7, alpha=0.35)
        for count, value in zip(pulses.tolist(), ratio.tolist(), strict=True):
            least[count] = min(value, least.get(count, np.inf))
        failed = ~coarse["holds"].values.astype(bool)
        ax.plot(pulses[failed], ratio[failed], "X", color=FAILURE, markersize=8, zorder=5)
    counts = sorted(least)
    ax.plot(counts, [least[count] for count in counts], line, color=colour, linewidth=2.6, zorder=4)
    return (least[counts[-1]] if counts else np.nan), f"{form},\ntightest", colour
