"""Picture of the measures of a reference, drawn from data of `sptrack.response.respond` alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import COLOURS, GREY, headline, house_style, label, log_scale, new_figure
from sptrack.results import read_provenance

_FLOOR = -140.0
_OMEGA = "ω (rad per step)"


@house_style()
def measures_figure(data: xr.Dataset) -> Figure:
    """Allan deviation and held spectra of Q, coefficients on the response, aliases of the chopper."""
    figure = new_figure(7.2, 7.2)
    averages = data["averages"].values
    least = int(np.nanargmin(data["allan"].values))
    headline(
        figure,
        f"Q is most stable over {averages[least]:,.0f} steps: Allan deviation "
        f"{data['allan'].values[least]:.2g} weight "
        "units",
        "Lines: theory; markers: simulated, 95 %.",
    )
    panels = figure.subplots(2, 2)
    for ax, draw in zip(panels.ravel(), PANELS, strict=True):
        draw(ax, data)
    return figure


def plot_allan(ax: Axes, data: xr.Dataset) -> Axes:
    """Allan deviation of Q: line theory, markers simulated with 95 % intervals."""
    m = data["averages"].values
    value = data["allan"].values
    arms = np.abs(np.stack([value - data["allan_low"].values, data["allan_high"].values - value]))
    ax.plot(m, data["allan_expected"], color=COLOURS[0], label="theory")
    ax.errorbar(m, value, arms, fmt="o", color=COLOURS[0], markerfacecolor="white", markersize=4, capsize=2)
    ax.plot([], [], "o", color=COLOURS[0], markerfacecolor="white", label="simulated, 95 %")
    log_scale(ax, "xy")
    ax.legend(fontsize=9, frameon=False)
    return label(ax, "Allan deviation of Q", "steps averaged", "weight units")


def plot_held(ax: Axes, data: xr.Dataset) -> Axes:
    """Held spectra of Q: grey between smallest and largest, percentiles, their Gaussian law as lines."""
    x = data["bin"].values[1:]
    low, high = (data[f"held_{name}"].values[1:] for name in ("minimum", "maximum"))
    floor = max(float(np.nanmax(high)) * 1e-9, float(np.nanmin(data["held_levels"].values[:, 1:])) / 30)
    ax.fill_between(x, np.maximum(low, floor), high, color="#cccccc", linewidth=0, rasterized=True)
    ax.plot([], [], "s", color="#cccccc", label="smallest to largest")
    for k, percent in enumerate(data["percentile"].values.tolist()):
        colour = COLOURS[k % 3]
        ax.plot(x, data["held_levels"].values[k, 1:], ".", color=colour, markersize=2, rasterized=True)
        ax.plot(x, data["held_expected"].values[k, 1:], color=colour, linewidth=1, label=f"{percent:g} %")
    log_scale(ax, "xy")
    ax.set_ylim(floor, 3 * float(np.nanmax(high)))
    ax.legend(fontsize=9, frameon=False, loc="upper right")
    return label(ax, "Held spectra of Q, lines: theory", _OMEGA, "weight units² / (cycle/step)")


def plot_coefficients(ax: Axes, data: xr.Dataset) -> Axes:
    """Gain with exact coefficients and with rounded ones, where they are."""
    lowest = 10 ** (_FLOOR / 20)
    omega = data["omega"].values
    exact = 20 * np.log10(np.maximum(data["magnitude"].values, lowest))
    ax.plot(omega, exact, color=GREY, linewidth=2.5, label="exact")
    if "magnitude_fixed" in data:
        bits = read_provenance(data)["parameters"]["coefficient_bits"]
        rounded = 20 * np.log10(np.maximum(data["magnitude_fixed"].values, lowest))
        ax.plot(omega, rounded, color=COLOURS[1], linewidth=1.2, label=f"{bits} bits")
        error = 20 * np.log10(np.maximum(data["fixed_error"].values, lowest))
        ax.plot(omega, error, color=COLOURS[0], linestyle=":", label="change")
        ax.legend(fontsize=9, frameon=False, loc="lower left")
    ax.set_xscale("log")
    return label(ax, "Gain by coefficients", _OMEGA, "dB")


def plot_aliases(ax: Axes, data: xr.Dataset) -> Axes:
    """Lines of the chopper where the decimated reference shows them; at 0 they are an offset."""
    every = read_provenance(data)["parameters"]["decimate"]
    x, y = data["folded_alias"].values / np.pi, data["folded_decibels"].values
    shown = y > _FLOOR
    if shown.any():
        floor = max(_FLOOR, float(y[shown].min()) - 10)
        still = shown & (x == 0)
        for chosen, colour, text in ((shown & ~still, COLOURS[0], "ripple"), (still, COLOURS[1], "offset")):
            if chosen.any():
                ax.vlines(x[chosen], floor, y[chosen], color=colour, linewidth=1)
                ax.plot(x[chosen], y[chosen], "o", color=colour, markersize=4, label=text)
        ax.set_ylim(floor, float(y[shown].max()) + 8)
        ax.legend(fontsize=9, frameon=False)
    else:
        ax.text(0.5, 0.5, "no lines: the chopper\nhas a density", ha="center", transform=ax.transAxes)
        ax.set_yticks([])
    ax.set_xlim(-0.03, 1.03)
    return label(ax, f"Chopper, read every {every}", "alias (π rad per read)", "dB of chopped P")


PANELS = (plot_allan, plot_held, plot_coefficients, plot_aliases)
"""Panels of the figure, row by row."""
