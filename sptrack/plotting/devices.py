"""The picture of a device: response curves, a pulse train, symmetric points."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sptrack.crossbar.portrait import Portrait
from sptrack.devices.statistics import BAND
from sptrack.plotting.style import COLOURS, GREY, headline, house_style, label, new_figure

_SIDES = ("$q_+$, up pulse", "$q_-$, down pulse")
_CELLS = COLOURS[2:]


@house_style()
def device_figure(portrait: Portrait) -> Figure:
    """Figure of a device: responses and symmetric points above, the pulse train below."""
    figure = new_figure(7.2, 7.4)
    device = portrait.device
    points = portrait.points[np.isfinite(portrait.points)]
    name = f"{device.source.name} ({device.response.family})"
    headline(
        figure,
        f"{name}: symmetric points at {points.mean():.2g} ± {points.std():.2g}" if points.size
        else f"{name}: no cell has a symmetric point",
        f"Mean ± std over the cells, weight units; dw_min {device.dw_min:.4g} weight units, cycle noise "
        f"{device.cycle_noise.std:.4g}, write noise {device.write_noise:.4g} dw_min. Band: {BAND[0]:.0f} to "
        f"{BAND[1]:.0f} % of the cells.",
    )  # fmt: skip
    axes = figure.subplot_mosaic([["responses", "points"], ["train", "train"]], width_ratios=[3, 2.2])
    plot_points(axes["points"], portrait)
    plot_train(axes["train"], portrait)
    plot_responses(axes["responses"], portrait)
    return figure


def plot_responses(ax: Axes, portrait: Portrait) -> Axes:
    """Nominal q_plus and q_minus against the weight, the band of the cells, the nominal symmetric point."""
    curves = portrait.curves
    sides = _SIDES[:1] if portrait.device.one_sided else _SIDES
    for k, (name, colour, line) in enumerate(zip(sides, COLOURS, ("-", "--"), strict=False)):
        ax.fill_between(curves.weights, curves.low[k], curves.high[k], color=colour, alpha=0.18, linewidth=0)
        ax.plot(curves.weights, curves.nominal[k], line, color=colour, label=f"{name}, nominal cell")
    if np.isfinite(curves.point):
        ax.axvline(curves.point, color=GREY, linestyle="--", label=f"symmetric point {curves.point:.3g}")
    label(ax, "Response", "internal weight (weight units)", "step per pulse / dw_min")
    ax.set_ylim(0, 1.45 * ax.get_ylim()[1])
    ax.legend(fontsize=9, loc="upper center", frameon=True, framealpha=1, edgecolor="none")
    return ax


def plot_points(ax: Axes, portrait: Portrait) -> Axes:
    """Histogram of the symmetric points of an array's cells, as pulses see them and as they are read."""
    has_point = np.isfinite(portrait.points)
    title = f"{np.count_nonzero(has_point):,} of {has_point.size:,} cells have one"
    label(ax, title, "weight (weight units)", "cells")
    if not has_point.any():
        reason = (
            "one-sided cells are only pulsed up" if portrait.device.one_sided else "none inside the bounds"
        )
        ax.text(0.5, 0.5, reason, ha="center", transform=ax.transAxes, color=GREY)
        ax.set_axis_off()
        return ax
    names, values = ["internal"], [portrait.points[has_point]]
    if portrait.device.reference is not None:
        names.append("as read")
        values.append(portrait.targets[has_point])
    ax.hist(values, bins=50, histtype="stepfilled", alpha=0.5, label=names, color=_CELLS[: len(values)])
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_ylim(top=1.2 * ax.get_ylim()[1])
    ax.legend(fontsize=9, loc="upper right", handlelength=1.2)
    return ax


def plot_train(ax: Axes, portrait: Portrait) -> Axes:
    """Weights of a few cells under up, down and alternating pulses, their symmetric points dashed."""
    start = 0
    for program, count in portrait.legs:
        ax.axvline(start + count, color=GREY, linewidth=0.8, linestyle=":")
        ax.text(start + count / 2, 1.01, program, ha="center", transform=ax.get_xaxis_transform(), color=GREY)
        start += count
    for weights, level, colour in zip(portrait.weights.T, portrait.levels, _CELLS, strict=True):
        ax.plot(portrait.pulses, weights, color=colour, linewidth=1.2)
        ax.hlines(level, start - portrait.legs[-1][1], start, color=colour, linestyle="--", linewidth=1.2)
    shown = "pairs, W = plus - minus" if portrait.device.one_sided else "cells"
    dashed = ", symmetric points dashed" if np.isfinite(portrait.levels).any() else ""
    label(
        ax,
        f"Pulse train of {portrait.weights.shape[1]} {shown}{dashed}",
        "pulses",
        "weight as read (weight units)",
        pad=18,
    )
    ax.set_xlim(0, start)
    return ax
