"""Which bounds on zero-shifting are tight, which are loose, and which fail as published?

Four bounds, corrected above and as printed below, over what simulation measures, against the number of
pulses; one line per device, at its coarsest granularity. A line at 1 is a bound that cannot be improved;
below 1 a bound fails.

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
from sptrack.plotting.bounds import FAILED
from sptrack.plotting.style import GREY, label, new_figure

PULSES = (10, 30, 100, 300, 1000, 3000, 10000)
SMALL_PULSES = (10, 100, 1000)
TITLES = {
    "T2.2": "T2.2  stochastic, mean G²",
    "TC.2": "TC.2  stochastic, last error²",
    "TC.3": "TC.3  cyclic, mean G²",
    "TC.4": "TC.4  cyclic, last error²",
}
LOWEST, HIGHEST = 0.4, 1e7


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Verify the suite of devices, both forms, after many pulse counts."""
    pulses = SMALL_PULSES if small else PULSES
    return report_dataset(verify(printed=True, pulses=pulses, seed=seed, threads=threads))


def plot(dataset: xr.Dataset) -> Figure:
    """Bound over measurement against pulses: columns are bounds, rows the corrected and the printed form."""
    devices = list(dict.fromkeys(dataset["device"].values.tolist()))
    figure = new_figure(15.0, 7.5)
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    for row, form in enumerate(("corrected", "printed")):
        for ax, (bound, title) in zip(axes[row], TITLES.items(), strict=True):
            chosen = (dataset["bound"] == bound) & (dataset["form"] == form)
            _panel(ax, dataset.isel(check=chosen.values), devices)
            label(
                ax,
                f"{title}, {form}",
                "pulses" if row else "",
                "" if ax is not axes[row, 0] else "bound / measured",
            )
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", title="device")
    figure.suptitle(
        "Bounds over simulation: 1 is as tight as can be, in the red zone a bound fails (crosses)"
    )
    return figure


def _panel(ax: Axes, data: xr.Dataset, devices: list[str]) -> None:
    ax.axhspan(LOWEST, 1.0, color=FAILED, zorder=0)
    ax.axhline(1.0, color=GREY, linewidth=1.2)
    for k, name in enumerate(devices):
        of_device = data.isel(check=data["device"].values == name)
        coarse = of_device.isel(check=of_device["dw"].values == of_device["dw"].values.max(initial=0.0))
        style = {"color": f"C{k}", "linestyle": ("-", "--")[k % 2], "marker": "osD^v"[k % 5], "markersize": 4}
        ax.plot(coarse["pulses"], coarse["ratio"], label=name, **style)
        failed = coarse.isel(check=~coarse["holds"].values.astype(bool))
        ax.plot(failed["pulses"], failed["ratio"], "X", color="#b00020", markersize=9)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(LOWEST, HIGHEST)
    ax.set_yticks(10.0 ** np.arange(0, 8))
