"""Up to which fluctuation of P can the linear theory of the tracking loop be trusted, family by family?

A panel per family: simulated over predicted variance of P and of Q against the predicted rms of P around its
symmetric point, as a share of half the range. P fluctuates because of gradient noise (the rate sets the
size) or because the chopper flips rarely (its flip probability does). The grey band is +-10 %; the line marks
where a ratio leaves it for good, the dashed one the limit beyond which predictions carry a warning. Points
carry 95 % intervals. Biases of P are stored beside the ratios.

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
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    headline,
    house_style,
    label,
    log_scale,
    new_figure,
    show_outside,
)
from sptrack.results import read_provenance

SMALL_FAMILIES, SMALL_SIZES = ("linear-skewed", "power-2"), (0.1, 0.28)


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Compare every family at every size of P's fluctuation."""
    families, sizes = (SMALL_FAMILIES, SMALL_SIZES) if small else (FAMILIES, SIZES)
    return validity_map(families, sizes, runs=64 if small else 512, seed=seed, threads=threads)


@house_style()
def plot(dataset: xr.Dataset) -> Figure:
    """Ratios of variances, a panel per family, and the limits that follow."""
    families = dataset["family"].values.tolist()
    figure = new_figure(7.2, 7.6 if len(families) > 3 else 5.6)
    limits = dataset["limit"].values
    curved = limits[1:][np.isfinite(limits[1:])]
    worst = f", curved ones to {curved.min():.2f}" if curved.size else ""
    headline(
        figure,
        f"Linear theory holds to an RMS of P of {limits[0]:.2f} of half the range on the linear "
        f"family{worst}",
        "Simulated over predicted variance, 95 %. Circle, square: P, Q, fluctuating by gradient noise; "
        "triangles up, "
        "down: P, Q, by rare flips. Grey: within 10 %; dotted: measured limit; dashed: warning above.",
    )
    columns = min(3, len(families) + 1)
    rows = -(-(len(families) + 1) // columns)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for k, (ax, name) in enumerate(zip(panels, families, strict=False)):
        if k:
            ax.sharex(panels[0])
            ax.sharey(panels[0])
        _ratios(ax, dataset.sel(family=name))
        ax.tick_params(labelleft=k % columns == 0)
        label(ax, str(name), "RMS of P / half range", "variance ratio" if k % columns == 0 else "")
    _limits(panels[len(families)], dataset)
    for ax in panels[len(families) + 1 :]:
        ax.remove()
    return figure


_MARKS = {("noise", "p"): "o", ("noise", "q"): "s", ("chopper", "p"): "^", ("chopper", "q"): "v"}


def _ratios(ax: Axes, data: xr.Dataset) -> None:
    runs = read_provenance(data)["parameters"]["runs"]
    ax.axhspan(1 - TOLERANCE, 1 + TOLERANCE, color="#e6e6e6")
    log_scale(ax, "x", most=4)
    ax.set_ylim(0.6, 2.6)
    for drive, colour in zip(data["drive"].values.tolist(), (BLUE, VERMILLION), strict=False):
        chosen = data.sel(drive=drive)
        for which, shift in (("p", 0.97), ("q", 1.03)):
            value = chosen[f"ratio_{which}"]
            arms = error_arms(value, chosen[f"ratio_{which}_error"], repeats=runs, positive=True)
            x = data["size"].values * shift
            ax.errorbar(
                x, value, arms, fmt=_MARKS[drive, which], color=colour, markersize=4.5,
                markerfacecolor="white" if which == "q" else colour, capsize=2, elinewidth=1,
            )  # fmt: skip
            show_outside(ax, x, value, colour)
    if np.isfinite(data["limit"]):
        ax.axvline(data["limit"].item(), color="black", linestyle=":", linewidth=1.4)
    ax.axvline(data["rule"].item(), color=GREY, linestyle="--", linewidth=1.2)


def _limits(ax: Axes, data: xr.Dataset) -> None:
    """Measured limit of every family, and the limit beyond which predictions carry a warning."""
    rows = np.arange(data.sizes["family"])
    ax.plot(data["limit"], rows, "D", color=GREEN, markerfacecolor="white")
    ax.plot(data["rule"], rows, "|", color="black", markersize=14, markeredgewidth=2)
    ax.set_yticks(rows, [str(name).replace("-", "-\n") for name in data["family"].values])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(0, 0.45)
    label(ax, "Limit; bar: warning", "RMS of P / half range", "")
