"""Picture of a chain of chopper, cells and filter, drawn from data of `sptrack.response.respond` alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import read_provenance

_FLOOR = -100.0
_OMEGA = "omega (rad per step)"


def response_figure(data: xr.Dataset) -> Figure:
    """Magnitude, phase, group delay; step response, spectrum of the chopped gradient, error of Q."""
    figure = new_figure(15.0, 8.4)
    panels = figure.subplots(2, 3)
    for ax, draw in zip(panels.ravel(), PANELS, strict=True):
        draw(ax, data)
    told = read_provenance(data)["parameters"]
    gradient = told["gradient"]
    figure.suptitle(
        f"filter {_short(told['filter'])}   chopper {told['chopper']}   device {told['device']}   "
        f"gradient {gradient['mean']:.3g} ± {gradient['std']:.3g}, alpha {told['alpha']:.3g}",
        fontsize=11,
    )
    return figure


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _marks(ax: Axes, data: xr.Dataset) -> None:
    """Corner of the filter and place of the chopper."""
    told = read_provenance(data)["parameters"]
    for name, colour, text in (
        ("corner", GREY, "-3 dB corner"),
        ("chopper_omega", COLOURS[1], "chopper"),
    ):
        if told[name] is not None:
            ax.axvline(told[name], color=colour, linestyle="--", linewidth=1.2, label=text)
    ax.set_xscale("log")
    ax.set_xlim(float(data["omega"][0]), np.pi)


def plot_magnitude(ax: Axes, data: xr.Dataset) -> Axes:
    """Gain in dB against omega, with corner and chopper."""
    level = 20 * np.log10(np.maximum(data["magnitude"].values, 10 ** (_FLOOR / 20)))
    ax.plot(data["omega"], level, color=COLOURS[0])
    _marks(ax, data)
    ax.set_ylim(max(_FLOOR, level.min() - 3), max(3.0, level.max() + 3))
    ax.legend(fontsize=9, loc="lower left")
    return label(ax, "Magnitude of the filter", _OMEGA, "|H| (dB)")


def plot_phase(ax: Axes, data: xr.Dataset) -> Axes:
    """Unwrapped phase in degrees."""
    ax.plot(data["omega"], np.degrees(data["phase"].values), color=COLOURS[0])
    _marks(ax, data)
    return label(ax, "Phase", _OMEGA, "arg H (degrees)")


def plot_group_delay(ax: Axes, data: xr.Dataset) -> Axes:
    """Group delay in steps."""
    delay = data["group_delay"].values
    ax.plot(data["omega"], delay, color=COLOURS[0])
    _marks(ax, data)
    low, high = np.nanpercentile(delay, [0.5, 99.5])
    ax.set_ylim(min(0.0, 1.2 * low), 1.2 * max(high, 1.0))
    return label(ax, "Group delay", _OMEGA, "delay (steps)")


def plot_step(ax: Axes, data: xr.Dataset) -> Axes:
    """Step response, with the band of 1 % of its end."""
    told = read_provenance(data)["parameters"]
    end = float(np.abs(data["step_response"][-1]))
    ax.axhspan(0.99 * end, 1.01 * end, color=COLOURS[2], alpha=0.3, label="within 1 %")
    ax.plot(data["sample"], data["step_response"], color=COLOURS[0])
    ax.axvline(told["settling"], color=GREY, linestyle=":", label=f"settled after {told['settling']} steps")
    ax.legend(fontsize=9, loc="lower right")
    return label(ax, "Step response", "steps", "output (1)")


def plot_spectrum(ax: Axes, data: xr.Dataset) -> Axes:
    """Density of the chopped gradient and of what passes: theory as lines, measured with its interval."""
    x = data["bin"].values[1:]
    for name, colour, text in (
        ("chopped", COLOURS[1], "chopped gradient"),
        ("passed", COLOURS[0], "what passes"),
    ):
        low, high = (data[f"{name}_{end}"].values[1:] for end in ("low", "high"))
        ax.fill_between(x, low, high, color=colour, alpha=0.3, linewidth=0, rasterized=True)
        ax.plot(
            x,
            data[name].values[1:],
            ".",
            color=colour,
            markersize=2.5,
            rasterized=True,
            label=f"{text}, measured",
        )
        ax.plot(x, data[f"{name}_expected"].values[1:], color=colour, linewidth=1, label=f"{text}, theory")
    _marks(ax, data)
    ax.set_xlim(x[0] / 1.2, np.pi)
    ax.set_yscale("log")
    top = max(float(data[name].values[1:].max()) for name in ("chopped", "passed"))
    ax.set_ylim(max(1e-9 * top, 0.3 * float(data["passed"].values[1:].min())), 3 * top)
    ax.legend(fontsize=8, loc="lower left")
    return label(ax, "Spectrum of the chopped gradient", _OMEGA, "density (gradient² per cycle per step)")


def plot_errors(ax: Axes, data: xr.Dataset) -> Axes:
    """Bias and rms of Q and P: bars are theory, points are measured."""
    names = data["term"].values.tolist()
    y = np.arange(len(names))[::-1]
    colours = [COLOURS[3], COLOURS[1], GREY, COLOURS[0], COLOURS[2]]
    ax.barh(y, np.abs(data["predicted"]), color=colours, alpha=0.55, height=0.6)
    known = np.isfinite(data["measured"].values)
    value, ends = data["measured"].values[known], data["measured_ci"].values[known]
    sign = np.where(value < 0, -1.0, 1.0)
    arms = np.abs(ends - value[:, None])
    reach = np.where(sign[:, None] > 0, arms, arms[:, ::-1])
    ax.errorbar(
        np.abs(value),
        y[known],
        xerr=reach.T,
        fmt="o",
        color="black",
        markersize=4,
        capsize=3,
        label="measured",
    )
    ax.plot([], [], "s", color=GREY, alpha=0.55, label="theory (bars)")
    shown = zip(names, data["predicted"].values, strict=True)
    ax.set_yticks(y, [f"{name}\n{number:.3g}" for name, number in shown], fontsize=9)
    ax.set_xlim(left=0)
    ax.legend(fontsize=9)
    return label(ax, "Error around the symmetric point", "size (weight units)", "")


PANELS = (plot_magnitude, plot_phase, plot_group_delay, plot_step, plot_spectrum, plot_errors)
"""Panels of the figure, row by row."""
