"""Pictures of a calibration, drawn from its dataset alone."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from sptrack.plotting.style import COLOURS, GREY, PowerFormatter, label, log_scale, new_figure


class Labelled(Protocol):
    """Values by name, with attributes: `sptrack.results.Arrays`, or the xarray dataset that is loaded."""

    @property
    def attrs(self) -> Mapping[Any, Any]:
        """Attributes by name."""
        ...

    def __contains__(self, name: object, /) -> bool: ...

    def __getitem__(self, name: str, /) -> Any: ...


def certificate_figure(data: Labelled) -> Figure:
    """Figure of a calibration's dataset: errors against pulses, their distribution, and agreement."""
    certificate = json.loads(data.attrs["certificate"])
    figure = new_figure(13.0, 4.8)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
    plot_errors(left, data, certificate)
    plot_distribution(middle, data)
    plot_agreement(right, data)
    rows, columns = certificate["cells"]
    figure.suptitle(
        f"{certificate['device']}, {rows} x {columns} cells, {certificate['mode']}, {certificate['method']}"
    )
    return figure


def plot_errors(ax: Axes, data: Labelled, certificate: dict[str, object]) -> Axes:
    """RMS and median error against pulses with 95 % intervals, over theory, floor and target."""
    pulses = np.asarray(data["pulses"])
    if "rms_theory" in data:
        ax.plot(pulses, data["rms_theory"], color=COLOURS[0], linewidth=1.5, label="RMS, exact moments")
    for name, colour, text in (("rms_error", COLOURS[0], "RMS"), ("median_error", COLOURS[1], "median")):
        value, ends = np.asarray(data[name]), np.asarray(data[f"{name}_ci"])
        spread = np.abs(ends.T - value)
        ax.errorbar(
            pulses, value, spread, fmt="o", color=colour, capsize=3, label=f"{text}, simulated (95 %)"
        )
    ax.axhline(float(str(certificate["target"])), color=COLOURS[2], linestyle="--", label="target (RMS)")
    if certificate["floor"] is not None:
        ax.axhline(float(str(certificate["floor"])), color=GREY, linestyle=":", label="floor of the RMS")
    log_scale(ax, "xy")
    ax.set_xticks(pulses, [f"{n:g}" for n in pulses])
    ax.minorticks_off()
    ax.set_ylim(top=4.0 * ax.get_ylim()[1])
    ax.legend(fontsize=9, loc="upper right")
    return label(ax, "Error of the symmetric points", "pulses per cell", "error (weight units)")


def plot_distribution(ax: Axes, data: Labelled) -> Axes:
    """Share of the cells with an error of at most so much, one curve per pulse count."""
    truth = np.asarray(data["symmetric_point"])
    pulses = np.asarray(data["pulses"])
    shades = np.linspace(0.85, 0.25, len(pulses))
    for shade, count, points in zip(shades, pulses, np.asarray(data["estimate"]), strict=True):
        error = np.sort(np.abs(points - truth)[np.isfinite(truth)])
        share = np.arange(1, error.size + 1) / error.size
        keep = np.unique(np.linspace(0, error.size - 1, 1000).astype(int))
        red, green, blue = (shade * np.array([0.9, 0.95, 1.0])).tolist()
        ax.plot(error[keep], 100 * share[keep], color=(red, green, blue), label=f"{count} pulses")
    log_scale(ax, "x")
    ax.set_xlim(left=max(1e-5, ax.get_xlim()[0]))
    ax.legend(fontsize=9)
    return label(ax, "How many cells are how good", "|estimate - truth| (weight units)", "cells within (%)")


def plot_agreement(ax: Axes, data: Labelled) -> Axes:
    """Density of the error against the true symmetric point at the last pulse count: the worst cells."""
    truth, estimate = np.asarray(data["symmetric_point"]), np.asarray(data["estimate"])[-1]
    live = np.isfinite(truth)
    error = (estimate - truth)[live]
    limit = float(np.percentile(np.abs(error), 99.9))
    ends = [[truth[live].min(), truth[live].max()], [-limit, limit]]
    image = ax.hist2d(
        truth[live], error, bins=80, range=ends, norm=LogNorm(), cmap="viridis", rasterized=True
    )[3]
    ax.axhline(0.0, color=COLOURS[1], linewidth=1, linestyle="--")
    ax.figure.colorbar(image, ax=ax, label="cells", format=PowerFormatter())
    pulses = int(np.asarray(data["pulses"])[-1])
    return label(
        ax,
        f"Which cells err, after {pulses} pulses",
        "true symmetric point (weight units)",
        "estimate - truth (weight units)",
    )


def map_figure(data: Labelled) -> Figure:
    """Maps over the array at the last pulse count: the estimates and their errors."""
    estimate, truth = np.asarray(data["estimate"])[-1], np.asarray(data["symmetric_point"])
    figure = new_figure(11.0, 4.8)
    left, right = figure.subplots(1, 2)
    error = estimate - truth
    live = error[np.isfinite(error)]
    limit = float(np.percentile(np.abs(live), 99)) if live.size else 1.0
    for ax, values, title, cmap, ends in (
        (left, estimate, "Estimated symmetric points", "viridis", (None, None)),
        (right, error, "Error (scale: 99 % of the cells)", "RdBu_r", (-limit, limit)),
    ):
        image = ax.imshow(
            values, cmap=cmap, vmin=ends[0], vmax=ends[1], interpolation="nearest", aspect="auto"
        )
        label(ax, title, "column", "row")
        ax.grid(visible=False)
        figure.colorbar(image, ax=ax, label="weight units")
    return figure
