"""Picture of a chain of chopper, cells and filter, drawn from data of `sptrack.response.respond` alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    VERMILLION,
    headline,
    house_style,
    label,
    log_scale,
    new_figure,
)
from sptrack.results import read_provenance

_FLOOR = -100.0
_OMEGA = "ω (rad per step)"


@house_style()
def response_figure(data: xr.Dataset) -> Figure:
    """Magnitude, phase, group delay; step response, spectrum of the chopped gradient, error of Q."""
    figure = new_figure(7.2, 9.6)
    told = read_provenance(data)["parameters"]
    gradient = told["gradient"]
    headline(
        figure, _finding(data),
        f"Filter {_short(told['filter'])}, chopper {told['chopper']}, device {told['device']}, gradient "
        f"{gradient['mean']:.3g} ± {gradient['std']:.3g}, alpha {told['alpha']:.3g}. Lines and bars: "
        "theory; dots "
        "and open markers: simulated, 95 %. Dashed: -3 dB corner (grey), chopper (red).",
    )  # fmt: skip
    panels = figure.subplots(3, 2)
    for ax, draw in zip(panels.ravel(), PANELS, strict=True):
        draw(ax, data)
    return figure


def _finding(data: xr.Dataset) -> str:
    """Settling of the filter and the RMS error of Q, simulated where it was."""
    told = read_provenance(data)["parameters"]
    rms = {str(name): k for k, name in enumerate(data["term"].values)}
    row = next((k for name, k in rms.items() if "rms" in name.lower() and "Q" in name), None)
    text = f"Settles to 1 % in {told['settling']:,} steps"
    if row is None:
        return text
    simulated = float(data["measured"][row])
    value, kind = (
        (simulated, "simulated") if np.isfinite(simulated) else (float(data["predicted"][row]), "theory")
    )
    return f"{text}; RMS error of Q {value:.2g} weight units ({kind})"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _marks(ax: Axes, data: xr.Dataset) -> None:
    """Corner of the filter and place of the chopper."""
    told = read_provenance(data)["parameters"]
    for name, colour, text in (
        ("corner", GREY, "-3 dB corner"),
        ("chopper_omega", VERMILLION, "chopper"),
    ):
        if told[name] is not None:
            ax.axvline(told[name], color=colour, linestyle="--", linewidth=1.2, label=text)
    log_scale(ax, "x", most=4)
    ax.set_xlim(float(data["omega"][0]), np.pi)


def plot_magnitude(ax: Axes, data: xr.Dataset) -> Axes:
    """Gain in dB against omega, with corner and chopper."""
    level = 20 * np.log10(np.maximum(data["magnitude"].values, 10 ** (_FLOOR / 20)))
    ax.plot(data["omega"], level, color=BLUE)
    _marks(ax, data)
    ax.set_ylim(max(_FLOOR, level.min() - 3), max(3.0, level.max() + 3))
    return label(ax, "Magnitude", _OMEGA, "|H| (dB)")


def plot_phase(ax: Axes, data: xr.Dataset) -> Axes:
    """Unwrapped phase in degrees."""
    ax.plot(data["omega"], np.degrees(data["phase"].values), color=BLUE)
    _marks(ax, data)
    return label(ax, "Phase", _OMEGA, "arg H (degrees)")


def plot_group_delay(ax: Axes, data: xr.Dataset) -> Axes:
    """Group delay in steps."""
    delay = data["group_delay"].values
    ax.plot(data["omega"], delay, color=BLUE)
    _marks(ax, data)
    low, high = np.nanpercentile(delay, [0.5, 99.5])
    ax.set_ylim(min(0.0, 1.2 * low), 1.2 * max(high, 1.0))
    return label(ax, "Group delay", _OMEGA, "delay (steps)")


def plot_step(ax: Axes, data: xr.Dataset) -> Axes:
    """Step response, with the band of 1 % of its end."""
    told = read_provenance(data)["parameters"]
    end = float(np.abs(data["step_response"][-1]))
    ax.axhspan(0.99 * end, 1.01 * end, color=GREEN, alpha=0.3, label="within 1 %")
    ax.plot(data["sample"], data["step_response"], color=BLUE)
    ax.axvline(told["settling"], color=GREY, linestyle=":", label=f"settled: {told['settling']} steps")
    ax.legend(fontsize=9, loc="lower right")
    return label(ax, "Step response", "steps", "output (1)")


def plot_spectrum(ax: Axes, data: xr.Dataset) -> Axes:
    """Density of the chopped gradient and of what passes: theory as lines, measured with its interval."""
    x = data["bin"].values[1:]
    for name, colour, text in (
        ("chopped", VERMILLION, "chopped gradient"),
        ("passed", BLUE, "what passes"),
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
    log_scale(ax, "y", most=6)
    top = max(float(data[name].values[1:].max()) for name in ("chopped", "passed"))
    bottom = max(1e-9 * top, 0.3 * float(data["passed"].values[1:].min()))
    ax.set_ylim(bottom, 100 * top)
    for height, text, colour in ((0.98, "chopped", VERMILLION), (0.86, "passed", BLUE)):
        ax.text(
            0.98, height, text, color=colour, ha="right", va="top", transform=ax.transAxes,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    return label(ax, "Chopped gradient", _OMEGA, "density (gradient² /\n(cycle per step))")


def plot_errors(ax: Axes, data: xr.Dataset) -> Axes:
    """Bias and rms of Q and P: bars are theory, points are measured."""
    names = data["term"].values.tolist()
    y = np.arange(len(names))[::-1]
    colours = [COLOURS[3], VERMILLION, GREY, BLUE, GREEN]
    ax.barh(y, np.abs(data["predicted"]), color=colours, alpha=0.4, height=0.6)
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
        markerfacecolor="white",
        markersize=5,
        capsize=3,
    )
    shown = zip(names, data["predicted"].values, strict=True)
    ax.set_yticks(
        y,
        [f"{name.replace('chopped gradient', 'gradient')}\n{number:.3g}" for name, number in shown],
        fontsize=9,
    )
    ax.set_xlim(left=0)
    return label(ax, "Error of Q and P", "size (weight units)", "")


PANELS = (plot_magnitude, plot_phase, plot_group_delay, plot_step, plot_spectrum, plot_errors)
"""Panels of the figure, row by row."""
