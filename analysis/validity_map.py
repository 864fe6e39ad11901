"""Up to which fluctuation of P can the linear theory of the tracking loop be trusted, family by family?

A panel per family: simulated over predicted variance of P and of Q against the predicted rms of P around its
symmetric point, as a share of half the range. P fluctuates because of gradient noise (the rate sets the
size) or because the chopper flips rarely (its flip probability does). The grey band is +-10 %; the line marks
where a ratio leaves it for good, the dashed one the limit beyond which predictions carry a warning. Below,
the bias of P: simulated (points) and predicted (lines). Points carry 95 % intervals.

One sees: the linear family holds to a third, curved ones to a tenth or more. Beyond, P and Q fluctuate more
than predicted (soft-exponential, power and piecewise steps) or less (exponential steps).
Biases agree up to the same limits, but for piecewise steps: their curvature sits in the nodes, not at w*.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.evaluation.validity import FAMILIES, SIZES, TOLERANCE, validity_map
from sptrack.intervals import error_arms
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import read_provenance

CAUSES = {"noise": "gradient noise", "chopper": "rare flips"}
SMALL_FAMILIES, SMALL_SIZES = ("linear-skewed", "power-2"), (0.1, 0.28)


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Compare every family at every size of P's fluctuation."""
    families, sizes = (SMALL_FAMILIES, SMALL_SIZES) if small else (FAMILIES, SIZES)
    return validity_map(families, sizes, runs=64 if small else 512, seed=seed, threads=threads)


def plot(dataset: xr.Dataset) -> Figure:
    """Ratios of variances above, biases below, a column per family."""
    families = dataset["family"].values
    figure = new_figure(3.3 * len(families) + 0.6, 8.2)
    panels = figure.subplots(2, len(families), sharex=True, sharey="row", squeeze=False)
    for k, name in enumerate(families):
        of_family = dataset.sel(family=name)
        _ratios(panels[0, k], of_family)
        _biases(panels[1, k], of_family)
        first = k == 0
        label(panels[0, k], str(name), "", "simulated / predicted variance" if first else "")
        label(
            panels[1, k], "", "predicted rms of P / half the range", "bias / half the range" if first else ""
        )
    panels[0, 0].set_ylim(0.6, 2.5)
    handles, texts = panels[0, 0].get_legend_handles_labels()
    more = panels[1, 0].get_legend_handles_labels()
    figure.legend(handles + more[0], texts + more[1], loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle(
        "Linear theory of the tracking loop: within 10 % up to a fluctuation that the family decides"
    )
    return figure


def _ratios(ax: Axes, data: xr.Dataset) -> None:
    runs = read_provenance(data)["parameters"]["runs"]
    ax.axhspan(1 - TOLERANCE, 1 + TOLERANCE, color="#dddddd", label="within 10 %")
    for j, drive in enumerate(data["drive"].values):
        for which, marker, shift in (("p", "o", 0.985), ("q", "s", 1.015)):
            chosen = data.sel(drive=drive)
            ax.errorbar(
                data["size"] * shift,
                chosen[f"ratio_{which}"],
                error_arms(
                    chosen[f"ratio_{which}"], chosen[f"ratio_{which}_error"], repeats=runs, positive=True
                ),
                fmt=marker,
                color=COLOURS[j],
                markersize=5,
                markerfacecolor=COLOURS[j] if which == "p" else "white",
                capsize=2,
                label=f"{which.upper()}, fluctuation by {CAUSES[drive]}",
            )
    if np.isfinite(data["limit"]):
        ax.axvline(data["limit"].item(), color=GREY, label="measured limit")
        ax.annotate(
            f"{data['limit'].item():.2f}",
            (data["limit"].item(), 0.63),
            xytext=(3, 0),
            textcoords="offset points",
        )
    ax.axvline(data["rule"].item(), color=GREY, linestyle="--", label="warning above")
    ax.set_xscale("log")
    ticks = [size for size in (0.05, 0.1, 0.2, 0.4) if size <= data["size"].max()]
    ax.set_xticks(ticks, [f"{size:g}" for size in ticks])
    ax.minorticks_off()


def _biases(ax: Axes, data: xr.Dataset) -> None:
    runs = read_provenance(data)["parameters"]["runs"]
    for j, drive in enumerate(data["drive"].values):
        chosen, name = data.sel(drive=drive), CAUSES[drive]
        ax.plot(data["size"], chosen["bias_predicted"], color=COLOURS[j], label=f"bias, {name}, predicted")
        ax.errorbar(
            data["size"],
            chosen["bias"],
            error_arms(chosen["bias"], chosen["bias_error"], repeats=runs),
            fmt="o",
            color=COLOURS[j],
            markersize=5,
            capsize=2,
            label=f"bias, {name}, simulated",
        )
