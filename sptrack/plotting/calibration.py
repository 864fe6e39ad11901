"""Pictures of a calibration, drawn from its dataset alone."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    PowerFormatter,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)


class Labelled(Protocol):
    """Values by name, with attributes: `sptrack.results.Arrays`, or the xarray dataset that is loaded."""

    @property
    def attrs(self) -> Mapping[Any, Any]:
        """Attributes by name."""
        ...

    def __contains__(self, name: object, /) -> bool: ...

    def __getitem__(self, name: str, /) -> Any: ...


@house_style()
def certificate_figure(data: Labelled) -> Figure:
    """Figure of a calibration's dataset: errors against pulses, their distribution, and agreement."""
    certificate = json.loads(data.attrs["certificate"])
    figure = new_figure(7.2, 7.6)
    rows, columns = certificate["cells"]
    theory = "line: exact moments, " if "rms_theory" in data else ""
    headline(
        figure, _finding(data, certificate),
        f"{certificate['device']}, {rows} x {columns} cells, {certificate['mode']}, {certificate['method']}; "
        f"{theory}open markers: simulated, 95 %.",
    )  # fmt: skip
    axes = figure.subplot_mosaic(
        [["errors", "errors"], ["distribution", "agreement"]], height_ratios=[1, 1.1], width_ratios=[1, 1.15]
    )
    plot_distribution(axes["distribution"], data)
    plot_agreement(axes["agreement"], data)
    plot_errors(axes["errors"], data, certificate)
    return figure


def _finding(data: Labelled, certificate: Mapping[str, Any]) -> str:
    """Fewest pulses whose RMS error is at most the target, or how far the last error is from it."""
    pulses, rms = np.asarray(data["pulses"]), np.asarray(data["rms_error"])
    target = float(certificate["target"])
    there = np.flatnonzero(rms <= target)
    if there.size:
        k = there[0]
        return f"RMS error {rms[k]:.2g} after {pulses[k]:,} pulses per cell meets the target of {target:g}"
    return f"RMS error {rms[-1]:.2g} after {pulses[-1]:,} pulses per cell misses the target of {target:g}"


def plot_errors(ax: Axes, data: Labelled, certificate: dict[str, object]) -> Axes:
    """RMS and median error against pulses with 95 % intervals, over theory, floor and target."""
    pulses = np.asarray(data["pulses"])
    ends = []
    if "rms_theory" in data:
        ax.plot(pulses, data["rms_theory"], color=BLUE, label="RMS, exact moments")
    for name, colour, marker, text in (
        ("rms_error", BLUE, "o", "RMS"), ("median_error", VERMILLION, "^", "median")
    ):  # fmt: skip
        value, interval = np.asarray(data[name]), np.asarray(data[f"{name}_ci"])
        ax.errorbar(
            pulses, value, np.abs(interval.T - value), fmt=marker, color=colour, markerfacecolor="white",
            capsize=3, label=f"{text}, simulated (95 %)",
        )  # fmt: skip
        ends.append((float(value[-1]), text, colour))
    target = float(str(certificate["target"]))
    ax.axhline(target, color=GREEN, linestyle="--", label="target (RMS)")
    ends.append((target, f"target {target:g}", GREEN))
    if certificate["floor"] is not None:
        floor = float(str(certificate["floor"]))
        ax.axhline(floor, color=GREY, linestyle=":", label="floor of the RMS")
        ends.append((floor, "floor of RMS", GREY))
    log_scale(ax, "xy")
    ax.set_xticks(pulses, [f"{n:,}" for n in pulses])
    ax.margins(x=0.06)
    label(ax, "Error of the symmetric points", "pulses per cell", "error (weight units)")
    label_ends(ax, ends)
    return ax


def plot_distribution(ax: Axes, data: Labelled) -> Axes:
    """Percentage of the cells with an error of at most so much, one curve per pulse count."""
    symmetric_point = np.asarray(data["symmetric_point"])
    pulses = np.asarray(data["pulses"])
    shades = np.linspace(0.75, 0.1, len(pulses)) if len(pulses) > 1 else [0.1]
    for shade, count, points in zip(shades, pulses, np.asarray(data["estimate"]), strict=True):
        error = np.sort(np.abs(points - symmetric_point)[np.isfinite(symmetric_point)])
        fraction = np.arange(1, error.size + 1) / error.size
        keep = np.unique(np.linspace(0, error.size - 1, 1000).astype(int))
        last = count == pulses[-1]
        colour = BLUE if last else (shade, shade, shade)
        ax.plot(
            error[keep],
            100 * fraction[keep],
            color=colour,
            label=f"{count} pulses",
            linewidth=2.2 if last else 1.4,
        )
    log_scale(ax, "x", most=4)
    ax.set_xlim(left=max(1e-5, ax.get_xlim()[0]))
    ax.legend(fontsize=9, loc="lower right" if len(pulses) <= 3 else "upper left", handlelength=1.2)
    return label(ax, "Distribution of errors", "|estimate - truth| (weight units)", "cells within (%)")


def plot_agreement(ax: Axes, data: Labelled) -> Axes:
    """Density of the error against the true symmetric point at the last pulse count: the worst cells."""
    symmetric_point, estimate = np.asarray(data["symmetric_point"]), np.asarray(data["estimate"])[-1]
    live = np.isfinite(symmetric_point)
    error = (estimate - symmetric_point)[live]
    limit = float(np.percentile(np.abs(error), 99.9))
    ends = [[symmetric_point[live].min(), symmetric_point[live].max()], [-limit, limit]]
    image = ax.hist2d(
        symmetric_point[live], error, bins=60, range=ends, norm=LogNorm(), cmap="viridis", rasterized=True
    )[3]
    ax.axhline(0.0, color=VERMILLION, linewidth=1, linestyle="--")
    ax.figure.colorbar(
        image, cax=ax.inset_axes((1.03, 0.0, 0.05, 1.0)), label="cells", format=PowerFormatter()
    )
    pulses = int(np.asarray(data["pulses"])[-1])
    outside = int(np.count_nonzero(np.abs(error) > limit))
    more = f" ({outside} outside)" if outside else ""
    return label(
        ax,
        f"After {pulses:,} pulses{more}",
        "true symmetric point (weight units)",
        "estimate - truth (weight units)",
    )


@house_style()
def map_figure(data: Labelled) -> Figure:
    """Maps over the array at the last pulse count: the estimates and their errors."""
    estimate, symmetric_point = np.asarray(data["estimate"])[-1], np.asarray(data["symmetric_point"])
    figure = new_figure(7.2, 4.0)
    error = estimate - symmetric_point
    live = error[np.isfinite(error)]
    limit = float(np.percentile(np.abs(live), 99)) if live.size else 1.0
    pulses = int(np.asarray(data["pulses"])[-1])
    headline(
        figure, f"99 % of the cells are within {limit:.2g} of their symmetric points",
        f"After {pulses:,} pulses per cell; the scale of the errors ends there.",
    )  # fmt: skip
    left, right = figure.subplots(1, 2)
    for ax, values, title, cmap, ends in (
        (left, estimate, "Estimated symmetric points", "viridis", (None, None)),
        (right, error, "Errors", "RdBu_r", (-limit, limit)),
    ):
        image = ax.imshow(
            values, cmap=cmap, vmin=ends[0], vmax=ends[1], interpolation="nearest", aspect="auto"
        )
        label(ax, title, "column", "row")
        ax.grid(visible=False)
        extend = "both" if ends[1] is not None else "neither"
        figure.colorbar(image, ax=ax, label="weight units", extend=extend)
    return figure
